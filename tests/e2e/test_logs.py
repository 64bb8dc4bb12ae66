"""What a node of real processes writes where its lines are JSON: all of it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

HOOKS = """
import traceback

class Hooks:
    def on_join(self, who, room):
        print("somebody comes to", room)
        try:
            raise KeyError("an operator's trouble")
        except KeyError:
            traceback.print_exc()
"""


def lines(node: Node) -> list[dict[str, Any]]:
    """All it has written, which is JSON."""
    return [json.loads(line) for line in node.said().split("\n")[:-1]]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    (tmp_path / "operators.py").write_text(HOOKS)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(root)]))
    with Node(tmp_path, log_format="json", rooms_hooks="operators:Hooks") as made:
        yield made


class TestJson:
    async def test_every_line_of_every_process_is_an_object(self, node: Node) -> None:
        viewer = await Viewer.open(node.ws, "live:1")
        await viewer.close()
        os.kill(node.pids("shard 1")[0], signal.SIGKILL)
        node.until_said("shard 1 was killed by SIGKILL")
        os.kill(node.pid, signal.SIGHUP)
        node.until_said("nothing has changed")
        assert node.stop() == 0
        said = lines(node)
        for line in said:
            assert {"ts", "level", "logger", "message", "process", "pid", "node"} <= line.keys()
            assert line["node"] == f"{socket.gethostname()}:{node.port}"
        messages = [line["message"] for line in said]
        assert {line["process"] for line in said} >= {"supervisor", "api"}
        assert messages[0].startswith("starting, configured by ")
        [banner] = [one for one in messages if one.startswith("Danmaku is up: 2 shards")]
        assert f"WebSocket: {node.ws}?room=lobby" in banner
        assert "ending, because of SIGTERM" in messages
        assert messages[-1] == "the node has ended"

    async def test_so_is_what_hooks_print_and_a_traceback_is_one(self, node: Node) -> None:
        viewer = await Viewer.open(node.ws, "live:1")
        await viewer.close()
        node.until_said("an operator's trouble")
        found = {
            line["logger"]: line for line in lines(node) if line["logger"] in ("stdout", "stderr")
        }
        assert found["stdout"]["message"] == "somebody comes to live:1"
        assert found["stderr"]["message"].startswith("Traceback (most recent call last):\n")
        assert found["stderr"]["message"].endswith('KeyError: "an operator\'s trouble"')
        assert found["stdout"]["process"].startswith("shard ")

    def test_a_node_that_cannot_start_says_so_in_json(self, node: Node, tmp_path: Path) -> None:
        environ = os.environ | {
            "DANMAKU_LOG_FORMAT": "json",
            "DANMAKU_API_PORT": str(node.api_port),
            "DANMAKU_SERVER_PORT": "1",
        }
        done = serve(environ, tmp_path)
        [line] = map(json.loads, done.stderr.splitlines())
        assert done.returncode == 1
        assert line["level"] == "critical"
        assert line["message"].startswith("cannot start: cannot listen")

    def test_one_whose_configuration_is_refused_too(self, tmp_path: Path) -> None:
        environ = os.environ | {"DANMAKU_LOG_FORMAT": "json", "DANMAKU_LIMITS_TEXT_CHARS": "0"}
        done = serve(environ, tmp_path)
        said = [json.loads(line)["message"] for line in done.stderr.splitlines()]
        assert done.returncode == 2
        assert said[0] == "danmaku: the configuration is refused"
        assert "limits.text_chars" in said[1]


def serve(environ: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """A node that cannot work."""
    return subprocess.run(
        [sys.executable, "-m", "chat.cli", "serve"],
        env=environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
