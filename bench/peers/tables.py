"""What docs/performance.md says of other servers, written into it from a run.

Usage: python -m bench.peers.tables [RUN.json], the last run when none is named.
Rule: a part is what stands between its two marks, and this file's alone; a part of which the run
has not all workloads stays as it is, so a table is always of one run.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.child import HERE, OUT
from bench.peers.everyone import WINS

DOCUMENT = HERE.parent / "docs/performance.md"
BEGIN, END = "<!-- peers: {} -->", "<!-- peers: end -->"
DELIVERIES, REST = ("peers", "peers_15k"), ("peers_joins", "peers_idle", "peers_typed")
LABELS = {
    "peers": "Delivery, 5,000 viewers",
    "peers_15k": "Delivery, 15,000 viewers",
    "peers_joins": "Joins",
    "peers_idle": "Idle",
    "peers_typed": "Typed",
}
QUIET_LOAD = 1.0
OURS, FLOOR = "Danmaku", "floor"
COSTS = ("us", "private")
TOLD = (WINS, " lost ", "not measured")
"""Of a workload's notes, those that have one of these."""

Run = dict[str, Any]
Rows = dict[str, dict[str, float]]


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT / "latest.json"
    written, parts = write(DOCUMENT.read_text(), json.loads(path.read_text()))
    DOCUMENT.write_text(written)
    print(f"{DOCUMENT}: {', '.join(parts) or 'nothing'} written from {path}")


def write(text: str, run: Run) -> tuple[str, list[str]]:
    """The document with every part that the run has all workloads of; the names of those parts."""
    found = {section["workload"]: section for section in run["sections"]}
    parts: dict[str, tuple[tuple[str, ...], Callable[..., list[str]]]] = {
        "deliveries": (DELIVERIES, deliveries),
        "the rest": (REST, rest),
    }
    written = []
    for name, (workloads, make) in parts.items():
        if all(workload in found for workload in workloads):
            sections = [found[workload] for workload in workloads]
            lines = [*make(*sections), "", *said(sections), caption(run)]
            text = between(text, name, "\n".join(lines))
            written.append(name)
    return text, written


def between(text: str, name: str, part: str) -> str:
    """The document with `part` in the place of that name. Raises ValueError when it has none."""
    begin = BEGIN.format(name)
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the document has no {begin} with {END} after it")
    return pattern.sub(lambda _: f"{begin}\n{part}\n{END}", text, count=1)


def caption(run: Run) -> str:
    machine = run["machine"]
    load = machine["load_before"][0]
    busy = (
        "" if load <= QUIET_LOAD else ": **the machine was busy with others; read the ratios only**"
    )
    return (
        f"The run of {machine['at'][:16].replace('T', ' ')} UTC at {machine['revision']}, load"
        f" {load:.1f} before it{busy}. Written by `python -m bench.peers.tables`."
    )


def deliveries(small: Run, large: Run) -> list[str]:
    titles = [re.search(r"[\d,]+ viewers", section["title"]) for section in (small, large)]
    lines = row("", *(title[0] if title else "" for title in titles)) + row(*["---"] * 3)
    rows: tuple[Rows, Rows] = (small["rows"], large["rows"])
    for name in sorted(rows[0], key=lambda name: (FLOOR not in name, rows[0][name]["ratio"])):
        cells = [_ratio(name, each[name]) if name in each else "–" for each in rows]
        lines += row(_name(name), *cells)
    return lines


def rest(joins: Run, idle: Run, typed: Run) -> list[str]:
    titles = (
        "µs of CPU a join", "joins/s of a core", "joins/s seen", "bytes of an idle viewer",
        "typed messages/s", "µs of CPU a typed message",
    )  # fmt: skip
    lines = row("", *titles) + row(*["---"] * 7)
    tables: list[tuple[Rows, str, str]] = [
        (joins["rows"], "us", ",.1f"),
        (joins["rows"], "per_core_s", ",.0f"),
        (joins["rows"], "per_s", ",.0f"),
        (idle["rows"], "private", ",.0f"),
        (typed["rows"], "per_s", ",.0f"),
        (typed["rows"], "us", ",.1f"),
    ]
    names = dict.fromkeys([*joins["rows"], *idle["rows"], *typed["rows"]])
    for name in names:
        lines += row(_name(name), *(_cell(rows.get(name, {}), *how) for rows, *how in tables))
    return lines


def said(sections: list[Run]) -> list[str]:
    """Where a peer wins, and who is missing, as a list; nothing when there is nothing to say."""
    lines = [
        f"- {LABELS[section['workload']]}: {note}"
        for section in sections
        for note in section["notes"]
        if any(word in note for word in TOLD)
    ]
    return ["Where a peer wins, and who is missing:", "", *lines, ""] if lines else []


def row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _cell(figures: dict[str, float], key: str, form: str) -> str:
    """The figure; a cost with its multiples of ours and, where it has one, of the floor."""
    if key not in figures:
        return "–"
    times = [figures[of] for of in ("times_ours", "ratio") if of in figures]
    shown = format(figures[key], form)
    return f"{shown} ({', '.join(map(_times, times))})" if key in COSTS else shown


def _times(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _ratio(name: str, figures: dict[str, float]) -> str:
    if FLOOR in name:
        return f"{figures['us']:.2f} µs = 1.00"
    shown = f"{figures['ratio']:.2f}"
    shown = f"**{shown}**" if name.startswith(OURS) else shown
    return f"{shown} ({figures['ratio_low']:.2f}–{figures['ratio_high']:.2f})"


def _name(name: str) -> str:
    return f"**{name}**" if name.startswith(OURS) else name


if __name__ == "__main__":
    main()
