"""The one table a run ends with: each aim, what was measured, its bound, and whether it was met.

Rule: it reads a run as `report.document` keeps it, so a table can be had again from any JSON.
"""

from typing import Any

from rich.table import Table
from rich.text import Text

COLUMNS = ["floor µs", "our µs", "value", "bound", "best peer"]


def summary(run: dict[str, Any]) -> Table:
    table = Table(title="Summary", title_justify="left", title_style="bold")
    table.add_column("workload", no_wrap=True)
    table.add_column("aim", overflow="fold")
    for title in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for section in run["sections"]:
        for aim in section["aims"]:
            table.add_row(section["workload"], aim["what"], *_figures(section, aim), _verdict(aim))
    for kind, style in (("skipped", "yellow"), ("failed", "red")):
        for workload, reason in run[kind].items():
            first = (reason.splitlines() or [""])[0]
            table.add_row(workload, Text(first), *[""] * len(COLUMNS), Text(kind, style))
    return table


def row_of(section: dict[str, Any], aim: dict[str, Any]) -> str | None:
    """The name of the row an aim's value was taken from; None when it was computed."""
    return next(
        (name for name, row in section["rows"].items() if aim["value"] in row.values()), None
    )


def floor_of(section: dict[str, Any], row: str) -> dict[str, float] | None:
    """The floor `row` was measured against: the last one before it."""
    found = None
    for name, figures in section["rows"].items():
        if "floor" in name:
            found = figures
        if name == row:
            break
    return found


def bound(aim: dict[str, Any]) -> str:
    most = aim["at_most"]
    return f"≥ {aim['at_least']:,g}" if most is None else f"≤ {float(f'{most:.4g}'):,g}"


def _figures(section: dict[str, Any], aim: dict[str, Any]) -> list[str]:
    row = row_of(section, aim)
    floor = floor_of(section, row) if row else None
    ours = section["rows"][row].get("us") if row and floor else None
    return [
        f"{floor['us']:.2f}" if floor else "",
        f"{ours:.2f}" if ours is not None else "",
        f"{aim['value']:,.2f}",
        bound(aim),
        aim.get("peer", ""),
    ]


def _verdict(aim: dict[str, Any]) -> Text:
    return Text("met", "green") if aim["met"] else Text("missed", "bold red")
