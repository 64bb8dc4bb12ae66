"""A connection group's columns: one for each counter, without a hole, and which are gauges."""

from pool.scoreboard import Scoreboard
from shard.counters import FIELDS, GAUGES, HISTOGRAMS, Count


def test_no_two_counters_share_a_column_and_none_is_left_out() -> None:
    assert len(Count.__members__) == len(Count)
    assert sorted(Count) == list(range(len(Count)))


def test_what_is_counted_is_read_under_its_name() -> None:
    board = Scoreboard(FIELDS, 1)
    for count in Count:
        board.row(0)[count] = 100 + count
    found = board.read(0)
    for count in Count:
        assert found[count.name.lower()] == 100 + count


def test_histograms_stand_behind_the_counters() -> None:
    assert FIELDS[len(Count) :] == tuple(field for one in HISTOGRAMS for field in one.fields)
    for one in HISTOGRAMS:
        assert FIELDS[one.first : one.end] == one.fields


def test_gauges_are_names_of_columns() -> None:
    assert set(FIELDS) >= GAUGES
