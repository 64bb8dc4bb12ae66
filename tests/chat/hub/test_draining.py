"""The end of a shard: everyone is told when to come back."""

from collections.abc import AsyncIterator

import pytest

from chat.ops.engine import EmbeddedEngine
from shard.counters import Count
from tests.chat.rig import Shard, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix) as shard:
        yield shard


async def test_everyone_is_told_when_to_come_back(shard: Shard) -> None:
    viewers = [shard.viewer(f"?room={ROOM}", binary=i % 2 > 0) for i in range(12)]
    for viewer in viewers:
        await viewer.__aenter__()
        await viewer.hear("joined")
    shard.hub.drain()
    moments = []
    for viewer in viewers:
        assert await viewer.closed() == 4000
        bye = viewer.events[-1]
        assert (bye["t"], bye["reason"]) == ("bye", "restart")
        moments.append(bye["reconnect_in"])
        await viewer.__aexit__()
    assert all(0 <= moment <= shard.config.server.drain_s for moment in moments)
    assert len(set(moments)) > 6
    await until(lambda: shard.counts[Count.CONNECTIONS] == 0)
