"""bench/summary.py: one row an aim, next to the floor it was measured against."""

from io import StringIO
from typing import Any

from rich.console import Console

from bench.report import Aim, Section, document
from bench.summary import bound, floor_of, row_of, summary

FANOUT = Section(
    "Fan-out alone: 5,000 viewers",
    [],
    {"C loop (the floor)": {"us": 2.0, "ratio": 1.0}, "shard": {"us": 2.5, "ratio": 1.25}},
    [Aim("against the floor", 1.25, at_most=1.2, peer="picows")],
)
TWO_FLOORS = Section(
    "Inbound",
    [],
    {"recv (the floor)": {"us": 1.0}, "pong": {"us": 2.0}, "send (the floor)": {"us": 3.0}},
    [Aim("CPU of a pong", 2.0, at_most=4), Aim("computed", 0.5, at_least=0.1)],
)


def kept(**sections: Section) -> dict[str, Any]:
    return document(sections, {"idle": "no meminfo"}, {"room": "9 of 10 arrived\nand more"})


def text(run: dict[str, Any]) -> list[list[str]]:
    """The table's rows as the words between its rules."""
    printed = StringIO()
    Console(width=160, file=printed).print(summary(run))
    lines = printed.getvalue().splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]


class TestSummary:
    def test_an_aim_is_a_row_with_floor_ours_bound_peer_and_verdict(self) -> None:
        assert text(kept(fanout=FANOUT))[0] == [
            "fanout", "against the floor", "2.00", "2.50", "1.25", "≤ 1.2", "picows", "missed",
        ]  # fmt: skip

    def test_what_has_no_floor_leaves_it_blank(self) -> None:
        assert text(kept(inbound=TWO_FLOORS))[1] == [
            "inbound", "computed", "", "", "0.50", "≥ 0.1", "", "met",
        ]  # fmt: skip

    def test_what_did_not_run_is_named_with_the_reason(self) -> None:
        skipped, failed = text(kept())
        assert (skipped[:2], skipped[-1]) == (["idle", "no meminfo"], "skipped")
        assert (failed[:2], failed[-1]) == (["room", "9 of 10 arrived"], "failed")


class TestRows:
    def test_the_floor_is_the_last_one_before_the_row(self) -> None:
        [section] = kept(inbound=TWO_FLOORS)["sections"]
        assert row_of(section, section["aims"][0]) == "pong"
        assert floor_of(section, "pong") == {"us": 1.0}
        assert row_of(section, section["aims"][1]) is None

    def test_a_measured_bound_is_shown_with_four_digits(self) -> None:
        assert bound({"at_most": 1.08989, "at_least": None}) == "≤ 1.09"
        assert bound({"at_most": None, "at_least": 30_000}) == "≥ 30,000"
