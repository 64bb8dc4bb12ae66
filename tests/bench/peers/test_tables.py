"""bench/peers/tables.py: the document's parts are a run's figures, and nothing else is touched."""

from typing import Any

import pytest

from bench.peers.tables import DOCUMENT, between, write
from bench.report import Section, document

FLOOR, US, NCHAN = "C loop (the floor)", "Danmaku: server", "nginx + nchan"
DOC = (
    "before\n<!-- peers: deliveries -->\nold\n<!-- peers: end -->\nbetween\n"
    "<!-- peers: the rest -->\nold too\n<!-- peers: end -->\nafter\n"
)


def delivered(viewers: str) -> Section:
    rows = {
        NCHAN: {"us": 6.0, "ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3},
        US: {"us": 5.5, "ratio": 1.1, "ratio_low": 1.0, "ratio_high": 1.2},
        FLOOR: {"us": 5.0, "ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0},
    }
    return Section(f"Beside others: {viewers} viewers of one room", [], rows)


def run_of(sections: dict[str, Section], load: float = 0.1) -> dict[str, Any]:
    run = document(sections, {}, {})
    run["machine"] |= {"at": "2026-01-02T03:04:05+00:00", "revision": "abc"}
    run["machine"]["load_before"] = [load, 0.0, 0.0]
    return run


BOTH = {"peers": delivered("5,000"), "peers_15k": delivered("15,000")}
JOINS = Section(
    "Joins beside others: 5,000 viewers",
    [],
    {
        FLOOR: {
            "us": 9.0,
            "per_core_s": 111_111.1,
            "per_s": 20_000.0,
            "times_ours": 0.36,
            "ratio": 1.0,
        },
        US: {
            "us": 25.0,
            "per_core_s": 40_000.0,
            "per_s": 15_000.0,
            "times_ours": 1.0,
            "ratio": 2.78,
        },
    },
    notes=["nginx + nchan wins: 12 µs of CPU a join, Danmaku 25.", "Nothing."],
)
IDLE = Section(
    "Idle beside others: 15",
    [],
    {US: {"private": 176.4, "times_ours": 1.0}, NCHAN: {"private": 9000.0, "times_ours": 51.02}},
)
TYPED = Section(
    "Typed beside others: 500",
    [],
    {NCHAN: {"per_s": 1234.5, "us": 31.0, "times_ours": 0.7, "ratio": 0.8}},
)

REST = {"peers_joins": JOINS, "peers_idle": IDLE, "peers_typed": TYPED}


def lines(text: str) -> list[str]:
    return text.splitlines()


class TestParts:
    def test_deliveries_are_a_row_a_server_the_floor_first_then_the_cheapest(self) -> None:
        text, parts = write(DOC, run_of(BOTH))
        assert parts == ["deliveries"]
        assert lines(text)[2:7] == [
            "|  | 5,000 viewers | 15,000 viewers |",
            "| --- | --- | --- |",
            "| C loop (the floor) | 5.00 µs = 1.00 | 5.00 µs = 1.00 |",
            "| **Danmaku: server** | **1.10** (1.00–1.20) | **1.10** (1.00–1.20) |",
            "| nginx + nchan | 1.20 (1.10–1.30) | 1.20 (1.10–1.30) |",
        ]

    def test_the_rest_is_one_table_of_three_workloads(self) -> None:
        text, _ = write(DOC, run_of(REST))
        assert (
            "| **Danmaku: server** | 25.0 (1.00, 2.78) | 40,000 | 15,000 | 176 (1.00) | – | – |"
            in text
        )
        assert "| C loop (the floor) | 9.0 (0.36, 1.00) | 111,111 | 20,000 | – | – | – |" in text
        assert "| nginx + nchan | – | – | – | 9,000 (51) | 1,234 | 31.0 (0.70, 0.80) |" in text
        assert "- Joins: nginx + nchan wins: 12 µs of CPU a join" in text
        assert "Nothing." not in text

    def test_what_stands_outside_and_what_was_not_measured_stays(self) -> None:
        text, parts = write(DOC, run_of(BOTH | {"peers_joins": JOINS}))
        assert parts == ["deliveries"]
        assert text.startswith("before\n")
        assert text.endswith("between\n" + DOC.partition("between\n")[2])

    def test_writing_twice_is_writing_once(self) -> None:
        once, _ = write(DOC, run_of(BOTH))
        assert write(once, run_of(BOTH))[0] == once

    def test_a_document_without_the_marks_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no <!-- peers: deliveries -->"):
            between("nothing", "deliveries", "part")


class TestCaption:
    def test_a_busy_machine_is_said(self) -> None:
        quiet, busy = write(DOC, run_of(BOTH))[0], write(DOC, run_of(BOTH, load=8.0))[0]
        assert "2026-01-02 03:04 UTC at abc, load 0.1 before it. Written" in quiet
        assert "load 8.0 before it: **the machine was busy" in busy


def test_the_document_has_a_place_for_each_part() -> None:
    text = DOCUMENT.read_text()
    for name in ("deliveries", "the rest"):
        assert between(text, name, "part") != text
