"""What may be written to whole rooms that nobody waits for, a second."""

from hypothesis import given
from hypothesis import strategies as st

from chat.rooms.budget import FRAME_WRITES, WriteBudget


def test_a_pause_saves_no_more_than_a_second() -> None:
    budget = WriteBudget(10)
    budget.refill(5_000)
    assert [budget.take(4 - FRAME_WRITES) for _ in range(4)] == [True, True, True, False]
    budget.refill(5_001)
    assert [budget.take(8 - FRAME_WRITES) for _ in range(2)] == [True, False]


@given(st.integers(1, 100), st.lists(st.tuples(st.integers(0, 3), st.integers(1, 500))))
def test_what_is_taken_is_within_it_but_for_the_last(
    per_s: int, takes: list[tuple[int, int]]
) -> None:
    budget = WriteBudget(per_s)
    tick = taken = last = 0
    for wait, members in takes:
        tick += wait
        budget.refill(tick)
        if budget.take(members):
            last = members + FRAME_WRITES
            taken += last
        assert taken - last < per_s * (tick + 1)
