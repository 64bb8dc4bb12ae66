"""Readers on the Valkey all share, and on one whose connections may be cut."""

from collections.abc import AsyncIterator

import pytest

from chat.bus import feed as feed_module
from chat.ops.engine import EmbeddedEngine
from tests.chat.bus.desk import Desk, running
from tests.chat.rig import new_prefix


@pytest.fixture
async def desk(
    valkey: EmbeddedEngine, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    # Whatever waits for a block to end by itself fails by its bound.
    monkeypatch.setattr(feed_module, "BLOCK_S", 300.0)
    async for desk in running(Desk(valkey.url, prefix)):
        yield desk


@pytest.fixture
async def own_desk(
    own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """On a Valkey whose connections may be cut."""
    monkeypatch.setattr(feed_module, "BLOCK_S", 300.0)
    async for desk in running(Desk(own_valkey.url, new_prefix())):
        yield desk
