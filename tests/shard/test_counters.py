"""A connection group's columns: one for each counter, without a hole, and which are gauges."""

from pool.scoreboard import Scoreboard
from shard.counters import FIELDS, GAUGES, Count


def test_no_two_counters_share_a_column_and_none_is_left_out() -> None:
    assert len(Count.__members__) == len(Count)
    assert sorted(Count) == list(range(len(Count)))


def test_what_is_counted_is_read_under_its_name() -> None:
    board = Scoreboard(FIELDS, 1)
    for count in Count:
        board.row(0)[count] = 100 + count
    assert board.read(0) == {count.name.lower(): 100 + count for count in Count}


def test_gauges_are_names_of_columns() -> None:
    assert set(FIELDS) >= GAUGES
