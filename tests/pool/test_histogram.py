"""Histograms on a scoreboard: each value in the least bucket that holds it."""

from hypothesis import given
from hypothesis import strategies as st

from pool.histogram import Buckets, Histogram, doubling
from pool.scoreboard import Scoreboard

BUCKETS = Buckets("size", 2, (1, 2, 4))


def test_its_columns_have_names_in_order() -> None:
    assert BUCKETS.fields == ("size_to_1", "size_to_2", "size_to_4", "size_beyond", "size_sum")
    assert (BUCKETS.first, BUCKETS.sum, BUCKETS.end) == (2, 6, 7)


def test_bounds_double() -> None:
    assert doubling(250, 4) == (250, 500, 1000, 2000)


def test_a_value_that_is_a_bound_is_within_it() -> None:
    row = Scoreboard(("a", "b", *BUCKETS.fields, "c"), 1).row(0)
    for value in (0, 1, 2, 3, 4, 5):
        Histogram(BUCKETS, row).observe(value)
    assert list(row) == [0, 0, 2, 1, 2, 1, 15, 0]


def test_a_clock_that_was_set_back_makes_nothing_of_it() -> None:
    row = Scoreboard(("a", "b", *BUCKETS.fields), 1).row(0)
    Histogram(BUCKETS, row).observe(-7)
    assert list(row) == [0, 0, 1, 0, 0, 0, 0]


@given(st.lists(st.integers(0, 10_000)))
def test_buckets_hold_all_values_and_sum_up(values: list[int]) -> None:
    buckets = Buckets("x", 0, doubling(3, 8))
    row = Scoreboard(buckets.fields, 1).row(0)
    histogram = Histogram(buckets, row)
    for value in values:
        histogram.observe(value)
    for i, bound in enumerate(buckets.bounds):
        assert sum(row[: i + 1]) == len([value for value in values if value <= bound])
    assert sum(row[: buckets.sum]) == len(values)
    assert row[buckets.sum] == sum(values)
