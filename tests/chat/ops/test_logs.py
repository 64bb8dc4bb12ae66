"""What log lines look like, as a person and as a machine reads them."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.config import sections
from chat.ops import logs
from shard.logids import NAMES, REQUEST, about

FAILING = """
import logging, warnings
from chat.config.sections import Log
from chat.ops import logs
logs.set_up(Log(format="json"))
warnings.warn("take care")
raise RuntimeError("the end")
"""


@pytest.fixture
def stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], str]]:
    """What was written to standard error; afterwards logging is as it was."""
    root = logging.getLogger()
    level = root.level
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, getattr(sys, hook))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    for name in ("process", "node", "shard"):
        monkeypatch.setattr(logs.Here, name, "")
    logs.name("shard 1", "a.example:8000", "s1")
    before = REQUEST.set("")
    yield lambda: capsys.readouterr().err
    REQUEST.reset(before)
    logging.captureWarnings(False)
    root.setLevel(level)
    for handler in root.handlers[:]:
        if isinstance(handler, logs.Handler):
            root.removeHandler(handler)


def failing() -> None:
    try:
        raise ValueError("幕")
    except ValueError:
        logging.getLogger("chat.x").exception("it %s", "broke")


class TestJson:
    def test_a_line_is_an_object(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        logging.getLogger("chat.hub").info("room %r\nopened", "幕")
        [line] = stderr().splitlines()
        fields = json.loads(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("ts"))
        assert fields == {
            "level": "info",
            "pid": os.getpid(),
            "process": "shard 1",
            "node": "a.example:8000",
            "logger": "chat.hub",
            "message": "room '幕'\nopened",
        }

    def test_ids_that_are_known_are_fields(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        REQUEST.set("r-1")
        logging.getLogger("x").info("a", extra=about("live:1", "1f-7"))
        [line] = stderr().splitlines()
        ids = {name: json.loads(line)[name] for name in NAMES}
        assert ids == {"request": "r-1", "connection": "s1-1f-7", "room": "live:1"}

    def test_what_is_printed_is_a_line_each(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        print("one\n\ntwo")
        print("thr", end="")
        print("ee", 3, flush=True)
        print("wrong", file=sys.stderr)
        lines = [json.loads(line) for line in stderr().splitlines()]
        assert [(line["logger"], line["level"], line["message"]) for line in lines] == [
            ("stdout", "info", "one"),
            ("stdout", "info", "two"),
            ("stdout", "info", "three 3"),
            ("stderr", "warning", "wrong"),
        ]

    def test_a_traceback_that_is_printed_is_one_line(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        try:
            raise ValueError("an operator's trouble")
        except ValueError:
            traceback.print_exc()
        print("after it", file=sys.stderr)
        first, second = (json.loads(line)["message"] for line in stderr().splitlines())
        assert first.startswith("Traceback (most recent call last):\n  File ")
        assert first.endswith("\nValueError: an operator's trouble")
        assert second == "after it"

    def test_so_is_what_ends_a_thread(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        thread = threading.Thread(target=lambda: 1 / 0, name="hooks")
        thread.start()
        thread.join()
        [line] = stderr().splitlines()
        fields = json.loads(line)
        assert fields["message"] == "hooks ends: ZeroDivisionError"
        assert fields["exception"].endswith("ZeroDivisionError: division by zero")

    def test_a_log_call_that_is_wrong_is_a_line_too(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        logging.getLogger("x").info("%d", "no number")
        [line] = stderr().splitlines()
        assert json.loads(line)["message"] == "a log call is wrong: '%d' with ('no number',)"

    def test_a_process_that_fails_ends_with_a_line(self) -> None:
        done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, timeout=60)
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert [line["message"] for line in lines] == [
            mine := lines[0]["message"],
            "this process ends: RuntimeError",
        ]
        assert "UserWarning: take care" in mine
        assert done.stdout == b""

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
    def test_whatever_is_printed_lines_are_json(self, texts: list[str]) -> None:
        written = io.StringIO()
        handler = logs.Handler(written)
        handler.setFormatter(logs.JsonLines())
        log = logging.getLogger("stdout.test")
        log.propagate, log.handlers = False, [handler]
        log.setLevel("INFO")
        stream = logs.Printed("stdout.test", logging.INFO, written)
        for text in (*texts, "\n"):
            stream.write(text)
        shown = [json.loads(line)["message"] for line in written.getvalue().split("\n")[:-1]]
        expected = [line for line in "".join(texts).split("\n") if line.strip()]
        assert shown == expected

    def test_an_exception_stays_in_its_line(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log(format="json"))
        failing()
        [line] = stderr().splitlines()
        assert json.loads(line)["exception"].endswith("ValueError: 幕")


class TestText:
    def test_a_line_says_when_who_and_what(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log())
        logging.getLogger("chat.hub").warning("slow")
        line = stderr()
        assert re.fullmatch(rf"\S+ \S+ WARNING {os.getpid()} chat\.hub: slow\n", line)

    def test_ids_stand_at_its_end(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log())
        logging.getLogger("x").warning("slow", extra=about("live:1"))
        assert stderr().endswith("x: slow [room=live:1]\n")

    def test_what_is_printed_stays_as_it_is(
        self, stderr: Callable[[], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        logs.set_up(sections.Log(format="json"))
        logs.set_up(sections.Log())
        assert not isinstance(sys.stdout, logs.Printed)
        assert not isinstance(sys.stderr, logs.Printed)

    def test_an_exception_has_its_traceback(self, stderr: Callable[[], str]) -> None:
        logs.set_up(sections.Log())
        failing()
        assert "it broke\nTraceback" in stderr()


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")],
)
def test_the_level_is_the_least_that_is_shown(
    stderr: Callable[[], str], level: str, shown: str
) -> None:
    logs.set_up(sections.Log(level=level, format="json"))  # type: ignore[arg-type]
    log = logging.getLogger("x")
    for name, say in (("d", log.debug), ("i", log.info), ("w", log.warning), ("e", log.error)):
        say(name)
    said = [json.loads(line)["message"] for line in stderr().splitlines()]
    assert "".join(said) == shown


def test_setting_up_again_replaces_the_first(stderr: Callable[[], str]) -> None:
    logs.set_up(sections.Log(format="json"))
    logs.set_up(sections.Log())
    logging.getLogger("x").info("once")
    assert stderr().count("once") == 1
