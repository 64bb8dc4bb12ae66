"""What was found, as it is shown and as an exit status."""

import json
from io import StringIO

from rich.console import Console

from chat.ops.findings import Finding, as_json, exit_code, render


class TestExitCode:
    def test_only_a_failure_is_an_exit_code(self) -> None:
        assert exit_code([Finding("a", "note", ""), Finding("b", "ok", "")]) == 0
        assert exit_code([Finding("a", "ok", ""), Finding("b", "problem", "")]) == 1


class TestRendering:
    def test_a_table_and_the_advice_below_it_the_worst_first(self) -> None:
        console = Console(file=StringIO(), width=60)
        findings = [
            Finding("python", "ok", "3.12.1"),
            Finding("files", "note", "few", "raise [them]"),
            Finding("bus", "problem", "[Errno 111]", "start it"),
        ]
        render(findings, console)
        assert isinstance(console.file, StringIO)
        lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
        assert lines == [
            "ok       python  3.12.1",
            "note     files   few",
            "problem  bus     [Errno 111]",
            "",
            "What to do",
            "  bus: start it",
            "  files: raise [them]",
        ]

    def test_nothing_to_do_is_not_announced(self) -> None:
        console = Console(file=StringIO(), width=60)
        render([Finding("python", "ok", "3.12.1")], console)
        assert isinstance(console.file, StringIO)
        assert "What to do" not in console.file.getvalue()

    def test_levels_have_colours(self) -> None:
        console = Console(file=StringIO(), width=60, force_terminal=True, color_system="standard")
        render([Finding("a", "ok", ""), Finding("b", "problem", "")], console)
        assert isinstance(console.file, StringIO)
        assert "\x1b[32mok" in console.file.getvalue()
        assert "\x1b[1;31mproblem" in console.file.getvalue()


class TestJson:
    def test_all_of_each_and_the_worst_of_them(self) -> None:
        findings = [Finding("a", "note", "few", "more"), Finding("b", "ok", "[1]")]
        assert json.loads(as_json(findings)) == {
            "status": "note",
            "findings": [
                {"name": "a", "level": "note", "detail": "few", "advice": "more"},
                {"name": "b", "level": "ok", "detail": "[1]", "advice": ""},
            ],
        }

    def test_nothing_found_is_well(self) -> None:
        assert json.loads(as_json([])) == {"status": "ok", "findings": []}
