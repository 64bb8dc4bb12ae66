"""How long a client stays away."""

import pytest

from chat.client.backoff import Backoff, may_return


def waits(chance: float, count: int) -> list[float]:
    backoff = Backoff(lambda: chance)
    return [backoff.next_s() for _ in range(count)]


class TestBackoff:
    def test_the_most_doubles_from_half_a_second_to_twenty(self) -> None:
        assert waits(1.0, 8) == [0.5, 1, 2, 4, 8, 16, 20, 20]

    def test_jitter_is_full(self) -> None:
        assert waits(0.0, 3) == [0, 0, 0]
        assert waits(0.5, 3) == [0.25, 0.5, 1]

    def test_it_never_overflows(self) -> None:
        assert waits(1.0, 5000)[-1] == 20

    def test_what_the_server_told_wins_and_counts_as_a_failure(self) -> None:
        backoff = Backoff(lambda: 1.0)
        assert backoff.next_s(told_s=3.7) == 3.7
        assert backoff.next_s() == 1

    def test_a_negative_wait_is_none(self) -> None:
        assert Backoff(lambda: 1.0).next_s(told_s=-5) == 0

    def test_after_a_good_connection_it_begins_anew(self) -> None:
        backoff = Backoff(lambda: 1.0)
        assert [backoff.next_s() for _ in range(3)] == [0.5, 1, 2]
        backoff.reset()
        assert backoff.next_s() == 0.5


class TestMayReturn:
    @pytest.mark.parametrize("code", [0, 1000, 1001, 1006, 1011, 4000, 4003, 4499, 4505, 5000])
    def test_most_ends_are_worth_another_try(self, code: int) -> None:
        assert may_return(code)

    @pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 4500, 4501, 4503, 4999])
    def test_from_4500_on_it_is_over_and_where_it_would_be_wrong_again(self, code: int) -> None:
        assert not may_return(code)
