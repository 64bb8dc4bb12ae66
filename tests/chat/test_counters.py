"""A shard's columns: chat's follow the connection group's, without a hole and without a clash."""

from itertools import chain

from chat.counters import FIELDS, GAUGES, HISTOGRAMS, ChatCount, clear_gauges
from pool.scoreboard import Scoreboard
from shard import counters as group
from shard.counters import Count


def test_chats_columns_follow_the_groups_without_a_hole() -> None:
    assert len(ChatCount.__members__) == len(ChatCount)
    columns = [range(one.first, one.end) for one in (*group.HISTOGRAMS, *HISTOGRAMS)]
    assert sorted([*Count, *ChatCount, *chain(*columns)]) == list(range(len(FIELDS)))


def test_what_either_counts_is_read_under_its_name() -> None:
    board = Scoreboard(FIELDS, 1)
    for count in (*Count, *ChatCount):
        board.row(0)[count] = 100 + count
    found = board.read(0)
    for count in (*Count, *ChatCount):
        assert found[count.name.lower()] == 100 + count
    for one in HISTOGRAMS:
        assert FIELDS[one.first : one.end] == one.fields


def test_no_name_means_two_columns() -> None:
    assert len(set(FIELDS)) == len(FIELDS)


def test_gauges_are_names_of_columns_and_the_groups_stay_gauges() -> None:
    assert set(FIELDS) >= GAUGES > group.GAUGES


def test_a_dead_shard_has_nothing_and_has_still_done_what_it_did() -> None:
    board = Scoreboard(FIELDS, 2)
    for shard in (0, 1):
        for column in range(len(FIELDS)):
            board.row(shard)[column] = 100 + column
    clear_gauges(board.row(0))
    for column, field in enumerate(FIELDS):
        assert board.read(0)[field] == (0 if field in GAUGES else 100 + column)
        assert board.read(1)[field] == 100 + column
