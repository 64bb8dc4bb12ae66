"""locustfiles/run.py, and Locust itself on the scenarios: by workers, and from its page.

Locust is run in processes of its own, because importing it patches the standard library.
"""

import ast
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.local import Node, free_port
from locustfiles.run import ALL, HERE, SCENARIOS, command, parse

BOUND_S = 60.0
HELPERS = {
    "__init__",
    "books",
    "connection",
    "evening",
    "order",
    "run",
    "users",
    "verdict",
    "watch",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node")) as node:
        yield node


@contextmanager
def locust(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Locust that ends with the test; what it says is in `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, cwd=HERE.parent)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(BOUND_S)


def called(node: Node, scenario: str, *more: str) -> list[str]:
    """How run.py calls Locust for a scenario on a node."""
    options, rest = parse([scenario, "--users", "30", *more])
    return command(options, f"ws://127.0.0.1:{node.port}", node.page, rest)


def distributed(node: Node, scenario: str, folder: Path, seconds: int) -> tuple[int, str]:
    """A master without a page and two workers; the master's exit code and what it said."""
    port = str(free_port())
    master = called(node, scenario, "--seconds", str(seconds), "--master", "--expect-workers", "2")
    master += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    worker = [sys.executable, "-m", "locust", "-f", str(HERE / f"{scenario}.py"), "--worker"]
    worker += ["--master-host", "127.0.0.1", "--master-port", port, "--loglevel", "WARNING"]
    with ExitStack() as stack:
        ruler = stack.enter_context(locust(folder / "master", *master))
        for name in ("one", "two"):
            stack.enter_context(locust(folder / name, *worker))
        code = ruler.wait(BOUND_S)
    return code, (folder / "master").read_text()


class TestScenarios:
    def test_each_file_is_one_or_helps(self) -> None:
        assert {path.stem for path in HERE.glob("*.py")} - HELPERS == set(SCENARIOS)

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_each_opens_with_what_it_shows(self, name: str) -> None:
        text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text()))
        assert text is not None
        assert "Shows that" in text

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_each_is_described(self, name: str) -> None:
        assert f"`{name}`" in (HERE.parent / "docs" / "load.md").read_text()


class TestOptions:
    def test_what_is_not_ours_is_locusts(self) -> None:
        options, more = parse(["churn", "--users", "7", "--processes", "2"])
        assert (options.scenario, options.users, more) == ("churn", 7, ["--processes", "2"])
        found = command(options, "ws://h:1", "http://h:2", more)
        assert found[-2:] == ["--processes", "2"]
        assert "--headless" in found

    def test_the_page_is_for_this_machine_only(self) -> None:
        found = command(parse(["churn", "--web"])[0], "ws://h:1", "http://h:2", ())
        assert "--headless" not in found
        assert found[found.index("--web-host") + 1] == "127.0.0.1"

    def test_a_scenario_that_is_none_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            parse(["hot"])
        assert ALL in capsys.readouterr().err


class TestDistributed:
    def test_two_workers_do_it_together(self, node: Node, tmp_path: Path) -> None:
        code, said = distributed(node, "churn", tmp_path, 5)
        assert code == 0, said
        assert "told: resumed whole" in said

    def test_what_workers_find_is_the_masters_exit_code(self, tmp_path: Path) -> None:
        with Node(tmp_path, auth_guests="read") as node:
            code, said = distributed(node, "churn", tmp_path, 2)
        assert code == 1, said
        assert "refused: read_only" in said
        assert "never happened" in said


class TestPage:
    def test_it_answers_and_shows_what_happens(self, node: Node, tmp_path: Path) -> None:
        port = free_port()
        page = f"http://127.0.0.1:{port}"
        more = ("--web", "--web-port", str(port), "--autostart", "-t", "60s")
        with locust(tmp_path / "log", *called(node, "busy_rooms", *more)) as process:
            assert b"<html" in answered(process, f"{page}/")
            deadline = time.monotonic() + BOUND_S
            while "delivery" not in rows(process, page):
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.2)


def answered(process: subprocess.Popen[bytes], url: str) -> bytes:
    """What an address answers, once it does."""
    deadline = time.monotonic() + BOUND_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                found: bytes = response.read()
                return found
        except OSError:
            assert process.poll() is None, "it has ended"
            assert time.monotonic() < deadline, "nobody answers"
            time.sleep(0.1)


def rows(process: subprocess.Popen[bytes], page: str) -> set[str]:
    """Names of what has happened, as the page shows them."""
    found: dict[str, Any] = json.loads(answered(process, f"{page}/stats/requests"))
    return {row["name"] for row in found["stats"]}
