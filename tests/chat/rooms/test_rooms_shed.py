"""Rooms with a display budget on a real Valkey: two shards choose alike, nothing stays unsaid."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from chat.bus.entries import Deleted, Said, pack
from chat.bus.rules import Rules
from chat.bus.store import Outgoing
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import Settings, pack_settings
from chat.rooms.answers import joined
from chat.rooms.room import Room
from chat.wire.schema import Aside, Gap, LeftOut, Msg, Removed, Sequenced
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import until


@pytest.fixture
async def desks(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Desk]]:
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(Desk(valkey.url, prefix, name))
            for name in ("s1", "s2")
        ]


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    async with Desk(valkey.url, prefix, shown_per_s=1) as desk:
        yield desk


async def say(desk: Desk, *uids: str, priority: int = 5, until: int = 0) -> None:
    """Each says something, all at once."""
    said = [
        Outgoing(
            ROOM, uid, pack(Said(uid, uid, "x", 1, "top", 25, 5, priority=priority, until=until))
        )
        for uid in uids
    ]
    await desk.store.publish(said, "e00001", 1_000, 0)


async def in_step(rooms: Sequence[Room], seq: int) -> None:
    await until(lambda: all(room.position.seq == seq for room in rooms), "the messages")


def shown(desk: Desk) -> list[tuple[int, bool]]:
    """What was given out, and whether it was shown."""
    return [
        (one.seq, isinstance(one, Msg)) for _, one in desk.emitted if isinstance(one, Msg | LeftOut)
    ]


def places(desk: Desk) -> list[Sequenced | Gap]:
    return [one for _, one in desk.emitted if not isinstance(one, Aside)]


def seqs(desk: Desk) -> list[int]:
    return [one.seq for one in places(desk)]


def left_out(desk: Desk) -> int:
    return desk.count(ChatCount.MESSAGES_SHED)


class TestTwoShards:
    async def test_show_the_same_of_a_hot_room(self, desks: list[Desk]) -> None:
        one, two = desks
        await Rules(one.store).change(ROOM, {"settings": pack_settings(Settings(shown_per_s=20))})
        rooms = [await desk.open() for desk in desks]
        await until(lambda: all(room.display and room.display.per_s == 20 for room in rooms))
        for turn in range(15):
            await say(one, *(f"u{turn}-{i}" for i in range(10)))
        await in_step(rooms, 150)
        for desk in desks:
            desk.rooms.tick(5)
        assert shown(one) == shown(two)
        assert [seq for seq, _ in shown(one)] == list(range(1, 151))
        visible = [seq for seq, is_shown in shown(one) if is_shown]
        assert 4 <= len(visible) < 150
        for desk in desks:
            assert desk.count(ChatCount.MESSAGES_DELIVERED) == len(visible)
            assert left_out(desk) == 150 - len(visible)
            assert desk.count(ChatCount.GAPS) == 0

    async def test_change_their_budget_at_the_same_message(self, desks: list[Desk]) -> None:
        one, two = desks
        rooms = [await desk.open() for desk in desks]
        await two.stop_reading()
        rules = Rules(one.store)
        await say(one, "a", "b", "c")
        await rules.change(ROOM, {"settings": pack_settings(Settings(shown_per_s=1))})
        await say(one, "d", "e", "f")
        await rules.change(ROOM, {"settings": pack_settings(Settings())})
        await say(one, "g", "h")
        await in_step(rooms[:1], 8)
        await two.feed()  # all of it is one batch there
        assert rooms[1].position.seq == 8
        assert shown(one) == shown(two)
        assert [is_shown for _, is_shown in shown(two)][:3] == [True] * 3
        assert [is_shown for _, is_shown in shown(two)][6:] == [True] * 2


class TestHeld:
    async def test_what_nobody_is_shown_goes_with_the_next(self, desk: Desk) -> None:
        room = await desk.open()
        await say(desk, "a")
        await in_step([room], 1)
        seq = 1
        while not room.held:  # a window may have begun between
            await say(desk, "b")
            seq += 1
            await in_step([room], seq)
        told = len(shown(desk))
        assert seq == told + len(room.held)
        await say(desk, "system", priority=8)
        await in_step([room], seq + 1)
        assert [one[0] for one in shown(desk)] == list(range(1, seq + 2))
        assert room.held == []

    async def test_or_with_the_tick(self, desk: Desk) -> None:
        room = await desk.open()
        await say(desk, *"abcdefgh")
        await say(desk, *"ijkl")
        await in_step([room], 12)
        desk.rooms.tick(5)
        assert [seq for seq, _ in shown(desk)] == list(range(1, 13))
        desk.rooms.tick(6)
        assert len(shown(desk)) == 12
        assert left_out(desk) == 12 - desk.count(ChatCount.MESSAGES_DELIVERED)

    async def test_is_told_before_a_new_epoch(self, desk: Desk) -> None:
        room = await desk.open()
        await say(desk, *"abcdefgh")
        await say(desk, *"ijkl")
        await in_step([room], 12)
        await desk.set_back(3)
        await desk.rooms.resync()
        await until(lambda: room.live and room.position.epoch != "e00001")
        assert seqs(desk)[:12] == list(range(1, 13))
        assert isinstance(places(desk)[12], Gap)

    async def test_a_control_event_waits_for_nothing(self, desk: Desk) -> None:
        room = await desk.open()
        await say(desk, *"abcd")
        await in_step([room], 4)
        gone = Outgoing(ROOM, "u", pack(Deleted(1, 6)))
        await desk.store.publish([gone], "e00001", 1_000, 0)
        await in_step([room], 5)
        assert seqs(desk) == [1, 2, 3, 4, 5]

    async def test_who_comes_later_is_shown_all(self, desk: Desk) -> None:
        room = await desk.open()
        await say(desk, *"abc")
        await in_step([room], 3)
        assert [one.uid for one in joined(room).history] == ["a", "b", "c"]


class TestTime:
    """A message that had its time is not given out, and its place stays."""

    @pytest.fixture
    async def late(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
        async with Desk(valkey.url, prefix) as desk:
            self.now = 1_000.0
            desk.rooms._wall = lambda: self.now
            desk.store._wall_ms = lambda: int(self.now * 1000)
            yield desk

    def removed(self, room: Room) -> list[bool]:
        return [isinstance(one, Removed) for one in room.newest]

    async def test_a_room_forgets_it(self, late: Desk) -> None:
        room = await late.open()
        await say(late, "a", until=1_005_000)
        await say(late, "b")
        await in_step([room], 2)
        late.rooms.tick(5)
        assert self.removed(room) == [False, False]
        self.now = 1_005.0
        late.rooms.tick(6)
        assert self.removed(room) == [True, False]
        assert joined(room).history[0].removed is True
        assert "'a'" not in repr(joined(room))
        assert room.newest[0].ts == 5
        assert not late.rooms._lapsing

    async def test_a_shard_that_is_late_does_not_show_it(self, late: Desk) -> None:
        room = await late.open()
        await say(late, "a", until=999_000)
        await in_step([room], 1)
        assert [type(one) for one in places(late)] == [Removed]

    async def test_a_room_that_is_opened_while_it_is_shown(self, late: Desk) -> None:
        await say(late, "a", until=1_005_000)
        await say(late, "b", until=999_000)
        room = await late.open()
        assert self.removed(room) == [False, True]
        self.now = 1_006.0
        late.rooms.tick(5)
        assert self.removed(room) == [True, True]

    async def test_no_history_has_it(self, late: Desk) -> None:
        await say(late, "a", until=999_000)
        await say(late, "b", until=1_001_000)
        page = await late.store.page(ROOM, 0, 10)
        assert [type(one) for one in page.places] == [Removed, Msg]
        state = await late.store.open_room(ROOM, after=0, of="e00001")
        assert [(type(one), one.ts) for one in state.places] == [(Removed, 5), (Msg, 5)]
