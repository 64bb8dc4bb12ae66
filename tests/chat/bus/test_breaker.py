"""The circuit breaker, with time as a number."""

from chat.bus.breaker import Breaker, Circuit


def opened(now: float = 100.0) -> Breaker:
    breaker = Breaker(window=5, ratio=0.6, pause_s=1.0)
    for _ in range(5):
        breaker.failed(now)
    assert breaker.state is Circuit.OPEN
    return breaker


class TestClosed:
    def test_it_lets_everything_through(self) -> None:
        breaker = Breaker()
        assert all(breaker.allows(now) for now in (0.0, 1.0, 1e9))
        assert breaker.retry_after(5.0) == 0.0

    def test_it_opens_when_enough_of_a_whole_window_failed(self) -> None:
        breaker = Breaker(window=5, ratio=0.6)
        for outcome in "..xxx":
            assert breaker.allows(1.0)
            breaker.failed(1.0) if outcome == "x" else breaker.succeeded()
        assert not breaker.allows(1.0)

    def test_it_does_not_judge_before_the_window_is_full(self) -> None:
        breaker = Breaker(window=5, ratio=0.6)
        for _ in range(4):
            breaker.failed(1.0)
        assert breaker.allows(1.0)

    def test_it_bears_fewer_failures(self) -> None:
        breaker = Breaker(window=5, ratio=0.6)
        for outcome in "xx..." * 20:
            breaker.failed(1.0) if outcome == "x" else breaker.succeeded()
            assert breaker.state is Circuit.CLOSED

    def test_old_outcomes_are_forgotten(self) -> None:
        breaker = Breaker(window=5, ratio=0.6)
        for outcome in "xx.....xxx":
            assert breaker.allows(1.0)
            breaker.failed(1.0) if outcome == "x" else breaker.succeeded()
        assert not breaker.allows(1.0)


class TestOpen:
    def test_it_lets_nothing_through_until_the_pause_is_over(self) -> None:
        breaker = opened(100.0)
        assert not breaker.allows(100.0)
        assert not breaker.allows(100.999)
        assert breaker.state is Circuit.OPEN

    def test_then_one_call(self) -> None:
        breaker = opened(100.0)
        assert breaker.allows(101.0)
        assert breaker.state is Circuit.HALF_OPEN
        assert not breaker.allows(101.0)
        assert not breaker.allows(999.0)

    def test_it_says_when(self) -> None:
        breaker = opened(100.0)
        assert breaker.retry_after(100.25) == 0.75
        assert breaker.retry_after(100.99) == breaker.retry_after(500.0) == 0.1


class TestHalfOpen:
    def test_a_success_closes_it_with_a_clean_record(self) -> None:
        breaker = opened(100.0)
        assert breaker.allows(101.0)
        breaker.succeeded()
        assert breaker.state is Circuit.CLOSED
        for _ in range(3):
            breaker.failed(102.0)
        assert breaker.state is Circuit.CLOSED

    def test_a_failure_opens_it_for_another_pause(self) -> None:
        breaker = opened(100.0)
        assert breaker.allows(101.5)
        breaker.failed(103.0)
        assert breaker.state is Circuit.OPEN
        assert not breaker.allows(103.9)
        assert breaker.allows(104.0)
