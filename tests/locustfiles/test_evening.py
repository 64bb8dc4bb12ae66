"""locustfiles/evening.py: few, then all, then few, then the end."""

import hypothesis.strategies as st
from hypothesis import given

from locustfiles.evening import stage


def test_it_is_quiet_before_the_peak_and_after_it() -> None:
    users = [stage(now, 100) for now in (0.0, 0.5, 0.9)]
    assert users == [(30, 50.0), (100, 50.0), (30, 50.0)]


def test_it_ends() -> None:
    assert stage(1.0, 100) is None


@given(st.floats(0, 0.999), st.integers(1, 100_000))
def test_there_is_always_somebody_and_never_more_than_the_peak(now: float, peak: int) -> None:
    found = stage(now, peak)
    assert found is not None
    users, rate = found
    assert 1 <= users <= peak
    assert rate >= 1
