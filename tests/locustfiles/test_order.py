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
        assert [position.see("e1", seq) for seq in (1, 2)] == [None, None]
        assert position == Position("e1", 2)

    def test_another_epoch_is_a_failure_whatever_its_numbers(self) -> None:
        position = Position("e1", 7)
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


class TestLedger:
    def test_what_was_acknowledged_long_ago_and_never_came_is_missing(self) -> None:
        ledger = Ledger(grace_s=2)
        ledger.acked("a", 5, now=100)
        ledger.acked("a", 6, now=101)
        assert ledger.missing("a", 5, now=110) == 1
        assert ledger.missing("a", 6, now=110) == 0

    def test_a_recent_acknowledgement_may_still_be_under_way(self) -> None:
        ledger = Ledger(grace_s=2)
        ledger.acked("a", 5, now=100)
        assert ledger.missing("a", 4, now=101) == 0

    def test_rooms_are_apart(self) -> None:
        ledger = Ledger()
        ledger.acked("a", 5, now=100)
        assert ledger.missing("b", 0, now=200) == 0

    def test_old_acknowledgements_are_forgotten(self) -> None:
        ledger = Ledger(grace_s=2, keep_s=10)
        ledger.acked("a", 5, now=100)
        ledger.acked("a", 6, now=120)
        assert ledger.missing("a", 0, now=130) == 1
