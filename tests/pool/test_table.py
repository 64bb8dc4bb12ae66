"""The connection table: rows are taken, retired, quarantined, reclaimed; generations tell apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pool.handle import Handle
from pool.table import FREE, ConnectionTable

USED, OVER = 1, 9


FOLLOWS = {(FREE, USED), (USED, OVER), (OVER, FREE)}
NAMES = {FREE: "free", USED: "used", OVER: "over"}


def a_table(rows: int) -> ConnectionTable:
    """Its rows are used, over and free, in turn."""
    return ConnectionTable(rows, FOLLOWS, NAMES)


class TestTaking:
    def test_a_new_table_is_free_everywhere(self) -> None:
        table = a_table(8)
        assert table.capacity == 8
        assert list(table.phase) == [FREE] * 8
        assert len(table.generation) == len(table.seen) == len(table.due) == 8

    def test_taking_a_row_sets_phase_and_time_and_clears_the_last_owners_bits(self) -> None:
        table = a_table(8)
        table.variant[3], table.flags[3], table.seen[3] = 2, 0xFF, 7
        table.take(3, USED, 50)
        assert (table.phase[3], table.variant[3], table.flags[3], table.seen[3]) == (USED, 0, 0, 50)

    def test_taking_a_row_touches_no_other(self) -> None:
        table = a_table(8)
        table.take(3, USED, 50)
        assert [row for row in range(8) if table.phase[row] != FREE or table.seen[row]] == [3]

    def test_a_taken_row_cannot_be_taken(self) -> None:
        table = a_table(8)
        table.take(3, USED, 0)
        with pytest.raises(RuntimeError, match="row 3 does not go from used to used"):
            table.take(3, USED, 0)

    def test_a_quarantined_row_cannot_be_taken(self) -> None:
        table = a_table(8)
        table.take(3, USED, 0)
        table.retire(3, OVER, 0)
        with pytest.raises(RuntimeError, match="from over to used"):
            table.take(3, USED, 0)


class TestQuarantine:
    def test_a_row_is_reclaimed_only_after_the_tick_it_was_retired_in(self) -> None:
        table = a_table(8)
        table.take(3, USED, 5)
        table.retire(3, OVER, 5)
        assert table.phase[3] == OVER
        assert table.reclaim(5) == []
        assert table.quarantined == 1
        assert table.reclaim(6) == [3]
        assert table.quarantined == 0
        assert table.phase[3] == FREE

    def test_rows_are_reclaimed_oldest_first(self) -> None:
        table = a_table(8)
        for tick, row in enumerate((6, 2, 4)):
            table.take(row, USED, tick)
            table.retire(row, OVER, tick)
        assert table.reclaim(2) == [6, 2]
        assert table.reclaim(3) == [4]


class TestGenerations:
    def test_a_retired_connection_is_not_alive_even_when_its_row_is_used_again(self) -> None:
        table = a_table(8)
        table.take(3, USED, 0)
        old = table.handle(3)
        assert table.alive(old)
        table.retire(3, OVER, 0)
        assert not table.alive(old)
        table.reclaim(1)
        assert not table.alive(table.handle(3))
        table.take(3, USED, 1)
        assert not table.alive(old)
        assert table.alive(table.handle(3))

    def test_a_generation_wraps_instead_of_overflowing(self) -> None:
        table = a_table(8)
        table.generation[3] = 0xFFFFFFFF
        table.take(3, USED, 0)
        table.retire(3, OVER, 0)
        assert table.generation[3] == 0


class Life(RuleBasedStateMachine):
    """A table against a model: which rows are used, and which wait since when."""

    def __init__(self) -> None:
        super().__init__()
        self.table = a_table(6)
        self.tick = 0
        self.used: dict[int, Handle] = {}
        self.waiting: list[tuple[int, int]] = []
        self.former: set[Handle] = set()

    @precondition(lambda self: len(self.used) + len(self.waiting) < 6)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        free = set(range(6)) - self.used.keys() - {row for row, _ in self.waiting}
        row = data.draw(st.sampled_from(sorted(free)))
        self.table.take(row, USED, self.tick)
        self.used[row] = self.table.handle(row)

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(sorted(self.used)))
        self.table.retire(row, OVER, self.tick)
        self.former.add(self.used.pop(row))
        self.waiting.append((row, self.tick))

    @rule(passed=st.integers(0, 3), age=st.integers(0, 3))
    def reclaim(self, passed: int, age: int) -> None:
        self.tick += passed
        before = self.tick - age
        expected = [row for row, since in self.waiting if since < before]
        assert self.table.reclaim(before) == expected
        self.waiting = [(row, since) for row, since in self.waiting if since >= before]

    @invariant()
    def the_columns_say_what_the_model_says(self) -> None:
        waiting = {row for row, _ in self.waiting}
        assert self.table.quarantined == len(waiting)
        for row in range(6):
            expected = USED if row in self.used else OVER if row in waiting else FREE
            assert self.table.phase[row] == expected

    @invariant()
    def only_the_present_owner_is_alive(self) -> None:
        assert all(self.table.alive(owner) for owner in self.used.values())
        assert not any(self.table.alive(owner) for owner in self.former)


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=50)


@settings(deadline=None)
@given(st.integers(0, 0xFFFFFFFF))
def test_every_column_of_ticks_holds_32_bits(tick: int) -> None:
    table = a_table(1)
    table.take(0, USED, tick)
    table.due[0] = tick
    assert (table.seen[0], table.due[0]) == (tick, tick)
