"""Rates per row, with time as a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.policy.rates import Rates, RatesByName, told_s


def allowed(flow: Rates, row: int, now: float, tries: int) -> int:
    return sum(not flow.wait(row, now) for _ in range(tries))


@given(st.floats(0, 1e8), st.integers(1, 1_000), st.integers(1, 100))
def test_a_burst_is_exactly_as_long_as_it_was_told(now: float, per_s: int, burst: int) -> None:
    flow = Rates(1, per_s, burst)
    assert allowed(flow, 0, now, 2 * burst) == burst


def test_after_it_the_rate_holds() -> None:
    flow = Rates(1, 10, 4)
    passed = sum(not flow.wait(0, 1_000 + i / 100) for i in range(1_000))
    assert passed == pytest.approx(4 + 99, abs=1)


def test_it_says_how_long_to_wait_and_that_is_enough() -> None:
    flow = Rates(1, 10, 2)
    allowed(flow, 0, 5.0, 2)
    wait = flow.wait(0, 5.0)
    assert wait == pytest.approx(0.1, rel=0.02)
    assert flow.wait(0, 5.0 + wait / 2) == pytest.approx(wait / 2, rel=0.02)
    assert flow.wait(0, 5.0 + wait) == 0.0


def test_what_was_used_up_stays_so_when_the_rate_changes() -> None:
    flow = Rates(2, 1, 10)
    assert allowed(flow, 0, 1_000.0, 20) == 10
    flow.set(1, 14)
    assert allowed(flow, 0, 1_000.0, 20) == 4
    assert allowed(flow, 1, 1_000.0, 20) == 14
    flow.set(100, 2)
    assert allowed(flow, 0, 1_000.0, 20) == 0
    assert allowed(flow, 0, 1_020.0, 20) == 2


def test_being_refused_costs_nothing() -> None:
    flow = Rates(1, 10, 2)
    allowed(flow, 0, 5.0, 1_000)
    assert flow.wait(0, 5.1) == 0.0


def test_rows_do_not_know_of_each_other() -> None:
    flow = Rates(3, 10, 2)
    assert allowed(flow, 1, 5.0, 9) == 2
    assert allowed(flow, 0, 5.0, 9) == allowed(flow, 2, 5.0, 9) == 2


def test_a_new_connection_has_its_whole_burst() -> None:
    flow = Rates(1, 10, 5)
    allowed(flow, 0, 5.0, 9)
    flow.begin(0, 5.0, 0)
    assert allowed(flow, 0, 5.0, 9) == 5


def test_silence_saves_up_no_more_than_a_burst() -> None:
    flow = Rates(1, 10, 5)
    allowed(flow, 0, 5.0, 9)
    assert allowed(flow, 0, 1e6, 99) == 5


def test_what_a_new_connection_was_given_is_owed_also_beyond_a_burst() -> None:
    flow = Rates(1, 10, 5)
    flow.begin(0, 5.0, 8)
    assert flow.wait(0, 5.0) == pytest.approx(0.4, rel=0.02)
    assert allowed(flow, 0, 5.45, 9) == 1


class TestByName:
    @given(st.integers(1, 100), st.integers(1, 50))
    def test_each_name_has_its_own_burst(self, per_s: int, burst: int) -> None:
        rates = RatesByName(per_s, burst, 10)
        for name in "ab":
            assert sum(not rates.wait(name, 5.0) for _ in range(2 * burst)) == burst

    def test_it_is_a_row_of_rates(self) -> None:
        named, rows = RatesByName(10, 4, 10), Rates(1, 10, 4)
        for i in range(300):
            assert named.wait("a", 1 + i / 50) == rows.wait(0, 1 + i / 50)

    def test_so_many_are_remembered_the_busiest_of_all(self) -> None:
        rates = RatesByName(1, 5, 100)
        for _ in range(5):
            rates.wait("busy", 1.0)
        for i in range(1_000):
            rates.wait(f"n{i}", 1.0)
            assert len(rates) <= 100
        assert rates.wait("busy", 1.0) > 0
        for i in range(101):
            rates.wait(f"m{i}", 1_000.0)
        assert len(rates) <= 50


@given(st.floats(0.001, 1e6))
def test_a_wait_is_told_in_hundredths_and_never_too_short(wait: float) -> None:
    told = told_s(wait)
    assert wait - 1e-6 <= told < wait + 0.011
    assert round(told, 2) == told


def test_whole_hundredths_are_told_as_they_are() -> None:
    assert [told_s(n / 100) for n in range(1, 2_000)] == [n / 100 for n in range(1, 2_000)]
