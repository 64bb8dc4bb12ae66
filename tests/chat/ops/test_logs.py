"""What log lines look like, as a person and as a machine reads them."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator

import pytest

from chat.config import sections
from chat.ops import logs


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was written to standard error; afterwards logging is as it was."""
    root = logging.getLogger()
    level = root.level
    yield lambda: capsys.readouterr().err
    root.setLevel(level)
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler:
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
            "logger": "chat.hub",
            "message": "room '幕'\nopened",
        }

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
