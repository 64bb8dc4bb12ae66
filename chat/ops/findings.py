"""What an examination found, and how it is told: a table, advice below it, an exit status.

Rules. Nothing is examined here, that is `doctor`'s. What was found is printed as it is: brackets in
it are text, not the terminal's markup.
"""

from typing import Literal

import msgspec
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Level = Literal["ok", "warn", "fail"]

STYLES: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class Finding(msgspec.Struct, frozen=True):
    name: str
    level: Level
    detail: str
    advice: str = ""


def exit_code(findings: list[Finding]) -> int:
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def render(findings: list[Finding], console: Console | None = None) -> None:
    """Print the findings as a table, and below it what to do, the worst first."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        style = STYLES[finding.level]
        table.add_row(
            Text(finding.level, style=style), Text(finding.name, style="bold"), Text(finding.detail)
        )
    advised = [finding for finding in findings if finding.advice]
    advised.sort(key=lambda finding: finding.level != "fail")
    advice = [
        Padding(Text.assemble((f"{f.name}: ", STYLES[f.level]), f.advice), (0, 0, 0, 2))
        for f in advised
    ]
    (console or Console()).print(Group(table, *([Text("\nWhat to do")] if advice else []), *advice))


def count(number: int, noun: str) -> str:
    """`1 shard`, `2 shards`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
