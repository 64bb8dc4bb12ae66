"""The timing wheel: literal cases, then any use of it against a dict of deadlines."""

from array import array

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shard.wheel import TimingWheel

ALL = 1_000


def wheel_of(rows: int, slots: int = 8, start: int = 100) -> tuple[TimingWheel, "array[int]"]:
    due = array("I", bytes(4 * rows))
    wheel = TimingWheel(due, slots)
    wheel.start(start)
    return wheel, due


class TestVisiting:
    def test_a_row_is_visited_at_its_tick_and_only_once(self) -> None:
        wheel, _ = wheel_of(4)
        wheel.file(2, 103)
        assert wheel.turn_to(102, ALL) == ([], True)
        assert wheel.turn_to(103, ALL) == ([2], True)
        assert wheel.turn_to(120, ALL) == ([], True)

    def test_a_deadline_that_has_passed_is_visited_at_the_next_tick(self) -> None:
        wheel, _ = wheel_of(4)
        wheel.file(1, 5)
        wheel.file(2, 100)
        assert wheel.turn_to(100, ALL) == ([], True)
        assert wheel.turn_to(101, ALL) == ([1, 2], True)

    def test_a_deadline_beyond_a_turn_is_visited_within_one(self) -> None:
        wheel, _ = wheel_of(4)
        wheel.file(3, 10_000)
        assert wheel.turn_to(106, ALL) == ([], True)
        assert wheel.turn_to(107, ALL) == ([3], True)

    def test_ticks_that_were_missed_are_caught_up(self) -> None:
        wheel, _ = wheel_of(4)
        for row, tick in enumerate((104, 101, 103, 102)):
            wheel.file(row, tick)
        assert wheel.turn_to(150, ALL) == ([1, 3, 2, 0], True)


class TestStaleEntries:
    def test_a_row_filed_again_is_visited_at_its_last_deadline(self) -> None:
        wheel, _ = wheel_of(4)
        wheel.file(0, 102)
        wheel.file(0, 105)
        wheel.file(1, 105)
        wheel.file(1, 102)
        assert wheel.turn_to(104, ALL) == ([1], True)
        assert wheel.turn_to(110, ALL) == ([0], True)

    def test_a_row_filed_there_and_back_is_visited_once(self) -> None:
        wheel, _ = wheel_of(4)
        for tick in (102, 105, 102, 102):
            wheel.file(0, tick)
        assert wheel.turn_to(110, ALL) == ([0], True)

    def test_a_cancelled_row_is_not_visited(self) -> None:
        wheel, _ = wheel_of(4)
        wheel.file(0, 102)
        wheel.cancel(0)
        assert wheel.turn_to(110, ALL) == ([], True)

    def test_filing_the_same_deadline_again_costs_no_entry(self) -> None:
        wheel, _ = wheel_of(1)
        for _ in range(50):
            wheel.file(0, 101)
        assert wheel.turn_to(101, 3) == ([0], True)


class TestBounds:
    def test_a_crowded_slot_is_visited_in_parts(self) -> None:
        wheel, _ = wheel_of(10)
        for row in range(10):
            wheel.file(row, 101)
        seen: list[int] = []
        for _ in range(3):
            rows, reached = wheel.turn_to(101, 4)
            assert len(rows) <= 4
            seen += rows
        assert reached
        assert seen == list(range(10))

    def test_stale_entries_and_empty_ticks_count_too(self) -> None:
        wheel, _ = wheel_of(10)
        for row in range(10):
            wheel.file(row, 101)
            wheel.cancel(row)
        assert wheel.turn_to(101, 5) == ([], False)
        wheel, _ = wheel_of(1)
        assert wheel.turn_to(100_000, 5) == ([], False)

    def test_a_row_filed_during_a_half_done_tick_waits_for_the_next(self) -> None:
        wheel, _ = wheel_of(10)
        for row in range(10):
            wheel.file(row, 101)
        rows, reached = wheel.turn_to(101, 4)
        assert not reached
        wheel.file(rows[0], 101)
        while not reached:
            more, reached = wheel.turn_to(101, 4)
            assert rows[0] not in more
        assert wheel.turn_to(102, ALL) == ([rows[0]], True)


class Deadlines(RuleBasedStateMachine):
    """Filing, cancelling and turning in any order, in parts or whole.

    `filed` maps a row to (deadline, reached, tick): what was asked for, the last tick that was
    fully reached when it was, and the tick the owner was at.
    """

    ROWS, SLOTS = 5, 8

    def __init__(self) -> None:
        super().__init__()
        self.wheel, self.due = wheel_of(self.ROWS, self.SLOTS)
        self.tick = self.reached = 100
        self.filed: dict[int, tuple[int, int, int]] = {}
        self.entries = 0

    @rule(row=st.integers(0, ROWS - 1), ahead=st.integers(-5, 20))
    def file(self, row: int, ahead: int) -> None:
        deadline = self.tick + ahead
        self.wheel.file(row, deadline)
        self.filed[row] = (deadline, self.reached, self.tick)
        self.entries += 1

    @rule(row=st.integers(0, ROWS - 1))
    def cancel(self, row: int) -> None:
        self.wheel.cancel(row)
        self.filed.pop(row, None)

    @rule(passed=st.integers(0, 20), limit=st.integers(1, 6))
    def turn(self, passed: int, limit: int) -> None:
        self.tick += passed
        rows, reached = self.wheel.turn_to(self.tick, limit)
        assert len(rows) <= limit
        self.visited(rows, reached)

    @rule()
    def catch_up(self) -> None:
        most = self.entries + self.tick - self.reached + 1
        for _ in range(most):
            rows, reached = self.wheel.turn_to(self.tick, 1)
            self.visited(rows, reached)
            if reached:
                return
        raise AssertionError(f"{self.tick} is not reached in {most} visits")

    def visited(self, rows: list[int], reached: bool) -> None:
        for row in rows:
            deadline, since, _ = self.filed.pop(row)  # KeyError: not filed, or visited twice
            assert deadline <= self.tick or deadline - since >= self.SLOTS, "visited early"
        if reached:
            self.reached, self.entries = self.tick, self.entries
            for deadline, _, tick in self.filed.values():
                assert max(deadline, tick + 1) > self.tick, "missed"

    @invariant()
    def a_row_is_due_exactly_when_it_is_filed(self) -> None:
        assert {row for row in range(self.ROWS) if self.due[row]} == self.filed.keys()


TestDeadlines = Deadlines.TestCase
TestDeadlines.settings = settings(deadline=None, max_examples=150)
