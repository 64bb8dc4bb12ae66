"""locustfiles/order.py: the arithmetic by which a load run passes or fails."""

from locustfiles.order import Ledger, Position


class TestPosition:
    def test_consecutive_messages_are_fine(self) -> None:
        position = Position("e1", 7)
        assert [position.see("e1", seq) for seq in (8, 9, 10)] == [None, None, None]
        assert position.seq == 10

    def test_a_jump_is_a_gap_of_what_is_missing_and_counted_once(self) -> None:
        position = Position("e1", 7)
        assert position.see("e1", 11) == "gap of 3"
        assert position.see("e1", 12) is None

    def test_a_repeat_is_a_failure_and_does_not_move_the_position_back(self) -> None:
        position = Position("e1", 7)
        position.see("e1", 8)
        assert position.see("e1", 8) == "repeated or out of order"
        assert position.see("e1", 7) == "repeated or out of order"
        assert position.seq == 8

    def test_who_comes_back_may_be_sent_again_what_it_had_but_nothing_after_newer_ones(
        self,
    ) -> None:
        position = Position("e1", 7)
        position.come_back()
        assert [position.see("e1", seq) for seq in (6, 7, 8)] == [None, None, None]
        assert position.see("e1", 7) == "repeated or out of order"
        assert position.seq == 8

    def test_the_first_epoch_of_a_room_is_fine(self) -> None:
        position = Position("", 0)
        assert not position.jumps("e1", 1)
        assert [position.see("e1", seq) for seq in (1, 2)] == [None, None]
        assert position == Position("e1", 2)

    def test_another_epoch_is_a_failure_whatever_its_numbers(self) -> None:
        position = Position("e1", 7)
        assert position.jumps("e2", 8)
        assert position.see("e2", 8) == "of epoch e2, which nobody told of"
        assert position.seq == 7
        assert position.see("e1", 8) is None

    def test_a_span_is_all_its_places_whatever_of_them_is_shown(self) -> None:
        position = Position("e1", 7)
        assert [position.see("e1", *span) for span in ((8, 11), (12, 12))] == [None, None]
        assert position.see("e1", 14, 15) == "gap of 1"
        assert position.see("e1", 15, 16) == "repeated or out of order"
        position.come_back()
        assert position.see("e1", 12, 18) is None
        assert position == Position("e1", 18)

    def test_only_what_leaves_something_out_is_a_jump(self) -> None:
        position = Position("e1", 7)
        assert [position.jumps("e1", seq) for seq in (7, 8, 9)] == [False, False, True]


class TestLedger:
    def test_what_anybody_was_told_of_is_known_and_never_less(self) -> None:
        ledger = Ledger()
        ledger.reached("a", "e1", 6)
        ledger.reached("a", "e1", 5)
        assert ledger.newest("a", "e1") == 6

    def test_rooms_and_epochs_are_apart(self) -> None:
        ledger = Ledger()
        ledger.reached("a", "e1", 5)
        assert (ledger.newest("b", "e1"), ledger.newest("a", "e2")) == (0, 0)

    def test_one_place_is_one_message(self) -> None:
        ledger = Ledger()
        assert ledger.said("a", "e1", 5, "hi") is None
        assert ledger.said("a", "e1", 5, "hi") is None
        assert ledger.said("a", "e1", 5, "ho") == "another message than was told before"
        assert ledger.said("a", "e2", 5, "ho") is None

    def test_old_places_are_forgotten(self) -> None:
        ledger = Ledger(keep=2)
        for seq in (1, 2, 3):
            ledger.said("a", "e1", seq, "hi")
        assert ledger.said("a", "e1", 1, "ho") is None
        assert ledger.said("a", "e1", 3, "ho") is not None

    def test_another_run_knows_nothing(self) -> None:
        ledger = Ledger()
        ledger.reached("a", "e1", 5)
        ledger.said("a", "e1", 5, "hi")
        ledger.clear()
        assert ledger.newest("a", "e1") == 0
        assert ledger.said("a", "e1", 5, "ho") is None
