"""A room without I/O: who is in it, what it remembers, and who waits for it."""

from dataclasses import dataclass

import pytest

from chat.rooms.room import Room, Snapshot
from chat.wire.commands import Since
from chat.wire.dialects.native import JSON
from tests.chat.rooms.test_position import arrival, messages


@dataclass
class Waiter:
    """Somebody who asked to join."""

    patient: bool = False
    returns: bool = False
    let: int = 0
    fd: int = 7
    gone: bool = False

    def let_in(self, room: Room) -> None:
        self.let += 1
        if self.returns:
            room.waiting.append(self)

    def turn_away(self, room: Room) -> bool:
        return self.patient


def live(seq: int = 0, keep: int = 3) -> Room:
    room = Room("r", 5, 2, keep, {5: "now"}.__getitem__)
    room.position.load("e", seq, b"%d-0" % seq)
    room.remember_only(messages(*range(max(1, seq - keep + 1), seq + 1)))
    return room


def fill(room: Room, seq: int, *places: int) -> None:
    """The history has `places`, and ends at `seq`."""
    room.position.fill("e", seq, messages(*places), b"%d-0" % seq)
    room.remember_only(messages(*places))


class TestResuming:
    @pytest.mark.parametrize(
        ("since", "found"),
        [(10, []), (9, [10]), (7, [8, 9, 10]), (6, None), (0, None), (11, None), (10**15, None)],
    )
    def test_what_was_missed_is_all_there_or_not_told(
        self, since: int, found: list[int] | None
    ) -> None:
        missed = live(10).missed(Since("e", since))
        assert missed == (None if found is None else messages(*found))

    def test_another_epoch_has_missed_nobody_knows_what(self) -> None:
        assert live(10).missed(Since("other", 10)) is None

    def test_who_was_here_before_anybody_spoke_has_missed_all(self) -> None:
        assert live(3).missed(Since("", 0)) == messages(1, 2, 3)
        assert live(4).missed(Since("", 0)) is None  # the first is not remembered

    def test_one_of_this_life_is_of_the_first_epoch_whichever_that_is(self) -> None:
        assert live(3).missed(Since("~now", 1)) == messages(2, 3)
        assert live(3).missed(Since("~now", 4)) is None

    @pytest.mark.parametrize("epoch", ["", "~before", "~"])
    def test_a_number_of_no_epoch_or_of_another_life_is_over(self, epoch: str) -> None:
        unspoken = Room("r", 5, 2, 3, {5: "now"}.__getitem__)
        unspoken.position.load("", 0, b"0-0")
        for room in (live(3), unspoken, Room("r", 5, 2, 3)):
            assert room.is_over(Since(epoch, 2))
            assert room.missed(Since(epoch, 2)) is None

    def test_whether_a_position_is_over(self) -> None:
        room = live(3)
        assert [room.is_over(Since(*since)) for since in (("e", 9), ("", 0))] == [False, False]
        assert [room.is_over(Since(*since)) for since in (("x", 3), ("~now", 3))] == [True, False]

    def test_a_room_that_knows_no_epoch_cannot_say_that_another_is_over(self) -> None:
        room = Room("r", 0, 2, 3)
        room.position.load("", 0, b"0-0")
        assert not room.is_over(Since("e", 2))
        assert room.missed(Since("e", 2)) is None
        assert room.missed(Since("", 0)) == []

    def test_a_position_with_a_time_is_vouched_for_by_what_stands_there(self) -> None:
        room = live(10)  # each place's time is its number
        assert room.missed(Since("e", 9, 9)) == messages(10)
        assert room.missed(Since("e", 10, 10)) == []
        assert not room.is_over(Since("e", 9, 9))

    def test_one_whose_number_was_given_out_again_is_over(self) -> None:
        room = live(10)
        for since in (Since("e", 9, 8), Since("e", 10, 11)):
            assert room.is_over(since)
            assert room.missed(since) is None

    def test_one_that_nothing_remembered_vouches_for_is_looked_up(self) -> None:
        room = live(10)
        for since in (Since("e", 7, 7), Since("e", 11, 11), Since("e", 0, 1)):
            assert not room.is_over(since)
            assert room.missed(since) is None

    def test_it_knows_the_time_of_what_stands_at_its_position(self) -> None:
        room = live(10)
        assert (room.ts, room.place) == (10, "e-10-10")
        fill(room, 13, 11, 12)  # 13 is lost
        assert (room.ts, room.place) == (0, "e-13")
        assert (live(0).ts, live(0).place) == (0, "e-0")

    def test_a_hole_in_what_is_remembered_is_not_passed_over(self) -> None:
        room = live(10)
        fill(room, 13, 11, 13)
        assert room.missed(Since("e", 10)) is None
        assert room.missed(Since("e", 12)) == messages(13)


class TestWanted:
    def test_by_who_is_here_or_waits(self) -> None:
        room = live()
        assert not room.wanted
        room.waiting.append(Waiter())
        assert room.wanted
        room.waiting.clear()
        room.members[1].add(7)
        assert room.wanted

    def test_not_by_who_is_gone(self) -> None:
        room = live()
        room.waiting += [Waiter(gone=True), Waiter(gone=True)]
        assert not room.wanted
        assert room.waiting == []


class TestRemembering:
    def test_who_joins_is_shown_the_newest(self) -> None:
        room = live(10)
        assert room.newest == list(room.recent) == messages(8, 9, 10)

    def test_nothing_when_nothing_is_to_be_shown_but_one_is_kept(self) -> None:
        room = live(10, keep=0)
        room.recent.extend(messages(9, 10))
        assert (room.newest, list(room.recent)) == ([], messages(10))

    def test_a_new_epoch_makes_old_snapshots_void(self) -> None:
        room = live(5)
        room.snapshots[JSON] = Snapshot(5, 1, b"old")
        room.remember_only([])
        assert room.snapshots == {}

    def test_it_is_idle_when_nobody_is_here_or_on_the_way(self) -> None:
        room = live()
        assert room.idle
        room.members[1].add(7)
        assert not room.idle
        room.members[1].clear()
        room.waiting.append(Waiter())
        assert not room.idle
        room.waiting.clear()
        room.resuming = 1
        assert not room.idle
        room.resuming = 0
        room.position.take([arrival(9)])
        assert not room.idle
        fill(room, 9)
        assert room.idle

    def test_members_are_counted_over_encodings_and_shards(self) -> None:
        room = live()
        room.members[0].update({5, 6})
        room.members[1].add(7)
        room.elsewhere = 40
        assert (room.local, room.online) == (3, 43)


class TestWaiting:
    def test_whoever_waits_is_let_in_once(self) -> None:
        room, waiter = live(), Waiter()
        room.waiting.append(waiter)
        room.let_in_waiting()
        room.let_in_waiting()
        assert (waiter.let, room.waiting) == (1, [])

    def test_who_comes_back_while_it_is_let_in_waits_again(self) -> None:
        room = live()
        waiter = Waiter(returns=True)
        room.waiting.append(waiter)
        room.let_in_waiting()
        assert room.waiting == [waiter]

    def test_only_the_patient_wait_on(self) -> None:
        room, patient, other = live(), Waiter(patient=True), Waiter()
        room.waiting += [patient, other]
        room.turn_away_waiting()
        assert room.waiting == [patient]
