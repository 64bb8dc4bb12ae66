"""How many watch: summed over shards, told when it changes."""

from collections.abc import AsyncIterator

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import until


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    async with Desk(valkey.url, prefix) as desk:
        yield desk
        assert desk.count(ChatCount.BUS_ERRORS) == 0


class TestOnline:
    async def report(self, desk: Desk, tick: int) -> None:
        desk.rooms.tick(tick)
        reporting = desk.rooms._online._tasks
        assert reporting.busy, "nothing was reported"
        await until(lambda: not reporting.busy, "the report")

    async def test_viewers_of_all_shards_are_told_when_they_change(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as one, Desk(valkey.url, prefix, "s2") as two:
            room = await one.open()
            await two.open()
            assert (one.online(), two.online()) == ([1], [2])
            room.members[0].update({8, 9})
            await self.report(one, 100)
            await self.report(two, 100)
            assert (one.online(), two.online()) == ([1, 4], [2, 4])
            room.members[0].clear()
            one.rooms.tick(104)
            assert not one.rooms._online._tasks.busy, "it was not due"
            await self.report(two, 105)
            assert (one.online(), two.online()) == ([1, 4], [2, 4])
            await self.report(one, 105)
            await self.report(two, 110)
            assert (one.online(), two.online()) == ([1, 4, 1], [2, 4, 1])
            assert await one.store.top_rooms(3) == [(ROOM, 1)]
