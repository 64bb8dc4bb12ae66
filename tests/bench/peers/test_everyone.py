"""bench/peers/everyone.py: who is missing is named, and so is who is better than we are."""

from contextlib import ExitStack

import pytest

from bench.harness import Figures, Unavailable
from bench.peers.everyone import US, against, in_turns, makes, present, winners
from bench.peers.server import Server

NCHAN, PICOWS = "nginx + nchan", "picows"
ROWS = {
    "C loop (the floor)": {"us": 1.0},
    US: {"us": 20.0, "per_s": 1000.0},
    NCHAN: {"us": 5.25, "per_s": 400.0},
    PICOWS: {"us": 20.0, "per_s": 12_500.0},
}


def none(cores: int) -> Server:
    raise Unavailable(f"has not {cores} cores")


class TestPresent:
    def test_a_peer_that_is_missing_is_named_with_the_reason(self) -> None:
        with ExitStack() as stack:
            servers, notes = present({NCHAN: none}, 2, stack, Server.settle)
        assert (servers, notes) == ({}, ["nginx + nchan: not measured: has not 2 cores"])

    def test_one_that_cannot_be_warmed_up_is_missing_too(self) -> None:
        def warm(server: Server) -> None:
            server.connect(1)
            raise RuntimeError("nobody came")

        with ExitStack() as stack:
            servers, notes = present({"websockets": makes()["websockets"]}, 1, stack, warm)
        assert (servers, notes) == ({}, ["websockets: not measured: nobody came"])

    def test_ours_may_not_be_missing(self) -> None:
        with ExitStack() as stack, pytest.raises(Unavailable, match="has not 1 cores"):
            present({US: none}, 1, stack, Server.settle)


class TestTurns:
    def test_a_peer_that_fails_is_left_out_from_then_on(self) -> None:
        tries = 0

        def failing() -> Figures:
            nonlocal tries
            tries += 1
            raise RuntimeError("9 of 10 arrived")

        measured, notes = in_turns({US: lambda: {"us": 1.0}, NCHAN: failing}, rounds=3)
        assert list(measured) == [US]
        assert (tries, notes) == (1, ["nginx + nchan: not measured: 9 of 10 arrived"])

    def test_ours_that_fails_is_an_error(self) -> None:
        def failing() -> Figures:
            raise RuntimeError("9 of 10 arrived")

        with pytest.raises(RuntimeError, match="9 of 10"):
            in_turns({US: failing}, rounds=1)


def test_each_row_is_set_against_ours() -> None:
    times = {name: row.get("times_ours") for name, row in against(ROWS, "per_s").items()}
    assert times == {"C loop (the floor)": None, US: 1.0, NCHAN: 0.4, PICOWS: 12.5}


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
