"""How many watch: summed over shards, told when it changes."""

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.crowds import Crowds
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms import online as online_module
from chat.wire.schema import Msg
from chat.wire.schema import Online as OnlineEvent
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import publish, until


def report_of(total: int) -> Any:
    """What Redis answers to any report."""

    async def report(
        partition: int, shard: str, counts: Sequence[Any], uids: Mapping[str, Any]
    ) -> list[int]:
        return [total] * len(counts)

    return report


async def online(desk: Desk, room: str) -> int:
    """A room's viewers, as the API tells them."""
    return (await Crowds(desk.store, 5).of(room)).online


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    async with Desk(valkey.url, prefix) as desk:
        yield desk
        assert desk.count(ChatCount.BUS_ERRORS) == 0


class TestOnline:
    async def report(self, desk: Desk, tick: int) -> None:
        reported = desk.rooms._online._next_report
        await desk.tick(tick)
        assert desk.rooms._online._next_report > reported, "nothing was reported"

    async def test_viewers_of_all_shards_are_told_when_they_change(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as one, Desk(valkey.url, prefix, "s2") as two:
            room = await one.open()
            await two.open()
            room.members[0].update({8, 9})
            await self.report(one, 100)
            await self.report(two, 100)
            assert (one.online(), two.online()) == ([3], [2]), "what they had learnt before"
            for desk in (one, two):
                desk.rooms.tick(101)
            assert (one.online(), two.online()) == ([3, 4], [2, 4])
            room.members[0].clear()
            one.rooms.tick(104)
            assert not one.rooms._online._tasks.busy, "it was not due"
            await self.report(two, 105)
            two.rooms.tick(106)
            assert two.online() == [2, 4]
            await self.report(one, 105)
            await self.report(two, 110)
            two.rooms.tick(111)
            assert (one.online(), two.online()) == ([3, 4], [2, 4, 1]), "nobody is left to be told"
            assert await online(one, ROOM) == 1

    async def test_a_count_goes_with_what_is_said(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as desk:
            room = await desk.open()
            room.elsewhere = room.announced = 1_000
            desk.rooms._online._crowds.report = report_of(1_007)  # type: ignore[method-assign]
            await self.report(desk, 100)
            desk.rooms.tick(101)
            assert desk.online() == [], "it is less than a hundredth off"
            for text in "ab":
                await publish(desk.store, ROOM, text)
                await desk.until_heard(*"ab"[: "ab".index(text) + 1])
            kinds = [[type(event) for event in batch] for batch in desk.batches]
            assert kinds == [[Msg, OnlineEvent], [Msg]]
            assert desk.online() == [1_007]

    async def test_a_room_that_stays_as_it_is_is_not_written_to(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as desk:
            room = await desk.open()
            room.members[0].update(range(1_000, 6_000))
            await self.report(desk, 100)
            desk.rooms.tick(101)
            before = len(desk.emitted)
            for turn in range(20):  # some come and go, less than a hundredth
                (room.members[0].discard if turn % 2 else room.members[0].add)(9_000)
                await self.report(desk, 105 + 5 * turn)
                for tick in range(106 + 5 * turn, 110 + 5 * turn):
                    desk.rooms.tick(tick)
            assert desk.emitted[before:] == []
            assert desk.count(ChatCount.COUNTS_WRITTEN) == 5_001

    async def test_users_are_counted_over_shards(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Desk(valkey.url, prefix) as one, Desk(valkey.url, prefix, "s2") as two:
            for desk, fds in ((one, (1, 2)), (two, (2, 3))):
                room = await desk.open()
                for fd in fds:
                    desk.rooms._visitors.came(fd, room)
                await desk.tick(100)
            found = await Crowds(one.store, 5).of(ROOM)
            assert (found.online, found.peak, found.unique) == (2, 2, 3)

    async def test_a_server_that_is_away_does_not_hold_up_what_others_have(
        self, valkey: EmbeddedEngine, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Desk(valkey.url, prefix) as desk:
            rooms = [await desk.open(f"r{i}") for i in range(20)]
            here, there = (desk.keys.top(i) for i in (0, 1))
            monkeypatch.setattr(desk.store.servers, "of", lambda top: top in (here, there))
            asked: list[int] = []

            async def report(partition: int, *args: Any) -> list[int]:
                asked.append(partition)
                if partition in (0, 1):
                    raise StoreError("away")
                return [7] * len(args[1])

            monkeypatch.setattr(desk.rooms._online._crowds, "report", report)
            for room in rooms:
                desk.rooms._visitors.came(1, room)
            await desk.rooms._online.refresh(rooms)
            monkeypatch.undo()
            assert len(asked) == 3, "of those that are away one is asked"
            away = [room for room in rooms if room.partition in (0, 1)]
            assert [room.online for room in rooms] == [1 if room in away else 7 for room in rooms]
            waiting = [room for room in rooms if desk.rooms._visitors.waits(room)]
            assert waiting == away, "who came is reported later"

    async def test_many_rooms_are_reported_some_at_a_time(
        self, valkey: EmbeddedEngine, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(online_module, "ROOMS_AT_ONCE", 2)
        names = [f"r{i}" for i in range(20)]
        async with Desk(valkey.url, prefix) as desk:
            for i, name in enumerate(names):
                (await desk.open(name)).members[0].update(range(100, 100 + i))
            await desk.tick(100)
            assert [await online(desk, name) for name in names] == [i + 1 for i in range(20)]

    async def test_who_drains_says_at_once_that_nobody_is_here_and_keeps_to_it(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as one, Desk(valkey.url, prefix, "s2") as two:
            room, *_ = await one.open(), await two.open(), await one.open("other")
            assert await online(one, ROOM) == 2
            one.rooms.drain()
            await one.rooms.stop()
            assert room.members[0], "its viewers have not left yet"
            assert await online(two, ROOM) == 1
            one.rooms.tick(100)
            await one.rooms._online.refresh([room])
            assert await online(two, ROOM) == 1

    async def test_redis_that_is_away_does_not_hold_up_the_end(
        self, own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(online_module, "LEAVE_S", 0.01)
        async with Desk(own_valkey.url, "x", timeout_s=300.0) as desk:
            await desk.open()
            assert own_valkey.pid is not None
            os.kill(own_valkey.pid, signal.SIGSTOP)
            desk.rooms.drain()
            await desk.rooms.stop()
            os.kill(own_valkey.pid, signal.SIGCONT)

    async def test_a_next_life_takes_back_what_the_last_one_reported(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        names = [f"r{i}" for i in range(20)]
        async with Desk(valkey.url, prefix, "other") as other:
            async with Desk(valkey.url, prefix, "s1") as killed:
                for name in names:
                    await killed.open(name)
            for name in names[:5]:
                await other.open(name)
            assert {await online(other, name) for name in names} == {1, 2}
            async with Desk(valkey.url, prefix, "s1") as successor:
                await successor.open(names[0])
                successor.rooms.inherit()
                inheriting = successor.rooms._online._inheriting
                await until(lambda: not inheriting.busy, "the comparison")
                found = [await online(other, name) for name in names]
                assert found == [2, *[1] * 4, *[0] * 15]

    async def test_it_goes_on_trying_while_redis_is_away(
        self, own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(online_module, "RETRY_S", 0.01)
        async with Desk(own_valkey.url, "x", "s1") as killed:
            await killed.open()
        async with Desk(own_valkey.url, "x", "s1", timeout_s=0.3) as successor:
            assert own_valkey.pid is not None
            os.kill(own_valkey.pid, signal.SIGSTOP)
            successor.rooms.inherit()
            await until(lambda: successor.reader.errors, "an error")
            os.kill(own_valkey.pid, signal.SIGCONT)
            inheriting = successor.rooms._online._inheriting
            await until(lambda: not inheriting.busy, "the comparison")
            assert await online(successor, ROOM) == 0
