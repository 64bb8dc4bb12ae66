"""What moderators did is appended, and bounded."""

from typing import Any

import pytest

from chat.bus.audit import Audit
from chat.bus.connect import StoreError
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store


async def test_entries_stand_in_order(valkey: EmbeddedEngine, prefix: str, raw: Any) -> None:
    store = a_store(valkey.url, prefix)
    audit = Audit(store, 1_000)
    for i in range(3):
        await audit.write(b"%d" % i)
    found = await raw.xrange(store.keys.audit)
    assert [fields["m"] for _, fields in found] == ["0", "1", "2"]
    await store.close()


async def test_the_oldest_go(valkey: EmbeddedEngine, prefix: str, raw: Any) -> None:
    store = a_store(valkey.url, prefix)
    audit = Audit(store, 100)
    for i in range(1_000):
        await audit.write(b"%d" % i)
    assert 100 <= await raw.xlen(store.keys.audit) < 400  # whole nodes of the stream go
    await store.close()


async def test_what_cannot_be_written_is_said(prefix: str) -> None:
    store = a_store("unix:///nowhere/s.sock", prefix)
    with pytest.raises(StoreError):
        await Audit(store, 100).write(b"x")
    await store.close()
