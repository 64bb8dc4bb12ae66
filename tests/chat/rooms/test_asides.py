"""When a room is told what stands beside its messages: with a batch, or alone within a budget."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chat.bus.entries import Arrived, Liked
from chat.rooms.asides import SPACING_S, Asides
from chat.rooms.budget import WRITES_PER_S, WriteBudget
from chat.rooms.room import Room, Snapshot
from chat.wire.schema import Aside, Joins, Likes


def room_of(members: int, name: str = "r") -> Room:
    room = Room(name, 0, 1, 3)
    room.members[0].update(range(members))
    return room


class Told:
    """Asides under a clock of ours, and what they said: when, in which room, what."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.said: list[tuple[float, str, Aside]] = []
        self.budget = WriteBudget()
        self.asides = Asides(self._emit, lambda: self.now, self.budget)
        self._at = 0

    def _emit(self, room: Room, events: Sequence[Aside]) -> None:
        self.said += [(self.now, room.name, event) for event in events]

    def like(self, room: Room, count: int) -> None:
        self._at += 1
        self.asides.liked(room, {"like": count}, (self._at, 0))

    def batch(self, room: Room) -> None:
        self._emit(room, self.asides.riding(room))

    def second(self) -> None:
        self.now += 1
        self.tick()

    def tick(self) -> None:
        self.budget.refill(int(self.now))
        self.asides.tick(int(self.now))

    def counts(self, room: Room) -> list[int]:
        return [
            event.counts["like"]
            for _, name, event in self.said
            if name == room.name and isinstance(event, Likes)
        ]


class TestLikes:
    def test_what_is_true_at_the_next_tick_is_told_alone(self) -> None:
        told, room = Told(), room_of(3)
        for count in (1, 2, 3):
            told.like(room, count)
        assert not told.said
        told.second()
        told.second()
        assert told.counts(room) == [3]

    def test_what_has_not_changed_is_not_told(self) -> None:
        told, room = Told(), room_of(3)
        told.like(room, 1)
        told.second()
        told.like(room, 1)
        told.batch(room)
        told.second()
        assert told.counts(room) == [1]

    def test_what_is_older_than_what_is_known_changes_nothing(self) -> None:
        told, room = Told(), room_of(3)
        told.asides.liked(room, {"like": 9}, (5, 1))
        told.asides.liked(room, {"like": 8}, (5, 0))
        told.second()
        assert told.said == [(1_001.0, "r", Likes("r", {"like": 9}))]

    def test_who_joins_is_told_the_new_ones(self) -> None:
        told, room = Told(), room_of(0)
        room.snapshots["json"] = Snapshot(0, 0, b"{}")
        told.like(room, 1)
        told.second()
        assert not room.snapshots
        assert not told.said, "nobody is here"

    def test_they_ride_with_a_batch_though_there_is_no_budget(self) -> None:
        told, room, other = Told(), room_of(10 * WRITES_PER_S), room_of(1, "other")
        told.like(room, 1)
        told.second()
        told.like(room, 2)
        told.like(other, 1)
        told.second()
        assert (told.counts(room), told.counts(other)) == ([1], [])
        told.batch(room)
        told.batch(other)
        assert (told.counts(room), told.counts(other)) == ([1, 2], [1])
        told.batch(room)
        told.second()
        assert told.counts(room) == [1, 2]

    def test_not_even_with_a_batch_more_than_once_a_second(self) -> None:
        told, room = Told(), room_of(3)
        told.like(room, 1)
        told.batch(room)
        told.like(room, 2)
        told.batch(room)
        assert told.counts(room) == [1]
        told.second()
        assert told.counts(room) == [1, 2]

    def test_alone_they_have_a_budget_and_all_rooms_their_turn(self) -> None:
        told = Told()
        rooms = [room_of(100, f"r{i}") for i in range(100)]
        for count in range(1, 11):
            for room in rooms:
                told.like(room, count)
            told.second()
        writes = 100 * len(told.said)
        assert writes <= WRITES_PER_S * 11 + 100
        assert writes >= WRITES_PER_S * 9
        assert all(1 <= len(told.counts(room)) <= 5 for room in rooms)

    def test_a_room_that_is_closed_is_told_nothing(self) -> None:
        told, room = Told(), room_of(3)
        told.like(room, 1)
        told.asides.forget(room)
        told.second()
        assert not told.said


class TestJoins:
    def test_those_of_all_shards_are_one_notice_a_second(self) -> None:
        told, room = Told(), room_of(3)
        for names in (["a", "b", "c"], ["d", "e", "f"]):
            told.asides.take(room, Arrived(10, names), (1, 0))
        told.second()
        told.second()
        assert told.said == [(1_001.0, "r", Joins("r", 20, ["a", "b", "c", "d", "e"]))]

    def test_they_go_with_likes(self) -> None:
        told, room = Told(), room_of(3)
        told.asides.take(room, Arrived(1, ["a"]), (1, 0))
        told.asides.take(room, Liked({"like": 1}), (2, 0))
        told.batch(room)
        told.second()
        assert [event for _, _, event in told.said] == [
            Likes("r", {"like": 1}),
            Joins("r", 1, ["a"]),
        ]

    def test_where_nobody_is_there_is_nobody_to_tell(self) -> None:
        told, room = Told(), room_of(0)
        told.asides.take(room, Arrived(1, ["a"]), (1, 0))
        room.members[0].add(7)
        told.second()
        assert not told.said


STEPS = st.lists(
    st.tuples(st.sampled_from(["like", "batch", "wait"]), st.integers(0, 3), st.integers(1, 900)),
    max_size=60,
)


@given(STEPS, st.lists(st.integers(1, 20_000), min_size=4, max_size=4))
def test_once_a_second_at_most_and_in_the_end_the_truth(
    steps: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    told = Told()
    rooms = [room_of(0, f"r{i}") for i in range(4)]
    for room, size in zip(rooms, sizes, strict=True):
        room.members[0].update(range(size))
    for what, which, ms in steps:
        if what == "like":
            told.like(rooms[which], rooms[which].likes.get("like", 0) + ms)
        elif what == "batch":
            told.batch(rooms[which])
        else:
            before = told.now
            told.now += ms / 1000
            if int(told.now) > int(before):
                told.tick()
    for _ in range(40):
        told.second()
    for room in rooms:
        at = [when for when, name, _ in told.said if name == room.name]
        assert all(late - early >= SPACING_S for early, late in itertools.pairwise(at))
        assert told.counts(room)[-1:] == ([room.likes["like"]] if room.likes else [])
