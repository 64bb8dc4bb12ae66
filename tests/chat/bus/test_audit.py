"""What moderators did is appended, and bounded."""

from typing import Any

import pytest

from chat.bus.audit import Audit
from chat.bus.connect import StoreError
from chat.bus.pages import BEGINNING
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


async def test_the_newest_can_be_read_first(valkey: EmbeddedEngine, prefix: str) -> None:
    store = a_store(valkey.url, prefix)
    audit = Audit(store, 1_000)
    assert await audit.last() == BEGINNING
    for i in range(3):
        await audit.write(b"%d" % i)
    found, before = await audit.page_before(None, 2)
    assert [entry for _, entry in found] == [b"2", b"1"]
    assert await audit.last() == found[0][0]
    assert [entry for _, entry in (await audit.page_before(before, 2))[0]] == [b"0"]
    await store.close()
