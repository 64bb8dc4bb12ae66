"""What a rolling restart is judged by."""

from hypothesis import given
from hypothesis import strategies as st

from bench.workloads.rolling import disorder, fullest_second

TIMES = st.lists(st.integers(0, 5_000).map(lambda ms: ms / 1000), max_size=60).map(sorted)


@given(TIMES)
def test_the_fullest_second_is_the_fullest_of_all_that_begin_with_somebody(
    times: list[float],
) -> None:
    from_each = [sum(0 <= other - start <= 1 for other in times) for start in times]
    assert fullest_second(times) == max(from_each, default=0)


@given(st.sets(st.integers(0, 99), min_size=2), st.data())
def test_one_that_comes_again_or_late_is_found(numbers: set[int], data: st.DataObject) -> None:
    told = [f"m{number}" for number in sorted(numbers)]
    assert disorder(told) == 0
    again = data.draw(st.sampled_from(told))
    assert disorder([*told, again]) == 1
