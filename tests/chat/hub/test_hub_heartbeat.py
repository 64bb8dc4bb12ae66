"""Who is pinged: all who are silent in a quiet room, and nobody who is sent what others say."""

from typing import Any

import pytest

from chat.bus.entries import Said, pack
from chat.bus.store import Outgoing
from chat.ops.engine import EmbeddedEngine
from shard.counters import Count
from tests.chat.rig import Shard, Viewer, publish, until

LIVELY, QUIET = "live:1", "live:2"
PERIODS = 4


def a_shard(valkey: EmbeddedEngine, prefix: str, trust: bool = True) -> Shard:
    heartbeat = {"ping_s": 10, "timeout_s": 5, "trust_tcp": trust}
    return Shard(valkey.url, prefix, heartbeat=heartbeat)


async def a_lively_time(shard: Shard, viewers: list[Viewer]) -> int:
    """Something is said every few seconds, all silent viewers answer pings; how many there were."""
    before = shard.count(Count.PINGS)
    for number in range(PERIODS * 5):
        await publish(shard.store, LIVELY, str(number))
        for viewer in viewers:
            await viewer.hear("msg", text=str(number))
        for _ in range(2):
            shard.advance()
            await until(lambda: shard.count(Count.CONTROLS_IN) == shard.count(Count.PINGS))
    return shard.count(Count.PINGS) - before


class TestLivelyRooms:
    @pytest.mark.parametrize("kind", [{}, {"binary": True}, {"compressed": True}])
    async def test_nobody_there_is_pinged(
        self, valkey: EmbeddedEngine, prefix: str, kind: dict[str, Any]
    ) -> None:
        async with a_shard(valkey, prefix) as shard, shard.viewer(**kind) as viewer:
            await viewer.join(LIVELY)
            assert await a_lively_time(shard, [viewer]) == 0
            assert shard.count(Count.CONNECTIONS) == 1

    async def test_all_are_where_tcp_is_not_trusted(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with a_shard(valkey, prefix, trust=False) as shard, shard.viewer() as viewer:
            await viewer.join(LIVELY)
            assert await a_lively_time(shard, [viewer]) >= PERIODS - 1
            assert shard.count(Count.CONNECTIONS) == 1

    async def test_who_is_in_a_quiet_one_is_as_ever(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with a_shard(valkey, prefix) as shard, shard.viewer() as one, shard.viewer() as two:
            await one.join(LIVELY)
            await two.join(QUIET)
            assert await a_lively_time(shard, [one]) >= PERIODS - 1

    async def test_a_shadowed_message_was_sent_to_nobody(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with a_shard(valkey, prefix) as shard, shard.viewer() as viewer:
            await viewer.join(LIVELY)
            await publish(shard.store, LIVELY, "for all")
            await viewer.hear("msg", text="for all")
            room = shard.service.rooms.by_name[LIVELY]
            assert room.sent_at == shard.tick
            room.sent_at = 0
            shadowed = Said("troll", "n", "for nobody", 1, "scroll", 25, 2_000, shadowed=True)
            await shard.store.publish([Outgoing(LIVELY, "troll", pack(shadowed))], "e1", 1_000, 0)
            await until(lambda: room.position.seq == 2)
            assert room.sent_at == 0
