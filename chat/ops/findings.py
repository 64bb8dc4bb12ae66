"""What an examination found, and how it is told: a table, advice below it, an exit status.

Rules. A finding is "ok", a "note", which costs something or will, or a "problem", which is in a
node's way and the only one that is an exit status. Nothing is examined here, that is `doctor`'s.
What was found is printed as it is: brackets in it are text, not the terminal's markup.
"""

from typing import Final, Literal, get_args

import msgspec
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Level = Literal["ok", "note", "problem"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
STYLES: dict[Level, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}


class Finding(msgspec.Struct, frozen=True):
    name: str
    level: Level
    detail: str
    advice: str = ""


def exit_code(findings: list[Finding]) -> int:
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def as_json(findings: list[Finding]) -> str:
    """`{"status": the worst level, "findings": [{"name", "level", "detail", "advice"}]}`."""
    worst = max((LEVELS.index(finding.level) for finding in findings), default=0)
    document = {"status": LEVELS[worst], "findings": findings}
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def render(findings: list[Finding], console: Console | None = None) -> None:
    """Print the findings as a table, and below it what to do, the worst first."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        style = STYLES[finding.level]
        table.add_row(
            Text(finding.level, style=style), Text(finding.name, style="bold"), Text(finding.detail)
        )
    advised = [finding for finding in findings if finding.advice]
    advised.sort(key=lambda finding: finding.level != "problem")
    advice = [
        Padding(Text.assemble((f"{f.name}: ", STYLES[f.level]), f.advice), (0, 0, 0, 2))
        for f in advised
    ]
    (console or Console()).print(Group(table, *([Text("\nWhat to do")] if advice else []), *advice))


def count(number: int, noun: str) -> str:
    """`1 shard`, `2 shards`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
