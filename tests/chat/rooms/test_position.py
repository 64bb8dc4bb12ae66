"""A position without I/O: order, duplicates, gaps, epochs, and numbers given out twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.entries import Said, pack, read
from chat.rooms.position import Arrival, Position, Sync, Taken, in_order, vouch
from chat.wire.schema import Delete, Gap, Sequenced


def arrival(seq: int, at: int | None = None, epoch: str = "e") -> Arrival:
    """The message number `seq`, by default `seq` ms into its stream."""
    entry = pack(Said("u", "n", f"{epoch}-{seq}", 1, "scroll", 25, seq))
    return Arrival(epoch, seq, entry, b"%d-0" % (seq if at is None else at))


def message(seq: int, epoch: str = "e") -> Sequenced:
    return read(arrival(seq, epoch=epoch).entry, "r", epoch, seq)


def messages(*seqs: int) -> list[Sequenced]:
    return [message(seq) for seq in seqs]


def live(seq: int = 0, mark: int | None = None) -> Position:
    position = Position()
    position.load("e", seq, b"%d-0" % (seq if mark is None else mark))
    return position


def seqs(taken: Taken) -> list[int]:
    return [ready.seq for ready in taken.ready]


class TestVouching:
    @given(
        st.dictionaries(st.integers(1, 9), st.integers(1, 3), max_size=6),
        *(st.integers(0, 9), st.integers(1, 3)),
    )
    def test_it_is_what_stands_there_or_another_or_nobody_knows(
        self, times: dict[int, int], seq: int, ts: int
    ) -> None:
        places = [Delete("r", at, 1, time) for at, time in times.items()]
        assert vouch(places, seq, ts) == (times[seq] == ts if seq in times else None)

    def test_who_disagree_vouch_for_nothing(self) -> None:
        assert vouch([Delete("r", 4, 1, 7), Delete("r", 4, 1, 8)], 4, 7) is False


class TestLoading:
    def test_what_comes_before_the_state_is_held(self) -> None:
        position = Position()
        assert position.take([arrival(1), arrival(2)]) == Taken([], 0)
        assert seqs(position.load("e", 0, b"0-0")) == [1, 2]
        assert (position.sync, str(position), position.mark) == (Sync.LIVE, "e-2", b"2-0")

    def test_what_the_state_has_already_is_a_duplicate(self) -> None:
        position = Position()
        position.take([arrival(1), arrival(2), arrival(3)])
        taken = position.load("e", 2, b"2-0")
        assert (seqs(taken), taken.duplicates, taken.gap) == ([3], 2, False)

    def test_what_is_left_of_an_earlier_epoch_is_history(self) -> None:
        position = Position()
        position.take([arrival(7, at=1, epoch="old"), arrival(1, at=2)])
        taken = position.load("e", 0, b"1-0")
        assert (seqs(taken), taken.duplicates, taken.gap) == ([1], 1, False)

    def test_an_epoch_newer_than_the_state_is_not(self) -> None:
        position = Position()
        position.take([arrival(1, at=9, epoch="new")])
        assert position.load("e", 5, b"8-0").gap
        assert position.sync is Sync.FILLING


class TestTaking:
    def test_the_next_ones_are_ready(self) -> None:
        position = live(5)
        taken = position.take([arrival(6), arrival(7)])
        assert (seqs(taken), taken.duplicates, taken.gap) == ([6, 7], 0, False)
        assert (position.seq, position.mark) == (7, b"7-0")

    def test_repetitions_are_counted_and_dropped(self) -> None:
        position = live(5)
        taken = position.take([arrival(5), arrival(6), arrival(6), arrival(4), arrival(7)])
        assert (seqs(taken), taken.duplicates, taken.gap) == ([6, 7], 3, False)

    def test_it_stops_at_a_gap(self) -> None:
        position = live(5)
        taken = position.take([arrival(6), arrival(8), arrival(9)])
        assert (seqs(taken), taken.gap, taken.rewound) == ([6], True, False)
        assert (position.sync, position.seq) == (Sync.FILLING, 6)

    def test_a_gap_is_told_once(self) -> None:
        position = live(5)
        assert position.take([arrival(8)]).gap
        assert position.take([arrival(9)]) == Taken([], 0)

    def test_another_epoch_is_a_gap(self) -> None:
        position = live(5)
        taken = position.take([arrival(1, at=6, epoch="new")])
        assert (taken.ready, taken.gap, taken.rewound) == ([], True, False)

    def test_a_number_given_out_again_is_a_rewind(self) -> None:
        position = live(5)
        taken = position.take([arrival(4, at=6)])
        assert (taken.ready, taken.duplicates, taken.gap, taken.rewound) == ([], 0, True, True)

    def test_ids_are_compared_as_numbers(self) -> None:
        position = live(5, mark=10)
        assert position.take([arrival(4, at=9)]).duplicates == 1
        assert live(5, mark=9).take([arrival(4, at=10)]).rewound


class TestUnspoken:
    """A room that nobody has spoken in, until somebody does."""

    def unspoken(self) -> Position:
        position = Position()
        position.load("", 0, b"3-0")
        return position

    def test_its_first_epoch_goes_on_from_it(self) -> None:
        position = self.unspoken()
        taken = position.take([arrival(1, at=4), arrival(2, at=5), arrival(3, at=6)])
        assert (seqs(taken), taken.gap) == ([1, 2, 3], False)
        assert (str(position), position.mark) == ("e-3", b"6-0")

    def test_also_what_comes_before_its_state(self) -> None:
        position = Position()
        position.take([arrival(1, at=4)])
        assert seqs(position.load("", 0, b"3-0")) == [1]

    def test_what_is_left_of_a_lost_epoch_is_history(self) -> None:
        taken = self.unspoken().take([arrival(1, at=3, epoch="lost")])
        assert (taken.ready, taken.duplicates, taken.gap) == ([], 1, False)

    def test_a_first_epoch_that_began_unseen_is_filled_and_nothing_is_lost(self) -> None:
        position = self.unspoken()
        taken = position.take([arrival(3, at=6)])
        assert (taken.ready, taken.gap, taken.rewound) == ([], True, False)
        filled, taken = position.fill("e", 3, messages(1, 2, 3), b"6-0")
        assert in_order("r", filled) == messages(1, 2, 3)
        assert (filled.lost, filled.new_epoch, taken.duplicates) == (0, False, 1)

    def test_what_of_it_is_lost_is_counted(self) -> None:
        position = self.unspoken()
        position.take([arrival(5, at=8)])
        filled, _ = position.fill("e", 5, messages(4, 5), b"8-0")
        assert filled.lost == 3
        assert in_order("r", filled) == [Gap("r", "e", 3, 3), *messages(4, 5)]

    def test_an_epoch_that_is_not_the_first_says_so(self) -> None:
        """It was set back before we saw anything: what it had had nobody knows."""
        position = self.unspoken()
        position.take([arrival(3, at=6)])
        filled, _ = position.fill("e", 3, messages(1, 2, 3), b"6-0", base=2)
        assert in_order("r", filled) == [Gap("r", "e", 0, 0), *messages(1, 2, 3)]

    def test_a_room_whose_state_is_lost_is_unspoken_again(self) -> None:
        position = live(5)
        assert position.confirm("", 0, b"0-0", message(5), None) is False
        filled, _ = position.fill("", 0, [], b"9-0")
        assert in_order("r", filled) == [Gap("r", "", 0, 0)]
        assert seqs(position.take([arrival(1, at=10, epoch="new")])) == [1]

    def test_and_that_is_all_well(self) -> None:
        position = self.unspoken()
        assert position.confirm("", 0, b"9-0", None, None) is None
        assert (position.sync, position.mark) == (Sync.LIVE, b"9-0")

    def test_one_that_a_publisher_was_told_of_is_lost_when_it_is_unspoken_again(self) -> None:
        position = self.unspoken()
        position.acked("e", 1)
        assert (str(position), position.sync) == ("-0", Sync.LIVE)
        assert position.confirm("", 0, b"9-0", None, None) is False
        filled, _ = position.fill("", 0, [], b"9-0")
        assert in_order("r", filled) == [Gap("r", "", 0, 0)]
        assert position.confirm("", 0, b"9-0", None, None) is None  # it is said once
        assert seqs(position.take([arrival(1, at=10, epoch="new")])) == [1]

    def test_also_when_another_epoch_has_begun_since(self) -> None:
        position = self.unspoken()
        position.acked("e", 1)
        taken = position.take([arrival(1, at=10, epoch="new")])
        assert (taken.ready, taken.gap, taken.rewound) == ([], True, False)
        filled, taken = position.fill("new", 1, [message(1, "new")], b"10-0")
        assert in_order("r", filled) == [Gap("r", "new", 0, 0), message(1, "new")]
        assert (str(position), taken.duplicates) == ("new-1", 1)

    def test_where_nothing_is_lost_it_goes_on_as_ever(self) -> None:
        position = self.unspoken()
        position.acked("e", 1)
        assert seqs(position.take([arrival(1, at=4), arrival(2, at=5)])) == [1, 2]
        position = self.unspoken()
        position.acked("e", 1)
        position.take([arrival(2, at=5)])
        filled, _ = position.fill("e", 2, messages(1, 2), b"5-0")
        assert in_order("r", filled) == messages(1, 2)

    def test_an_acknowledged_place_that_redis_has_not_is_lost(self) -> None:
        position = live(5)
        position.acked("e", 7)
        assert not position.set_back("e", 7)
        assert position.confirm("e", 5, b"9-0", message(5), message(5)) is False
        assert position.set_back("e", 6)
        filled, _ = position.fill("new", 5, [message(5)], b"9-0", base=5)
        assert in_order("r", filled) == [Gap("r", "new", 5, 0)]
        assert position.confirm("new", 5, b"9-0", message(5), message(5)) is None

    def test_one_that_has_come_is_not(self) -> None:
        position = live(5)
        assert not position.acked("e", 6)
        position.take([arrival(6)])
        assert position.confirm("e", 6, b"9-0", message(6), message(6)) is None
        assert not position.set_back("e", 6)

    @pytest.mark.parametrize("others", [[], [6], [8], [9, 6, 8]])
    def test_one_that_is_acknowledged_twice_is_two_and_one_of_them_is_lost(
        self, others: list[int]
    ) -> None:
        position = live(5)
        assert not any(position.acked("e", seq) for seq in [7, *others])
        assert position.acked("e", 7)
        assert position.sync is Sync.FILLING
        assert position.take([arrival(6)]).ready == []
        filled, _ = position.fill("new", 7, messages(6, 7), b"9-0", base=6)
        assert in_order("r", filled) == [Gap("r", "new", 6, 0), message(7)]
        assert not position.acked("new", 8)

    def test_one_that_has_been_read_since_is_not_awaited_again(self) -> None:
        position = live(5)
        for seq in range(6, 20):
            assert not position.acked("e", seq)
            assert not position.acked("e", seq + 20)
            position.take([arrival(seq)])
            assert not position.acked("e", seq)  # late, and read already
            assert position._unread == {later + 20 for later in range(6, seq + 1)}

    def test_one_of_another_epoch_tells_a_room_nothing(self) -> None:
        position = live(5)
        position.acked("other", 9)
        assert position.confirm("e", 5, b"9-0", message(5), message(5)) is None
        position.confirm("", 0, b"9-0", message(5), None)
        position.acked("other", 9)  # while it is being filled, what is read tells more
        position.fill("", 0, [], b"9-0")
        assert position.confirm("", 0, b"9-0", None, None) is None

    def test_one_that_was_spoken_in_unseen_is_to_be_filled(self) -> None:
        assert self.unspoken().confirm("e", 1, b"9-0", None, message(1)) is False


class TestFilling:
    def test_from_the_history_and_what_was_held(self) -> None:
        position = live(5)
        position.take([arrival(8), arrival(9)])
        filled, taken = position.fill("e", 8, messages(6, 7, 8), b"8-0")
        assert in_order("r", filled) == messages(6, 7, 8)
        assert (filled.lost, filled.new_epoch) == (0, False)
        assert (seqs(taken), taken.duplicates) == ([9], 1)

    def test_what_the_history_no_longer_has_is_lost_and_said(self) -> None:
        position = live(5)
        position.take([arrival(9)])
        filled, _ = position.fill("e", 9, messages(8, 9), b"9-0")
        assert filled.lost == 2
        assert in_order("r", filled) == [Gap("r", "e", 7, 2), *messages(8, 9)]

    def test_also_when_it_has_nothing(self) -> None:
        position = live(5)
        position.take([arrival(9)])
        filled, _ = position.fill("e", 9, [], b"9-0")
        assert in_order("r", filled) == [Gap("r", "e", 9, 4)]
        assert position.seq == 9

    def test_and_what_is_missing_in_its_midst(self) -> None:
        position = live(5)
        position.take([arrival(9)])
        filled, _ = position.fill("e", 10, messages(6, 8), b"10-0")
        assert filled.lost == 3
        assert in_order("r", filled) == [
            message(6), Gap("r", "e", 7, 1), message(8), Gap("r", "e", 10, 2)
        ]  # fmt: skip

    def test_the_history_may_reach_further_back_than_needed(self) -> None:
        position = live(5)
        position.take([arrival(7)])
        filled, _ = position.fill("e", 7, messages(3, 4, 5, 6, 7), b"7-0")
        assert in_order("r", filled) == messages(6, 7)

    def test_a_new_epoch_is_said_even_when_nothing_of_it_is_lost(self) -> None:
        position = live(5)
        position.take([arrival(1, at=6, epoch="new")])
        filled, _ = position.fill("new", 1, [message(1, "new")], b"6-0")
        assert (filled.lost, filled.new_epoch) == (0, True)
        assert in_order("r", filled) == [Gap("r", "new", 0, 0), message(1, "new")]

    def test_and_said_once_when_something_is(self) -> None:
        position = live(5)
        position.take([arrival(9, at=9, epoch="new")])
        filled, _ = position.fill("new", 9, [message(9, "new")], b"9-0")
        assert in_order("r", filled) == [Gap("r", "new", 8, 8), message(9, "new")]

    def test_an_epoch_that_counted_on_begins_at_its_base(self) -> None:
        position = live(5)
        position.take([arrival(4, at=6)])
        history = [message(seq, "new") for seq in (2, 3, 4)]
        filled, _ = position.fill("new", 4, history, b"7-0", base=3)
        assert in_order("r", filled) == [Gap("r", "new", 3, 0), message(4, "new")]

    def test_held_arrivals_may_show_the_next_gap(self) -> None:
        position = live(5)
        position.take([arrival(8), arrival(12)])
        _, taken = position.fill("e", 8, messages(6, 7, 8), b"8-0")
        assert taken.gap
        assert position.sync is Sync.FILLING


class TestConfirming:
    def test_the_same_place_is_well_and_moves_the_mark(self) -> None:
        position = live(5)
        assert position.confirm("e", 5, b"9-0", message(5), message(5)) is None
        assert (position.sync, position.mark) == (Sync.LIVE, b"9-0")

    def test_a_place_further_on_is_to_be_filled(self) -> None:
        position = live(5)
        assert position.confirm("e", 7, b"9-0", message(5), message(5)) is False
        assert position.sync is Sync.FILLING

    def test_another_epoch_is_to_be_filled_too_however_far_it_is(self) -> None:
        for seq in (0, 5, 9):
            assert live(5).confirm("new", seq, b"9-0", message(5), message(5)) is False

    def test_a_smaller_number_is_about_to_be_given_out_again(self) -> None:
        position = live(5)
        assert position.confirm("e", 4, b"4-0", message(5), None) is True
        assert position.sync is Sync.FILLING

    def test_another_place_under_our_number_was_given_out_again(self) -> None:
        other = read(pack(Said("u", "n", "e-5", 1, "scroll", 25, 6)), "r", "e", 5)
        for seq in (5, 8):
            assert live(5).confirm("e", seq, b"9-0", message(5), other) is True

    def test_what_either_side_has_forgotten_is_no_proof(self) -> None:
        for ours, theirs in ((None, message(5)), (message(5), None), (message(4), message(5))):
            assert live(5).confirm("e", 5, b"9-0", ours, theirs) is None
