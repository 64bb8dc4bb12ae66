"""bench/peers/everyone.py: who is missing is named, and so is who is better than we are."""

from contextlib import ExitStack

import pytest

from bench.harness import Unavailable
from bench.peers.everyone import US, against, present, winners
from bench.peers.server import Server

NCHAN, PICOWS = "nginx + nchan", "picows"
ROWS = {
    "C loop (the floor)": {"us": 1.0},
    US: {"us": 20.0, "per_s": 1000.0},
    NCHAN: {"us": 5.25, "per_s": 400.0},
    PICOWS: {"us": 20.0, "per_s": 12_500.0},
}


def test_one_that_is_missing_is_named_with_the_reason() -> None:
    def make(cores: int) -> Server:
        raise Unavailable(f"has not {cores} cores")

    with ExitStack() as stack:
        assert present({NCHAN: make}, 2, stack) == (
            {},
            ["nginx + nchan: not measured: has not 2 cores"],
        )


def test_each_row_is_set_against_ours() -> None:
    times = {name: row.get("times_ours") for name, row in against(ROWS, "per_s").items()}
    assert times == {"C loop (the floor)": None, US: 1.0, NCHAN: 0.4, PICOWS: 12.5}


def test_without_ours_there_is_nothing_to_compare() -> None:
    with pytest.raises(Unavailable, match="no node"):
        against({NCHAN: {"us": 1.0}}, "us")


class TestWinners:
    def test_a_peer_that_is_better_is_said_to_win_and_the_floor_is_none(self) -> None:
        assert winners(ROWS, "us", "µs a join") == [
            "nginx + nchan wins: 5.25 µs a join, Danmaku 20.0."
        ]

    def test_more_may_be_better(self) -> None:
        assert winners(ROWS, "per_s", "messages a second", more_is_better=True) == [
            "picows wins: 12,500 messages a second, Danmaku 1,000."
        ]

    def test_that_none_is_better_is_said_too(self) -> None:
        rows = {US: {"us": 1.0}, NCHAN: {"us": 2.0}}
        assert winners(rows, "us", "µs") == ["No peer is better than Danmaku: 1.00 µs."]
