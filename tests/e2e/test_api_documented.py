"""docs/api.md: its commands are run on a node, in their order, and answered as it says."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.local import Node
from tests.patience import PATIENCE_S

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
SECTION = re.compile(r"^### (.+?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"```sh\n(.*?)```", re.DOTALL)
ANSWER = re.compile(r"```(?:json|text)\n(.*?)```", re.DOTALL)
EXAMPLES = [
    (title, COMMAND.findall(text), ANSWER.findall(text))
    for title, text in SECTION.findall(PAGE)
    if COMMAND.search(text)
]
KEY = "s3cret"
CURL = shutil.which("curl")
OTHERS = {"epoch", "id", "request", "ts", "until", "peak_at", "next", "uptime", "answered", "known"}
"""Fields that have other values every time."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    dialects = '["danmaku", "centrifugal"]'
    with Node(tmp_path_factory.mktemp("node"), api_key=KEY, server_dialects=dialects) as node:
        until_it_was_looked_at(node)
        yield node


def until_it_was_looked_at(node: Node) -> None:
    """Its figures are those of a node that serves, which they are by the second look at it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _, told = node.request("GET", "/v1/nodes", headers={"Authorization": f"Bearer {KEY}"})
        [found] = told["nodes"]
        if all(one["serving"] and one["bus_connected"] for one in found["shards"]):
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


def test_there_is_one_of_every_operation() -> None:
    rows = re.findall(r"^\| `[A-Z]+ /[^`]*` \| \[", PAGE, re.MULTILINE)
    assert len(EXAMPLES) == len(rows) > 40


@pytest.mark.skipif(CURL is None, reason="no curl: apt install curl")
def test_all_are_answered_as_the_page_says(node: Node, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    given = {"DANMAKU_API": node.page, "DANMAKU_KEY": KEY, "CURL_HOME": str(tmp_path)}
    for title, commands, answers in EXAMPLES:
        for command in commands:
            done = subprocess.run(
                ["bash", "-euc", shown(command)],
                env=os.environ | given,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode == 0, (title, command, done.stdout, done.stderr)
            if answers:
                assert_alike(told(done.stdout), told(answers[0]), title)
            else:
                assert done.stdout


def shown(command: str) -> str:
    """A command as it is run: a stream, which does not end, up to its first event."""
    return f"{command.strip()} | sed '/^$/q'" if " -N " in command else command


def told(answer: str) -> Any:
    """What an answer has in it; of a stream, in its first event."""
    found = re.fullmatch(r"event: (.*)\ndata: (.*)", answer.strip())
    if found is None:
        return json.loads(answer)
    return {"event": found[1], "data": json.loads(found[2])}


def assert_alike(answer: Any, example: Any, where: str) -> None:
    """The same fields, of the same kinds, with the same values where they can be the same."""
    if isinstance(example, dict):
        assert isinstance(answer, dict), (where, answer)
        assert answer.keys() == example.keys(), (where, answer)
        for name in example.keys() - OTHERS:
            assert_alike(answer[name], example[name], f"{where}: {name}")
    elif isinstance(example, list):
        assert isinstance(answer, list), (where, answer)
        for one, other in zip(answer, example, strict=False):
            assert_alike(one, other, where)
    else:
        assert type(answer) is type(example), (where, answer)
        if isinstance(example, bool | str) and not where.endswith(FREE):
            assert answer == example, where


FREE = (": name", ": uid", ": actor", ": node", ": version")
"""Of a node, or of whose turn it was."""
