"""Families: every column of the scoreboards has its name there, once, and is of its kind."""

from chat.api.families import NODE, SHARDS
from chat.api.family import Distribution, Family
from chat.counters import FIELDS, GAUGES, NODE_FIELDS, NODE_GAUGES

ALL = (*SHARDS, *NODE)


def columns(one: Family | Distribution) -> list[int]:
    if isinstance(one, Distribution):
        return list(range(one.buckets.first, one.buckets.end))
    return list(one.columns.values())


def test_each_column_of_a_shard_is_shown_once() -> None:
    shown = [FIELDS[column] for one in SHARDS for column in columns(one)]
    assert sorted(shown) == sorted(FIELDS)


def test_each_column_of_the_node_is_shown_once() -> None:
    assert sorted(column for one in NODE for column in columns(one)) == [*range(len(NODE_FIELDS))]


def test_gauges_are_what_the_scoreboard_calls_gauges() -> None:
    found = [one for one in SHARDS if isinstance(one, Family) and one.gauge]
    assert {FIELDS[column] for one in found for column in columns(one)} == GAUGES
    found = [one for one in NODE if one.gauge]
    assert {NODE_FIELDS[column] for one in found for column in columns(one)} == NODE_GAUGES


def test_no_name_is_given_twice() -> None:
    assert len({one.name for one in ALL}) == len(ALL)


def test_a_label_has_values_and_values_a_label() -> None:
    for one in ALL:
        if isinstance(one, Family):
            assert bool(one.label) is ("" not in one.columns)
