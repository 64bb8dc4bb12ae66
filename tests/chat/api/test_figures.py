"""Figures of a scoreboard: rates between two looks, what shards have, and which of them serve."""

from hypothesis import given
from hypothesis import strategies as st

from chat.api.figures import CLOSED, DROPPED, REFUSED_BY, SILENT, TURNED_AWAY, WINDOW, Figures
from chat.api.live_paths import RatesOut
from chat.counters import FIELDS, ChatCount
from pool.histogram import Histogram
from pool.scoreboard import Scoreboard
from shard.counters import LOOP_LAG_US, Count


def board(shards: int = 2) -> Scoreboard:
    return Scoreboard(FIELDS, shards)


class TestShards:
    def test_they_are_as_the_scoreboard_has_them(self) -> None:
        counts = board()
        row = counts.row(1)
        row[Count.CONNECTIONS], row[Count.SLOW_READERS], row[Count.BACKLOG_BYTES] = 7, 2, 900
        row[ChatCount.ROOMS], row[ChatCount.STARTS], row[ChatCount.BUS_CONNECTED] = 3, 4, 1
        figures = Figures(counts)
        figures.look(1.0)
        none, one = figures.shards()
        assert (none.shard, none.connections, none.bus_connected) == (0, 0, False)
        assert (one.shard, one.connections, one.slow_readers, one.backlog_bytes) == (1, 7, 2, 900)
        assert (one.rooms, one.starts, one.bus_connected) == (3, 4, True)

    def test_one_serves_while_its_loop_ticks(self) -> None:
        counts = board(1)
        lag, figures = Histogram(LOOP_LAG_US, counts.row(0)), Figures(counts)
        figures.look(0.0)
        assert [one.serving for one in figures.shards()] == [False]
        lag.observe(10)
        for now in range(1, SILENT + 1):
            figures.look(float(now))
            assert [one.serving for one in figures.shards()] == [True]
        figures.look(9.0)
        assert [one.serving for one in figures.shards()] == [False]
        lag.observe(10)
        figures.look(10.0)
        assert [one.serving for one in figures.shards()] == [True]

    def test_its_lag_is_the_worst_of_a_while(self) -> None:
        counts = board(1)
        lag, figures = Histogram(LOOP_LAG_US, counts.row(0)), Figures(counts)
        lag.observe(100_000)  # before anybody looked
        figures.look(0.0)
        told = []
        for observed in (300, 6_000, 600):
            lag.observe(observed)
            figures.look(1.0)
            told.append(figures.shards()[0].loop_lag_ms)
        assert told == [0.5, 8.0, 8.0]
        for _ in range(WINDOW):
            figures.look(2.0)
        assert figures.shards()[0].loop_lag_ms == 0.0

    def test_a_lag_beyond_all_bounds_is_more_than_the_last(self) -> None:
        counts = board(1)
        figures = Figures(counts)
        figures.look(0.0)
        Histogram(LOOP_LAG_US, counts.row(0)).observe(60_000_000)
        figures.look(1.0)
        assert figures.shards()[0].loop_lag_ms == 2 * LOOP_LAG_US.bounds[-1] / 1000


class TestRates:
    def test_they_are_of_all_shards_a_second_since_the_look_before(self) -> None:
        counts = board()
        figures = Figures(counts)
        for shard in (0, 1):
            counts.row(shard)[ChatCount.MESSAGES_DELIVERED] = 5_000
        figures.look(10.0)
        assert figures.rates() == RatesOut()
        counts.row(0)[ChatCount.MESSAGES_DELIVERED] += 30
        counts.row(1)[ChatCount.MESSAGES_DELIVERED] += 10
        counts.row(1)[ChatCount.MESSAGES_SHED] += 1
        figures.look(12.0)
        assert (figures.rates().delivered, figures.rates().shed) == (20.0, 0.5)
        figures.look(14.0)
        assert figures.rates() == RatesOut()

    def test_what_is_left_out_is_told_by_its_reason(self) -> None:
        counts = board(1)
        figures = Figures(counts)
        figures.look(0.0)
        row = counts.row(0)
        row[Count.DROPPED_SLOW], row[ChatCount.REFUSED_MUTED], row[Count.CLOSED_SLOW] = 4, 2, 1
        row[Count.REFUSED_FULL] = 3
        figures.look(1.0)
        rates = figures.rates()
        assert (rates.dropped, rates.refused) == ({"slow": 4.0}, {"muted": 2.0})
        assert (rates.closed, rates.turned_away) == ({"slow": 1.0}, {"full": 3.0})

    def test_every_reason_there_is_can_be_told(self) -> None:
        counts = board(1)
        figures = Figures(counts)
        figures.look(0.0)
        for columns in (DROPPED, REFUSED_BY, TURNED_AWAY, CLOSED):
            for column in columns.values():
                counts.row(0)[column] += 1
        figures.look(1.0)
        rates = figures.rates()
        assert rates.dropped.keys() == DROPPED.keys()
        assert rates.refused.keys() == REFUSED_BY.keys()
        assert rates.turned_away.keys() == TURNED_AWAY.keys()
        assert rates.closed.keys() == CLOSED.keys()

    @given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 100)), max_size=12))
    def test_they_are_never_below_nothing(self, looks: list[tuple[int, float]]) -> None:
        counts = board(1)
        figures, now = Figures(counts), 0.0
        for value, seconds in looks:
            now += seconds
            counts.row(0)[Count.WRITES] = value
            figures.look(now)
            assert figures.rates().writes >= 0
