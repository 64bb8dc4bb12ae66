"""When members are told a count: with what is said anyway, or alone, within what that may cost."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.counters import FIELDS, ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms.announcer import Announcer, worth_telling
from chat.rooms.budget import FRAME_WRITES, WRITES_PER_S, WriteBudget
from chat.rooms.room import Room
from chat.wire.schema import Online
from pool.scoreboard import Scoreboard
from shard.counters import Count
from tests.chat.rig import Shard

ROOM = "live:42"


class Told:
    """An announcer, and which rooms were told what, at which tick."""

    def __init__(self, per_s: int = WRITES_PER_S) -> None:
        self.at: list[tuple[int, str, int]] = []
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.budget = WriteBudget(per_s)
        self.announcer = Announcer(self._announce, self.counts, self.budget)
        self._tick = 0

    def _announce(self, room: Room, events: Sequence[Online]) -> None:
        self.at += [(self._tick, event.room, event.count) for event in events]

    def tick(self, tick: int) -> None:
        self._tick = tick
        self.budget.refill(tick)
        self.announcer.tick(tick)

    def learn(self, room: Room, elsewhere: int) -> None:
        room.elsewhere = elsewhere
        self.announcer.reported(room)


def a_room(name: str = "a", local: int = 1, announced: int = 0) -> Room:
    room = Room(name, 0, 1, 3)
    room.members[0].update(range(local))
    room.announced = announced
    return room


class TestAlone:
    def test_a_silent_room_is_told_once_what_changed(self) -> None:
        told, room = Told(), a_room(local=2)
        told.learn(room, 3)
        assert told.at == [], "not by the report itself"
        for tick in (10, 11, 12):
            told.tick(tick)
            told.learn(room, 3)
        assert told.at == [(10, "a", 5)]
        assert told.counts[ChatCount.COUNTS_WRITTEN] == 2

    @pytest.mark.parametrize(
        ("announced", "online", "worth"),
        [(0, 1, True), (1, 1, False), (50, 51, True), (100, 101, True), (101, 102, False),
         (101, 100, False), (1_000, 991, False), (1_000, 990, True), (1, 0, False)],
    )  # fmt: skip
    def test_less_than_a_hundredth_is_not_told(
        self, announced: int, online: int, worth: bool
    ) -> None:
        room = a_room(local=min(1, online), announced=announced)
        room.elsewhere = online - room.local
        assert worth_telling(room) is worth

    def test_steps_that_are_each_too_small_come_to_one_that_is_not(self) -> None:
        told, room = Told(), a_room(announced=1_000)
        for step in range(1, 21):
            told.learn(room, 999 + step)
            told.tick(step)
        assert told.at == [(10, "a", 1_010)]

    def test_a_large_room_is_told_and_pays_for_it(self) -> None:
        told, large, small = Told(2_000), a_room("large", 15_000), a_room("small")
        for tick in range(1, 31):
            told.learn(large, 1_000 * tick)
            told.learn(small, tick)
            told.tick(tick)
        times = defaultdict(list)
        for tick, name, _ in told.at:
            times[name].append(tick)
        # 15,000 writes are paid off at 2,000 a second.
        assert times == {"small": [1, 8, 16, 23], "large": [1, 8, 16, 23]}

    def test_who_is_alone_where_nobody_is_told_costs_nothing(self) -> None:
        told, room = Told(), a_room(local=0)
        told.learn(room, 7)
        told.tick(1)
        assert (told.at, room.announced) == ([], 7)

    def test_a_room_that_is_closed_is_forgotten(self) -> None:
        told, room = Told(), a_room()
        told.learn(room, 3)
        told.announcer.forget(room)
        told.tick(1)
        assert told.at == []


class TestRiding:
    def test_a_count_rides_once_however_small_the_change(self) -> None:
        told, room = Told(), a_room(announced=1_000)
        assert told.announcer.riding(room) == ()
        told.learn(room, 1_000)
        assert told.announcer.riding(room) == [Online("a", 1_001)]
        assert told.announcer.riding(room) == ()
        told.tick(1)
        assert told.at == []

    def test_it_is_the_count_of_now(self) -> None:
        told, room = Told(), a_room(announced=5)
        told.learn(room, 8)
        room.members[0].update({7, 8, 9})
        assert told.announcer.riding(room) == [Online("a", 12)]

    def test_what_is_as_it_was_does_not_ride(self) -> None:
        told, room = Told(), a_room(announced=1)
        for elsewhere in (3, 0):
            told.learn(room, elsewhere)
        assert told.announcer.riding(room) == ()


class TestBudget:
    @settings(deadline=None)
    @given(
        sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12),
        per_s=st.integers(1, 200),
        busy=st.data(),
    )
    def test_no_more_is_written_than_it_allows_and_no_room_starves(
        self, sizes: list[int], per_s: int, busy: st.DataObject
    ) -> None:
        """In any seconds it is their budget, that of one more and the last one served; whoever is
        off waits at most until each other room was served once."""
        told = Told(per_s)
        rooms = [a_room(f"r{i}", size) for i, size in enumerate(sizes)]
        prices = {room.name: room.local + FRAME_WRITES for room in rooms}
        most, whole = max(prices.values()), sum(prices.values())
        patience = (whole + most) // per_s + 2
        off_since: dict[str, int] = {}
        ticks = 3 * patience
        moving = busy.draw(st.lists(st.sampled_from(rooms), min_size=1, unique=True))
        for tick in range(1, ticks + 1):
            for room in moving:
                told.learn(room, room.elsewhere + 5 + room.online // 50)
                off_since.setdefault(room.name, tick)
            before = len(told.at)
            told.tick(tick)
            for _, name, _ in told.at[before:]:
                assert tick - off_since.pop(name) <= patience
            assert all(tick - since <= patience for since in off_since.values())
        spent = [0] * (ticks + 1)
        for tick, name, _ in told.at:
            spent[tick] += prices[name]
        sums = list(accumulate(spent))
        lowest = 0
        for tick in range(1, ticks + 1):
            # Of all windows that end here the one that is most over: Kadane, on what is left over.
            lowest = min(lowest, sums[tick - 1] - per_s * (tick - 1))
            assert sums[tick] - per_s * tick - lowest <= per_s + most


class TestWrites:
    """What a real shard writes to a crowd that watches and says nothing."""

    async def test_a_crowd_that_hardly_changes_is_not_written_to(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        quiet = {"ping_s": 3_000}
        async with Shard(valkey.url, prefix, heartbeat=quiet) as shard, AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(shard.viewer()) for _ in range(150)]
            for viewer in crowd:
                await viewer.join(ROOM)
            await shard.let_pass(7)
            for viewer in crowd:
                await viewer.hear("online", count=150)
            for viewer in crowd[:2]:
                await viewer.settle()
            before = shard.count(Count.WRITES)
            assert (await crowd[0].ask("leave", room=ROOM))["t"] == "left"
            await shard.let_pass(25)
            await crowd[0].join(ROOM)
            await shard.let_pass(7)
            assert (await crowd[1].join(ROOM))["online"] == 150
            assert shard.count(Count.WRITES) == before + 3, "the answers"
            assert (await crowd[0].ask("leave", room=ROOM))["t"] == "left"
            assert (await crowd[1].ask("leave", room=ROOM))["t"] == "left"
            await shard.let_pass(7)
            for viewer in crowd[2:]:
                await viewer.hear("online", count=148)
            assert shard.count(ChatCount.COUNTS_WRITTEN) == 150 + 148

    async def test_who_speaks_says_the_count_in_the_same_write(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with (
            Shard(valkey.url, prefix) as shard,
            shard.viewer() as one,
            shard.viewer() as other,
        ):
            for viewer in (one, other):
                await viewer.join(ROOM)
            await shard.let_pass(1)
            before = shard.count(Count.WRITES)
            await one.say(ROOM, "a")
            for viewer in (one, other):
                await viewer.hear("online", count=2)
                assert viewer.texts == ["a"]
            assert shard.count(Count.WRITES) == before + 3, "an ack, and a frame to each"
            await shard.let_pass(20)
            assert shard.count(ChatCount.COUNTS_WRITTEN) == 0
