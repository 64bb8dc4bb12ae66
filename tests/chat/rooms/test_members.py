"""Who is in which room: asked, let in, left, closed."""

from itertools import permutations
from typing import cast

import pytest

from chat.bus.kept import Kept
from chat.policy.rules import RoomRules, Settings, pack_settings
from chat.rooms.members import Members
from chat.rooms.room import Room
from shard.connections import Connections


class Variants:
    """Connections as Members sees them: odd descriptors speak another variant."""

    def variant(self, fd: int) -> int:
        return fd % 2


@pytest.fixture
def members() -> Members:
    return Members(cast(Connections, Variants()), 16)


def rooms(*names: str) -> list[Room]:
    return [Room(name, 0, 2, 3) for name in names]


class TestArriving:
    def test_who_comes_anew_is_told_of_where_the_room_has_notices(self, members: Members) -> None:
        loud, quiet = rooms("a", "b")
        loud.rules = RoomRules(Kept(1, {"settings": pack_settings(Settings(join_notices=True))}))
        told: list[tuple[int, str]] = []
        members.arrived = lambda fd, room: told.append((fd, room.name))
        for fd, anew in ((5, True), (6, False), (5, True)):
            for room in (loud, quiet):
                members.ask(fd, room)
                members.enter(fd, room, anew)
                assert members.has(fd, room)
        assert told == [(5, "a")]


class TestLists:
    def test_a_room_is_listed_once_from_the_moment_it_is_asked_for(self, members: Members) -> None:
        [room] = rooms("a")
        members.ask(5, room)
        members.ask(5, room)
        assert members.of(5) == (room,)
        assert members.named(5, "a") is room
        assert not members.has(5, room)
        assert room.local == 0

    def test_those_in_one_room_only_share_their_list(self, members: Members) -> None:
        [room] = rooms("a")
        for fd in (5, 6):
            members.ask(fd, room)
        assert members.of(5) is members.of(6)

    def test_also_those_who_are_left_with_one(self, members: Members) -> None:
        first, second = rooms("a", "b")
        for room in (first, second):
            members.ask(5, room)
        assert members.of(5) == (first, second)
        members.leave(5, first)
        assert members.of(5) is second.alone
        members.leave(5, second)
        assert members.of(5) == ()

    def test_places_one_was_sent_out_of_are_known_in_any_order(self, members: Members) -> None:
        for out in permutations(range(4)):
            four = rooms(*"abcd")
            for room in four:
                members.ask(5, room)
            for gone, at in enumerate(out, 1):
                members.vacate(5, four[at])
                members.leave(5, four[at])
                assert members.vacant(5) == tuple(sorted(out[:gone]))
            members.close(5)
            assert members.vacant(5) == ()

    def test_a_name_is_looked_for_among_the_connections_own(self, members: Members) -> None:
        [room] = rooms("a")
        members.ask(5, room)
        assert (members.named(6, "a"), members.named(5, "b")) == (None, None)


class TestMembership:
    def test_is_by_variant(self, members: Members) -> None:
        [room] = rooms("a")
        room.empty_since = 9
        for fd in (5, 6):
            members.ask(fd, room)
            members.enter(fd, room)
        assert room.members == ({6}, {5})
        assert members.has(5, room)
        assert room.empty_since == 0

    def test_ends_with_the_connection_in_all_its_rooms(self, members: Members) -> None:
        both = rooms("a", "b")
        for room in both:
            members.ask(5, room)
            members.enter(5, room)
        members.close(5)
        assert [room.local for room in both] == [0, 0]
        assert members.of(5) == ()

    def test_of_one_who_only_asked_ends_too(self, members: Members) -> None:
        [room] = rooms("a")
        members.ask(5, room)
        members.leave(5, room)
        assert members.of(5) == ()
        members.close(5)


class TestComing:
    def test_who_is_let_in_is_told_of_and_not_who_waits(self) -> None:
        came: list[tuple[int, str]] = []
        members = Members(
            cast(Connections, Variants()), 16, lambda fd, room: came.append((fd, room.name))
        )
        [room] = rooms("a")
        members.ask(5, room)
        members.wait(5, room, "")
        assert came == []
        members.enter(5, room)
        assert came == [(5, "a")]


class TestLatelySent:
    def test_is_by_room_for_who_is_let_in(self, members: Members) -> None:
        lively, quiet = rooms("a", "b")
        lively.sent_at = 100
        for room in (lively, quiet):
            members.ask(5, room)
        assert not members.lately_sent(5, 70), "it waits to be let in"
        members.enter(5, quiet)
        assert not members.lately_sent(5, 70)
        members.enter(5, lively)
        assert members.lately_sent(5, 99)
        assert not members.lately_sent(5, 100)
        members.leave(5, lively)
        assert not members.lately_sent(5, 70)

    def test_nobody_is_who_is_in_no_room(self, members: Members) -> None:
        assert not members.lately_sent(5, 0)
