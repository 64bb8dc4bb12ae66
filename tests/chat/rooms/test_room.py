"""A room without I/O: order, gaps, epochs, and what it remembers."""

import pytest
from msgspec import UNSET

from chat.bus.entries import pack_msg, unpack_msg
from chat.rooms.room import Arrival, Phase, Room, Snapshot, Taken, Waiting, in_order
from chat.wire.schema import Gap, Msg


def arrival(seq: int, at: int | None = None, epoch: str = "e") -> Arrival:
    """The message number `seq`, by default `seq` ms into its stream."""
    text = f"{epoch}-{seq}"
    entry = pack_msg("u", "n", text, 1, "scroll", 25, 5)
    return Arrival(epoch, seq, entry, b"%d-0" % (seq if at is None else at))


def message(seq: int, epoch: str = "e") -> Msg:
    return unpack_msg(arrival(seq, epoch=epoch).entry, "r", epoch, seq)


def messages(*seqs: int) -> list[Msg]:
    return [message(seq) for seq in seqs]


def live(seq: int = 0, keep: int = 3, mark: int | None = None) -> Room:
    room = Room("r", 0, 2, keep)
    at = seq if mark is None else mark
    room.load("e", seq, messages(*range(max(1, seq - keep + 1), seq + 1)), b"%d-0" % at)
    return room


def seqs(taken: Taken) -> list[int]:
    return [ready.seq for ready in taken.ready]


class TestLoading:
    def test_what_comes_before_the_state_is_held(self) -> None:
        room = Room("r", 0, 2, 3)
        assert room.take([arrival(1), arrival(2)]) == Taken([], 0)
        room.load("e", 0, [], b"0-0")
        assert seqs(room.release()) == [1, 2]
        assert (room.phase, room.epoch, room.seq, room.mark) == (Phase.LIVE, "e", 2, b"2-0")

    def test_what_the_state_has_already_is_a_duplicate(self) -> None:
        room = Room("r", 0, 2, 3)
        room.take([arrival(1), arrival(2), arrival(3)])
        room.load("e", 2, messages(1, 2), b"2-0")
        taken = room.release()
        assert (seqs(taken), taken.duplicates, taken.gap) == ([3], 2, False)

    def test_what_is_left_of_an_earlier_epoch_is_history(self) -> None:
        room = Room("r", 0, 2, 3)
        room.take([arrival(7, at=1, epoch="old"), arrival(1, at=2)])
        room.load("e", 0, [], b"1-0")
        taken = room.release()
        assert (seqs(taken), taken.duplicates, taken.gap) == ([1], 1, False)

    def test_an_epoch_newer_than_the_state_is_not(self) -> None:
        room = Room("r", 0, 2, 3)
        room.take([arrival(1, at=9, epoch="new")])
        room.load("e", 5, [], b"8-0")
        assert room.release().gap
        assert room.phase is Phase.FILLING


class TestTaking:
    def test_the_next_ones_are_ready(self) -> None:
        room = live(5)
        taken = room.take([arrival(6), arrival(7)])
        assert (seqs(taken), taken.duplicates, taken.gap) == ([6, 7], 0, False)
        assert (room.seq, room.mark) == (7, b"7-0")

    def test_repetitions_are_counted_and_dropped(self) -> None:
        room = live(5)
        taken = room.take([arrival(5), arrival(6), arrival(6), arrival(4), arrival(7)])
        assert (seqs(taken), taken.duplicates, taken.gap) == ([6, 7], 3, False)

    def test_it_stops_at_a_gap(self) -> None:
        room = live(5)
        taken = room.take([arrival(6), arrival(8), arrival(9)])
        assert (seqs(taken), taken.gap, taken.rewound) == ([6], True, False)
        assert (room.phase, room.seq) == (Phase.FILLING, 6)

    def test_a_gap_is_told_once(self) -> None:
        room = live(5)
        assert room.take([arrival(8)]).gap
        assert room.take([arrival(9)]) == Taken([], 0)

    def test_another_epoch_is_a_gap(self) -> None:
        room = live(5)
        taken = room.take([arrival(1, at=6, epoch="new")])
        assert (taken.ready, taken.gap, taken.rewound) == ([], True, False)

    def test_a_number_given_out_again_is_a_rewind(self) -> None:
        room = live(5)
        taken = room.take([arrival(4, at=6)])
        assert (taken.ready, taken.duplicates, taken.gap, taken.rewound) == ([], 0, True, True)

    def test_ids_are_compared_as_numbers(self) -> None:
        room = live(5, mark=10)
        assert room.take([arrival(4, at=9)]).duplicates == 1
        assert live(5, mark=9).take([arrival(4, at=10)]).rewound


class TestFilling:
    def test_from_the_history_and_what_was_held(self) -> None:
        room = live(5)
        room.take([arrival(8), arrival(9)])
        filled = room.fill("e", 8, messages(6, 7, 8), b"8-0")
        assert in_order(room, filled) == messages(6, 7, 8)
        assert (filled.lost, filled.new_epoch) == (0, False)
        taken = room.release()
        assert (seqs(taken), taken.duplicates) == ([9], 1)

    def test_what_the_history_no_longer_has_is_lost_and_said(self) -> None:
        room = live(5)
        room.take([arrival(9)])
        filled = room.fill("e", 9, messages(8, 9), b"9-0")
        assert filled.lost == 2
        assert in_order(room, filled) == [Gap("r", "e", 7, 2), *messages(8, 9)]

    def test_also_when_it_has_nothing(self) -> None:
        room = live(5)
        room.take([arrival(9)])
        filled = room.fill("e", 9, [], b"9-0")
        assert in_order(room, filled) == [Gap("r", "e", 9, 4)]
        assert (room.seq, list(room.recent)) == (9, [])

    def test_and_what_is_missing_in_its_midst(self) -> None:
        room = live(5)
        room.take([arrival(9)])
        filled = room.fill("e", 10, messages(6, 8), b"10-0")
        assert filled.lost == 3
        assert in_order(room, filled) == [
            message(6), Gap("r", "e", 7, 1), message(8), Gap("r", "e", 10, 2)
        ]  # fmt: skip

    def test_the_history_may_reach_further_back_than_needed(self) -> None:
        room = live(5)
        room.take([arrival(7)])
        filled = room.fill("e", 7, messages(3, 4, 5, 6, 7), b"7-0")
        assert in_order(room, filled) == messages(6, 7)
        assert list(room.recent) == messages(5, 6, 7)

    def test_a_new_epoch_is_said_even_when_nothing_of_it_is_lost(self) -> None:
        room = live(5)
        room.take([arrival(1, at=6, epoch="new")])
        filled = room.fill("new", 1, [message(1, "new")], b"6-0")
        assert (filled.lost, filled.new_epoch) == (0, True)
        assert in_order(room, filled) == [Gap("r", "new", 0, 0), message(1, "new")]

    def test_and_said_once_when_something_is(self) -> None:
        room = live(5)
        room.take([arrival(9, at=9, epoch="new")])
        filled = room.fill("new", 9, [message(9, "new")], b"9-0")
        assert in_order(room, filled) == [Gap("r", "new", 8, 8), message(9, "new")]

    def test_an_epoch_that_counted_on_begins_at_its_base(self) -> None:
        room = live(5)
        room.take([arrival(4, at=6)])
        history = [message(seq, "new") for seq in (2, 3, 4)]
        filled = room.fill("new", 4, history, b"7-0", base=3)
        assert in_order(room, filled) == [Gap("r", "new", 3, 0), message(4, "new")]
        assert room.newest == history

    def test_held_arrivals_may_show_the_next_gap(self) -> None:
        room = live(5)
        room.take([arrival(8), arrival(12)])
        room.fill("e", 8, messages(6, 7, 8), b"8-0")
        assert room.release().gap
        assert room.phase is Phase.FILLING


class TestResuming:
    @pytest.mark.parametrize(
        ("since", "found"),
        [(10, []), (9, [10]), (7, [8, 9, 10]), (6, None), (0, None), (11, None), (10**15, None)],
    )
    def test_what_was_missed_is_all_there_or_not_told(
        self, since: int, found: list[int] | None
    ) -> None:
        missed = live(10).missed(("e", since))
        assert missed == (None if found is None else messages(*found))

    def test_another_epoch_has_missed_nobody_knows_what(self) -> None:
        assert live(10).missed(("other", 10)) is None

    def test_a_hole_in_what_is_remembered_is_not_passed_over(self) -> None:
        room = live(10)
        room.fill("e", 13, messages(11, 13), b"13-0")
        assert room.missed(("e", 10)) is None
        assert room.missed(("e", 12)) == messages(13)


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
        room.snapshots[1] = Snapshot(5, 1, b"old")
        room.fill("new", 5, [], b"9-0", base=5)
        assert room.snapshots == [None, None]

    def test_it_is_idle_when_nobody_is_here_or_on_the_way(self) -> None:
        room = live()
        assert room.idle
        room.members[1].add(7)
        assert not room.idle
        room.members[1].clear()
        room.waiting.append(Waiting(7, 0, None, UNSET))
        assert not room.idle
        room.waiting.clear()
        room.resuming = 1
        assert not room.idle
        room.resuming = 0
        room.take([arrival(9)])
        assert not room.idle
        room.fill("e", 9, [], b"9-0")
        assert room.idle

    def test_members_are_counted_over_encodings_and_shards(self) -> None:
        room = live()
        room.members[0].update({5, 6})
        room.members[1].add(7)
        room.elsewhere = 40
        assert (room.local, room.online) == (3, 43)
