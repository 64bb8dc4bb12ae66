"""Numbers that Redis gave out twice while no node was there: who had the first ones is told.

A room had messages 1 to 8 when all nodes ended. Redis came back with 1 to 5, and by the time that
anybody asks has counted on to 10.
"""

from collections.abc import AsyncIterator

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Sequenced
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import Event, Shard, publish

EPOCH = "e00001"
ROOMS = {"history": 6, "history_on_join": 3}


async def published(desk: Desk) -> dict[int, int]:
    """The ts of each place there is."""
    places: list[Sequenced] = await desk.store.history(ROOM, EPOCH, 0, 100)
    return {place.seq: place.ts for place in places}


class Twice:
    """`first` and `second` are the ts of all places of both numberings."""

    def __init__(self) -> None:
        self.first: dict[int, int] = {}
        self.second: dict[int, int] = {}

    async def happen(self, url: str, prefix: str) -> None:
        async with Desk(url, prefix) as desk:
            await publish(desk.store, ROOM, *map(str, range(1, 9)))
            self.first = await published(desk)
            await desk.set_back(5)
        async with Desk(url, prefix, history=ROOMS["history"]) as desk:
            self.second = await published(desk)
            await publish(desk.store, ROOM, *map(str, range(6, 11)))
            self.second |= await published(desk)


@pytest.fixture
async def twice(valkey: EmbeddedEngine, prefix: str) -> Twice:
    twice = Twice()
    await twice.happen(valkey.url, prefix)
    return twice


@pytest.fixture
async def shard(twice: Twice, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, rooms=ROOMS) as shard:
        yield shard


def seqs(joined: Event) -> list[int]:
    return [message["seq"] for message in joined["history"]]


class TestWhoComesBack:
    @pytest.mark.parametrize("seq", [6, 7, 8])
    async def test_with_the_first_one_of_a_number_is_not_recovered(
        self, shard: Shard, twice: Twice, seq: int
    ) -> None:
        """Whether the shard remembers the second one, or has to read it."""
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, (EPOCH, seq, twice.first[seq]))
            assert (joined["recovered"], joined["seq"], seqs(joined)) == (False, 10, [8, 9, 10])
            assert joined["ts"] == twice.second[10]
        assert shard.count(ChatCount.RESUME_FAILED) == 1

    @pytest.mark.parametrize("seq", [5, 6, 7, 8, 9, 10])
    async def test_with_what_stands_there_is(self, shard: Shard, twice: Twice, seq: int) -> None:
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM, (EPOCH, seq, twice.second[seq]))
            assert (joined["recovered"], seqs(joined)) == (True, [*range(seq + 1, 11)])
            assert joined["ts"] == twice.second[10]

    async def test_without_a_time_cannot_be_told(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            assert (await viewer.join(ROOM, (EPOCH, 7)))["recovered"]

    async def test_from_behind_the_history_is_vouched_for_by_nothing(
        self, shard: Shard, twice: Twice
    ) -> None:
        """The history has 5 to 10: who has 4 misses nothing that is not there, if that was 4."""
        async with shard.viewer() as viewer:
            assert not (await viewer.join(ROOM, (EPOCH, 4, twice.first[4])))["recovered"]
            assert (await viewer.join(ROOM, (EPOCH, 4)))["recovered"]

    async def test_to_a_shard_that_is_behind_is_judged_by_redis(
        self, shard: Shard, twice: Twice
    ) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await shard.service._reader.stop()
            await publish(shard.store, ROOM, "11", "12")
            ts = (await shard.store.history(ROOM, EPOCH, 10, 2))[1].ts
            joined = await viewer.join(ROOM, (EPOCH, 12, ts))
            assert (joined["recovered"], joined["seq"], joined["ts"]) == (True, 12, ts)
            assert not (await viewer.join(ROOM, (EPOCH, 12, ts + 1)))["recovered"]
