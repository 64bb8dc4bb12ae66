"""A real node to measure: one shard, pinned apart from its helpers.

Rule: the shard runs alone on the server's core; supervisor, API and embedded store share the
client's, so the shard's clock holds the shard's work only. Several shards are pinned to nothing:
the whole node and its clients share both cores.
"""

import http.client
import json
import tempfile
from pathlib import Path
from typing import Any, Self

from bench import local
from bench.harness import CLIENT_CORE, SERVER_CORE, Unavailable, children_of, pin
from chat.ops.rundir import SOCKET


class Backend:
    """One kept connection to a node's API."""

    def __init__(self, api_port: int) -> None:
        self._api = http.client.HTTPConnection("127.0.0.1", api_port, timeout=30)

    def post(self, path: str, body: object) -> dict[str, Any]:
        """One POST; the parsed answer. Raises RuntimeError."""
        return self.put(path, body, "POST")

    def put(self, path: str, body: object, method: str = "PUT") -> dict[str, Any]:
        """Likewise another method."""
        kind = {"Content-Type": "application/json"}
        document: dict[str, Any] = json.loads(self._ask(method, path, json.dumps(body), kind))
        return document

    def get(self, path: str) -> str:
        return self._ask("GET", path).decode()

    def close(self) -> None:
        self._api.close()

    def _ask(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        self._api.request(method, path, body, headers or {})
        answer = self._api.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return text


class Node(local.Node):
    """One running node; `shard` is the process id of the first that serves the viewers."""

    def __init__(self, **settings: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="danmaku-bench-")
        quiet = {"server_shards": 1, "log_level": "info", **settings}
        super().__init__(Path(self._folder.name), **quiet)
        self._last_words = ""

    def start(self) -> Self:
        try:
            super().start()
        except AssertionError as failed:
            super().stop()
            raise Unavailable(f"the node did not start: {failed}") from None
        self.shards = self.pids("shard")
        self.shard = self.shards[0]
        [self.api] = self.pids("api")
        self._backend = Backend(self.api_port)
        for pid in [self.pid, *children_of(self.pid)]:
            if len(self.shards) > 1:
                pin(pid, SERVER_CORE, CLIENT_CORE)
            else:
                pin(pid, SERVER_CORE if pid == self.shard else CLIENT_CORE)
        return self

    @property
    def engine(self) -> list[int]:
        """Process ids of the embedded store; none when the node uses another."""
        ours = {*self.shards, self.api}
        return [pid for pid in children_of(self.pid) if pid not in ours]

    @property
    def engine_socket(self) -> Path:
        """Where the embedded store listens."""
        [path] = self.log.parent.rglob(SOCKET)
        return path

    def stop(self) -> int:
        self._backend.close()
        status = super().stop()
        self._last_words = super().said()
        self._folder.cleanup()
        return status

    def said(self) -> str:
        """All it wrote to its terminal, also when its folder is gone."""
        return super().said() if self.log.exists() else self._last_words

    def post(self, path: str, body: object) -> dict[str, Any]:
        """One POST over a kept connection; the parsed answer. Raises RuntimeError."""
        return self._backend.post(path, body)

    def put(self, path: str, body: object, method: str = "PUT") -> dict[str, Any]:
        """Likewise another method."""
        return self._backend.put(path, body, method)

    def counters(self) -> dict[str, int]:
        """What all shards counted, by the scoreboard's columns."""
        return local.counters(self.metrics())

    def metrics(self) -> str:
        """All that it tells of itself."""
        return self._backend.get("/metrics")
