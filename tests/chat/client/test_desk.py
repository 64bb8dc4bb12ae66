"""A moderator's commands: how they are read, and what they print."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from chat.cli import app
from chat.client.desk import audit_line, day, parse_setting, ruled

NOBODY = ("--api", "http://127.0.0.1:1")
TS = 1_764_000_000_000


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1"})


class TestUse:
    @pytest.mark.parametrize(
        "command",
        [
            ("mute",),
            ("mute", "u", "--seconds", "soon"),
            ("ban", "10.0.0.0/8", "--address", "--room", "r"),
            ("delete", "r", "first"),
            ("settings", "r", "slow_s"),
            ("words", "burn"),
            ("words", "show", "x"),
            ("words", "add", "refuse"),
            ("words", "add", "maybe", "x"),
            ("words", "check"),
            ("audit", "--hours", "-1"),
        ],
    )
    def test_what_is_asked_for_wrongly_is_a_2(self, command: tuple[str, ...]) -> None:
        done = run(*command, *NOBODY)
        assert done.exit_code == 2
        assert "Usage" in done.output

    @pytest.mark.parametrize(
        "command",
        [
            *(("mute", "u"), ("unmute", "u"), ("ban", "u"), ("unban", "u"), ("kick", "u")),
            *((one, "u", "--reason", "x") for one in ("unmute", "unban", "kick", "clear")),
            *(("delete", "r", "1"), ("clear", "r"), ("settings", "r"), ("audit",)),
            *(("words", "show"), ("words", "check", "x"), ("words", "add", "mask", "x")),
            *(("audit", "--hours", hours) for hours in ("1e9", "1e308", "inf")),
        ],
    )
    def test_without_a_node_each_says_so(self, command: tuple[str, ...]) -> None:
        done = run(*command, *NOBODY)
        assert done.exit_code == 1
        assert done.stderr.startswith("danmaku: http://127.0.0.1:1 cannot be reached")
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize(("text", "status"), [(None, 1), ("{", 2), ("[" * 99_999, 2)])
    def test_a_file_of_words_that_cannot_be_read(
        self, tmp_path: Any, text: str, status: int
    ) -> None:
        file = tmp_path / "words.json"
        if text is not None:
            file.write_text(text)
        done = run("words", "set", str(file), *NOBODY)
        assert done.exit_code == status
        assert done.stderr.startswith(f"danmaku: {file} ")

    @pytest.mark.parametrize("command", [("mute", "\udcff"), ("settings", "r", "silence=\udcff")])
    def test_bytes_that_are_no_text_are_said(self, command: tuple[str, ...]) -> None:
        done = run(*command, *NOBODY)
        assert done.exit_code == 1
        assert done.stderr.startswith("danmaku: http://127.0.0.1:1 cannot be asked: ")
        assert done.stderr.count("\n") == 1


class TestSettings:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("slow_s=10", ("slow_s", 10)),
            ("slow_s=soon", ("slow_s", "soon")),
            ("slow_s=٣", ("slow_s", "٣")),
            ("silence=all", ("silence", "all")),
            ("merge_duplicates=true", ("merge_duplicates", True)),
            ("join_notices=false", ("join_notices", False)),
            ("merge_duplicates=yes", ("merge_duplicates", "yes")),
            ("pinned=", ("pinned", None)),
            ("announcement=5", ("announcement", "5")),
            ("announcement=a=b", ("announcement", "a=b")),
            ("announcement=", ("announcement", None)),
            ("owners=u1,u2", ("owners", ["u1", "u2"])),
            ("owners=", ("owners", [])),
        ],
    )
    def test_a_value_goes_as_it_was_typed(self, typed: str, meant: tuple[str, Any]) -> None:
        assert parse_setting(typed) == meant

    def test_what_has_no_sign_is_no_setting(self) -> None:
        with pytest.raises(typer.BadParameter):
            parse_setting("slow_s")


class TestLines:
    @pytest.mark.parametrize(
        ("room", "until", "said"),
        [
            (None, None, "u is muted everywhere"),
            ("r", 0, "u is muted in r for good"),
            ("r", TS, f"u is muted in r until {day(TS)}"),
        ],
    )
    def test_what_holds_and_until_when(
        self, room: str | None, until: int | None, said: str
    ) -> None:
        assert ruled("u", "muted", room, until) == said

    def test_an_entry_of_the_audit(self) -> None:
        entry = {
            "id": "1-0",
            "ts": TS,
            "action": "mute",
            "actor": "default",
            "name": "阿花",
            "role": "backend",
            "via": "api",
            "room": "r",
            "uid": "u",
            "seconds": 5,
            "reason": "spam",
        }
        said = f"{day(TS)} mute u in r for 5 s (spam) by 阿花 (default), backend, api"
        assert audit_line(entry) == said

    def test_an_entry_about_settings(self) -> None:
        entry = {"ts": TS, "action": "settings", "room": "r", "settings": {"slow_s": 3}}
        assert 'settings in r {"slow_s": 3}' in audit_line({**entry, "actor": "m"})

    def test_a_time_no_calendar_has(self) -> None:
        assert day(2**70) == f"{2**70} ms"
