"""What is given out of a room: as far as it is shown, duplicates as one, and what rides along."""

from collections.abc import Sequence

from msgspec import structs

from chat.bus.entries import Liked
from chat.counters import DELIVERY_MS, FIELDS, FLUSH_MESSAGES, ChatCount
from chat.policy.rules import RoomRules, Settings
from chat.rooms.budget import WRITES_PER_S
from chat.rooms.delivery import Delivery
from chat.rooms.position import Arrival
from chat.rooms.room import Room
from chat.wire.schema import Aside, Gap, LeftOut, Likes, Msg, Online, Sequenced, Shadowed
from pool.scoreboard import Scoreboard

BEGIN_MS = 1_764_000_000_000
Events = Sequence[Sequenced | Gap | Aside]


def message(seq: int, text: str = "", uid: str = "") -> Msg:
    uid = uid or f"u{seq}"
    return Msg("r", seq, f"e-{seq}", uid, uid, text or f"text {seq}", 0, "top", 12, 5)


def ruled(**settings: object) -> RoomRules:
    rules = RoomRules()
    rules.settings = structs.replace(Settings(), **settings)
    return rules


class Told:
    """A delivery to one room, and what it gave out, a list a time."""

    def __init__(self, members: int = 3, **settings: object) -> None:
        self.batches: list[Events] = []
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.now = 1_000.0
        self.delivery = Delivery(self._emit, self.counts, 0, lambda: self.now)
        self.room = room_of(members)
        self.room.rules = ruled(**settings)
        self.delivery.ruled(self.room)

    def _emit(self, room: Room, events: Events) -> int:
        self.batches.append(list(events))
        return 0

    def hear(self, *messages: Msg) -> int:
        at = [Arrival("e", one.seq, b"", b"%d-%d" % (BEGIN_MS, one.seq)) for one in messages]
        return self.delivery.send_next(self.room, at, messages)

    def kinds(self) -> list[list[type]]:
        return [[type(event) for event in batch] for batch in self.batches]


def room_of(members: int, name: str = "r") -> Room:
    room = Room(name, 0, 1, 3)
    room.members[0].update(range(members))
    return room


class TestPlainly:
    def test_all_of_it_goes_at_once_with_what_rides(self) -> None:
        told = Told()
        told.room.elsewhere = 4
        told.delivery.announcer.reported(told.room)
        told.delivery.asides.liked(told.room, {"like": 2}, (1, 0))
        assert told.hear(message(1), message(2)) == 2
        assert told.batches == [
            [message(1), message(2), Online("r", 7), Likes("r", {"like": 2})],
        ]
        assert told.counts[ChatCount.MESSAGES_DELIVERED] == 3 * 2
        assert told.counts[ChatCount.FLUSHES] == 1

    def test_a_batch_is_measured_once_however_many_are_told(self) -> None:
        told = Told(members=300)
        told.hear(message(1), message(2), message(3))
        sizes = told.counts[FLUSH_MESSAGES.first : FLUSH_MESSAGES.sum]
        assert (sum(sizes), sizes[FLUSH_MESSAGES.bounds.index(4)]) == (1, 1)
        assert told.counts[FLUSH_MESSAGES.sum] == 3

    def test_its_age_is_that_of_its_oldest_message_when_all_is_written(self) -> None:
        told = Told()
        told.hear(structs.replace(message(1), ts=1_000), structs.replace(message(2), ts=1_400))
        told.hear(structs.replace(message(3), ts=1_700))
        assert not any(told.counts[DELIVERY_MS.first : DELIVERY_MS.end])
        for _ in range(2):
            told.delivery.written(2_000)
            assert sum(told.counts[DELIVERY_MS.first : DELIVERY_MS.sum]) == 2
            assert told.counts[DELIVERY_MS.sum] == 1_000 + 300


class TestMerging:
    def test_what_is_said_twice_is_shown_once(self) -> None:
        told = Told(merge_duplicates=True)
        assert told.hear(message(1, "666"), message(2, "hi"), message(3, "666")) == 3
        [[first, hi, again]] = told.batches
        assert isinstance(first, Msg)
        assert (first.times, hi) == (2, message(2, "hi"))
        assert isinstance(again, Shadowed)
        assert told.counts[ChatCount.MERGED] == 1
        assert told.counts[ChatCount.MESSAGES_DELIVERED] == 3 * 2

    def test_only_what_is_shown_is_merged_over_what_is_not(self) -> None:
        told = Told(merge_duplicates=True, shown_per_s=2)
        told.hear(message(1, "666"), message(2, "666"), message(3, "666"))
        [[first, again, left_out]] = told.batches
        assert isinstance(first, Msg)
        assert first.times == 2
        assert isinstance(again, Shadowed)
        assert isinstance(left_out, LeftOut)


class TestHolding:
    def test_what_shows_nothing_waits_for_the_next_that_does(self) -> None:
        told = Told(shown_per_s=1)
        assert told.hear(message(1)) == 1
        assert told.hear(message(2), message(3)) == 2
        assert told.kinds() == [[Msg]]
        at = [Arrival("e", 4, b"", b"%d-0" % (BEGIN_MS + 1_500))]
        told.delivery.send_next(told.room, at, [message(4)])
        assert told.kinds() == [[Msg], [LeftOut, LeftOut, Msg]]
        assert told.counts[ChatCount.MESSAGES_SHED] == 3 * 2
        assert told.counts[ChatCount.MESSAGES_DELIVERED] == 3 * 2

    def test_or_for_the_tick_and_likes_ride_with_it(self) -> None:
        told = Told(shown_per_s=1)
        told.hear(message(1))
        told.now += 2
        told.hear(message(2))
        told.delivery.asides.take(told.room, Liked({"like": 1}), (1, 0))
        told.delivery.tick(1)
        told.delivery.tick(2)
        assert told.kinds() == [[Msg], [LeftOut, Likes]]

    def test_a_room_that_is_closed_holds_nothing(self) -> None:
        told = Told(shown_per_s=1)
        told.hear(message(1))
        told.hear(message(2))
        told.delivery.forget(told.room)
        told.delivery.tick(1)
        assert told.kinds() == [[Msg]]

    def test_a_budget_that_is_lifted_lets_out_what_was_held(self) -> None:
        told = Told(shown_per_s=1)
        told.hear(message(1))
        told.hear(message(2))
        told.room.rules = ruled()
        told.delivery.ruled(told.room)
        told.hear(message(3))
        told.hear(message(4))
        assert told.kinds() == [[Msg], [LeftOut, Msg], [Msg]]


class TestTurns:
    def test_neither_counts_nor_likes_take_the_budget_for_ever(self) -> None:
        told = Told(8 * WRITES_PER_S)
        other = room_of(8 * WRITES_PER_S, "other")
        for tick in range(1, 80):
            told.now += 1
            told.room.elsewhere += told.room.online
            told.delivery.announcer.reported(told.room)
            told.delivery.asides.liked(other, {"like": tick}, (tick, 0))
            told.delivery.tick(tick)
        found = [kind for batch in told.kinds() for kind in batch]
        assert abs(found.count(Online) - found.count(Likes)) <= 1
        assert len(found) >= 79 // 9


def test_a_default_budget_holds_where_rules_name_none() -> None:
    counts = Scoreboard(FIELDS, 1).row(0)
    delivery = Delivery(lambda room, events: 0, counts, 7, lambda: 0.0)
    room = room_of(1)
    for settings, per_s in (({}, 7), ({"shown_per_s": 3}, 3), ({}, 7)):
        room.rules = ruled(**settings)
        delivery.ruled(room)
        assert room.display is not None
        assert room.display.per_s == per_s
