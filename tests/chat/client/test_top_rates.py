"""Rates and quantiles of two looks; properties on the code that `danmaku top` shows numbers by."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.top_rates import Between, Labels, Look, increase, quantile, read

JOINS = "danmaku_joins_total"
TURN = "danmaku_turn_seconds"
NAMES = frozenset({JOINS, f"{TURN}_bucket", "danmaku_connections"})
TEXT = """\
# HELP danmaku_joins_total Joins of rooms that were carried out.
# TYPE danmaku_joins_total counter
danmaku_joins_total{shard="0"} 10.0
danmaku_joins_total{shard="1"} 5.0
danmaku_writes_total{shard="0"} 99.0
# TYPE danmaku_turn_seconds histogram
danmaku_turn_seconds_bucket{le="0.001",shard="0"} 3.0
danmaku_turn_seconds_bucket{le="+Inf",shard="0"} 4.0
danmaku_turn_seconds_count{shard="0"} 4.0
"""

COUNTS = st.floats(0, 1e15)
SHARDS = st.dictionaries(st.sampled_from("0123"), COUNTS, max_size=4)
BOUNDS = (0.001, 0.002, 0.004, math.inf)
GROWTH = st.tuples(*[st.integers(0, 1000)] * len(BOUNDS))


def counted(at: float, by_shard: dict[str, float]) -> Look:
    return Look(at, {JOINS: {frozenset({("shard", s)}): n for s, n in by_shard.items()}})


def cumulative(each: tuple[int, ...]) -> list[float]:
    return [float(sum(each[: i + 1])) for i in range(len(each))]


def histogram(at: float, each: tuple[int, ...], shard: str = "0") -> Look:
    series: dict[Labels, float] = {
        frozenset({("le", "+Inf" if bound == math.inf else str(bound)), ("shard", shard)}): count
        for bound, count in zip(BOUNDS, cumulative(each), strict=True)
    }
    return Look(at, {f"{TURN}_bucket": series})


class TestReading:
    def test_only_what_is_asked_for_is_kept(self) -> None:
        look = read(TEXT, 1.0, NAMES)
        assert set(look.samples) == {JOINS, f"{TURN}_bucket"}
        assert look.total(JOINS) == 15
        assert look.total(JOINS, shard="1") == 5
        assert look.values(JOINS, "shard") == ["0", "1"]

    def test_what_is_not_there_is_unknown_and_not_nothing(self) -> None:
        look = read(TEXT, 1.0, NAMES)
        assert look.total("danmaku_connections") is None
        assert look.total(JOINS, shard="7") is None
        assert Between(look, Look(2.0)).rate(JOINS) is None

    def test_shards_stand_in_the_order_of_numbers(self) -> None:
        look = counted(0.0, dict.fromkeys(["10", "9", "2"], 1.0))
        assert look.values(JOINS, "shard") == ["2", "9", "10"]

    @pytest.mark.parametrize("text", ["", "<html></html>", "joins 3"])
    def test_another_text_has_none_of_it(self, text: str) -> None:
        assert read(text, 0.0, NAMES).samples == {}

    @given(st.text() | st.text().map(lambda tail: JOINS + tail))
    def test_whatever_comes_it_is_a_look_or_a_value_error(self, text: str) -> None:
        try:
            look = read(text, 0.0, NAMES)
        except ValueError:
            return
        assert all(math.isfinite(n) for of in look.samples.values() for n in of.values())


class TestRates:
    def test_growth_over_the_seconds_between(self) -> None:
        seen = Between(counted(10.0, {"0": 5, "1": 5}), counted(12.0, {"0": 9, "1": 5}))
        assert seen.rate(JOINS) == 2
        assert seen.rates(JOINS, "shard") == {"0": 2}

    def test_a_counter_that_fell_has_begun_anew(self) -> None:
        assert Between(counted(0.0, {"0": 1e6}), counted(2.0, {"0": 8})).rate(JOINS) == 4

    def test_a_new_series_says_nothing_yet(self) -> None:
        seen = Between(counted(0.0, {"0": 1}), counted(1.0, {"0": 2, "1": 1000}))
        assert seen.rate(JOINS) == 1

    def test_one_look_is_no_rate(self) -> None:
        assert Between(None, counted(0.0, {"0": 1})).rate(JOINS) is None

    @given(SHARDS, SHARDS, st.floats(-10, 1e6))
    def test_no_rate_is_negative_whatever_fell(
        self, before: dict[str, float], now: dict[str, float], seconds: float
    ) -> None:
        rate = Between(counted(0.0, before), counted(seconds, now)).rate(JOINS)
        if rate is None:
            assert seconds <= 0 or not before.keys() & now.keys()
        else:
            assert rate >= 0

    @given(st.lists(st.integers(0, 10**12), min_size=3, max_size=3))
    def test_what_grew_in_two_parts_grew_in_all(self, grown: list[int]) -> None:
        first, second, third = (sum(grown[: i + 1]) for i in range(3))
        assert increase(first, second) + increase(second, third) == increase(first, third)


class TestQuantiles:
    def test_only_what_came_between_counts(self) -> None:
        seen = Between(histogram(0.0, (100, 0, 0, 0)), histogram(1.0, (100, 0, 4, 0)))
        assert seen.quantile(0.5, TURN) == pytest.approx(0.003)
        assert seen.quantile(1, TURN) == 0.004

    def test_without_observations_there_is_none(self) -> None:
        look = histogram(0.0, (1, 2, 3, 4))
        assert Between(look, look).quantile(0.5, TURN) is None
        assert Between(None, look).quantile(0.5, TURN) is None

    def test_beyond_all_bounds_is_at_the_last(self) -> None:
        seen = Between(histogram(0.0, (0, 0, 0, 0)), histogram(1.0, (0, 0, 0, 9)))
        assert seen.quantile(0.99, TURN) == 0.004

    def test_a_node_that_began_anew_shows_its_new_life(self) -> None:
        seen = Between(histogram(0.0, (0, 0, 9, 0)), histogram(1.0, (2, 0, 0, 0)))
        assert seen.quantile(1, TURN) == 0.001

    @given(GROWTH, GROWTH, st.floats(0, 1), st.floats(0, 1))
    def test_it_lies_within_the_bounds_and_grows_with_the_share(
        self, before: tuple[int, ...], after: tuple[int, ...], one: float, other: float
    ) -> None:
        seen = Between(histogram(0.0, before), histogram(1.0, after))
        low, high = (seen.quantile(share, TURN) for share in sorted((one, other)))
        assert (low is None) == (high is None)
        if low is not None and high is not None:
            assert 0 <= low <= high + 1e-12
            assert high <= 0.004

    @given(GROWTH, st.floats(0.01, 1))
    def test_it_is_in_the_bucket_that_the_observation_is_in(
        self, each: tuple[int, ...], share: float
    ) -> None:
        found = quantile(share, list(zip(BOUNDS, cumulative(each), strict=True)))
        if not sum(each):
            assert found is None
            return
        assert found is not None
        rank = share * sum(each)
        bucket = next(i for i, up_to in enumerate(cumulative(each)) if up_to >= rank)
        low = BOUNDS[bucket - 1] if bucket else 0.0
        assert low <= found <= (BOUNDS[bucket] if bucket < 3 else 0.004) + 1e-12
