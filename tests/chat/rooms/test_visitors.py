"""Who came since the last report: once each, and not without bound."""

import pytest

from chat.counters import FIELDS, ChatCount
from chat.rooms import visitors as module
from chat.rooms.room import Room
from chat.rooms.visitors import TOGETHER, Visitors
from pool.scoreboard import Scoreboard


@pytest.fixture
def counts() -> "memoryview[int]":
    return Scoreboard(FIELDS, 1).row(0)


@pytest.fixture
def visitors(counts: "memoryview[int]") -> Visitors:
    """Every other connection is the same user's."""
    return Visitors(lambda fd: f"u{fd // 2}", str, counts)


def uids(visitors: Visitors, room: Room) -> list[str]:
    return sorted(visitors.take(room).values())


def rooms(*names: str) -> list[Room]:
    return [Room(name, 0, 1, 3) for name in names]


def test_a_user_is_taken_once_from_each_room(visitors: Visitors) -> None:
    one, two = rooms("a", "b")
    for fd in (2, 3, 4, 2):
        visitors.came(fd, one)
    visitors.came(2, two)
    assert (uids(visitors, one), uids(visitors, two)) == (["u1", "u2"], ["u1"])
    assert (uids(visitors, one), visitors.waits(one)) == ([], False)


def test_what_could_not_be_reported_waits_with_what_came_since(visitors: Visitors) -> None:
    [room] = rooms("a")
    visitors.came(2, room)
    taken = visitors.take(room)
    visitors.came(4, room)
    visitors.give_back(room, [*taken, "u2"])
    assert visitors.waits(room)
    assert uids(visitors, room) == ["u1", "u2"]


def test_a_guest_is_a_number_until_it_is_taken(counts: "memoryview[int]") -> None:
    guests = Visitors(lambda fd: 2**64 - fd, lambda mark: f"guest:{mark}", counts)
    [room] = rooms("a")
    for fd in (1, 2, 1):
        guests.came(fd, room)
    assert uids(guests, room) == [f"guest:{2**64 - 2}", f"guest:{2**64 - 1}"]
    assert not guests.waits(room)


def test_a_crowd_is_taken_a_part_at_a_time(visitors: Visitors) -> None:
    [room] = rooms("a")
    for fd in range(2 * TOGETHER + 2):
        visitors.came(fd, room)
    assert visitors.many(room)
    first = visitors.take(room)
    assert (len(first), visitors.many(room), visitors.waits(room)) == (TOGETHER, False, True)
    assert len(first | visitors.take(room)) == TOGETHER + 1
    assert not visitors.waits(room)


def test_they_do_not_pile_up(
    visitors: Visitors, counts: "memoryview[int]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    one, two = rooms("a", "b")
    visitors.came(99, two)
    for fd in range(0, 20, 2):
        assert counts[ChatCount.VISITORS_UNCOUNTED] == 0
        visitors.came(fd, one)
    assert counts[ChatCount.VISITORS_UNCOUNTED] == 10
    assert (uids(visitors, one), uids(visitors, two)) == ([], ["u49"])
    for fd in range(0, 18, 2):  # there is room again
        visitors.came(fd, two)
    assert len(visitors.take(two)) == 9
    assert counts[ChatCount.VISITORS_UNCOUNTED] == 10


def test_a_room_that_is_closed_keeps_nobody(visitors: Visitors, counts: "memoryview[int]") -> None:
    [room] = rooms("a")
    visitors.forget(room)
    visitors.came(2, room)
    visitors.forget(room)
    assert not visitors.waits(room)
    assert counts[ChatCount.VISITORS_UNCOUNTED] == 1


def test_nor_does_one_that_was_closed_meanwhile(
    visitors: Visitors, counts: "memoryview[int]"
) -> None:
    [room] = rooms("a")
    visitors.came(2, room)
    taken = visitors.take(room)
    room.alone = ()
    visitors.give_back(room, taken)
    assert not visitors.waits(room)
    assert counts[ChatCount.VISITORS_UNCOUNTED] == 1
