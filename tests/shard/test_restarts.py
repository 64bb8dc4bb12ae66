"""When who ended starts again."""

import pytest

from shard.restarts import RESTART_MOST_S, STEADY_S, failures_of, restart_delay


@pytest.mark.parametrize(
    ("failures", "delay"), [(1, 0.1), (2, 0.2), (3, 0.4), (7, 6.4), (8, 10.0), (5_000, 10.0)]
)
def test_delays_double_up_to_a_bound(failures: int, delay: float) -> None:
    assert restart_delay(failures) == pytest.approx(delay)
    assert restart_delay(failures) <= RESTART_MOST_S


def test_who_lived_long_enough_is_forgiven() -> None:
    assert failures_of(STEADY_S - 0.1, 3) == 4
    assert failures_of(STEADY_S, 3) == 1
