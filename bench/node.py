"""A real node to measure: `serve` with one shard, on its own ports, pinned apart from its helpers.

Rule: started and spoken to only as a user would (command, config file, WebSocket, HTTP); nothing
of the server is imported. The shard runs alone on the server's core; supervisor, API and embedded
store share the client's, so the shard's clock holds the shard's work only.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from bench.child import HERE, OUT
from bench.harness import (
    CLIENT_CORE,
    SERVER_CORE,
    Unavailable,
    children_of,
    pin,
    serving_process,
)

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0
SERVE = [sys.executable, "-m", "chat.cli", "serve"]
TOML = """\
[server]
host = "127.0.0.1"
port = {port}
drain_s = 1
[api]
port = {api_port}
[log]
level = "warning"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Node:
    """One running node; `shard` is the process id that serves the viewers."""

    def __init__(self, extra_toml: str = "") -> None:
        self.port, self.api_port = free_port(), free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="danmaku-bench-")
        config = Path(self._folder.name) / "config.toml"
        config.write_text(TOML.format(port=self.port, api_port=self.api_port) + extra_toml)
        OUT.mkdir(exist_ok=True)
        self._log = (OUT / "node.log").open("w")
        self._process = subprocess.Popen(
            [*SERVE, "--config", str(config), "--shards", "1"],
            cwd=HERE.parent, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            self._wait_until_healthy()
            self.shard = serving_process(self.port, children_of(self._process.pid))
        except BaseException:
            self.close()
            raise
        self._api = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=30)
        for pid in [self._process.pid, *children_of(self._process.pid)]:
            pin(pid, SERVER_CORE if pid == self.shard else CLIENT_CORE)

    def post(self, path: str, body: object) -> dict[str, Any]:
        self._api.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._api.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"POST {path}: {answer.status} {text[:200]!r}")
        document: dict[str, Any] = json.loads(text)
        return document

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._kill_all()
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _kill_all(self) -> None:
        for pid in [self._process.pid, *children_of(self._process.pid)]:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        waiting_for = [self.port, self.api_port]
        while waiting_for:
            if self._process.poll() is not None:
                raise Unavailable(f"the node did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"ports {waiting_for} did not answer /healthz")
            waiting_for = [port for port in waiting_for if not _healthy(port)]
            time.sleep(0.05)

    def _last_words(self) -> str:
        lines = [line for line in (OUT / "node.log").read_text().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
