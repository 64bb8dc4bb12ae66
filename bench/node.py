"""A real node to measure: one shard, pinned apart from its helpers.

Rule: the shard runs alone on the server's core; supervisor, API and embedded store share the
client's, so the shard's clock holds the shard's work only.
"""

import http.client
import json
import tempfile
from pathlib import Path
from typing import Any, Self

from bench import local
from bench.harness import CLIENT_CORE, SERVER_CORE, Unavailable, children_of, pin


class Node(local.Node):
    """One running node; `shard` is the process id that serves the viewers."""

    def __init__(self, **settings: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="danmaku-bench-")
        quiet = {"server_shards": 1, "log_level": "info", **settings}
        super().__init__(Path(self._folder.name), **quiet)

    def start(self) -> Self:
        try:
            super().start()
        except AssertionError as failed:
            raise Unavailable(f"the node did not start: {failed}") from None
        [self.shard] = self.pids("shard")
        self._api = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=30)
        for pid in [self.pid, *children_of(self.pid)]:
            pin(pid, SERVER_CORE if pid == self.shard else CLIENT_CORE)
        return self

    def stop(self) -> int:
        self._api.close()
        status = super().stop()
        self._folder.cleanup()
        return status

    def post(self, path: str, body: object) -> dict[str, Any]:
        """One POST over a kept connection; the parsed answer. Raises RuntimeError."""
        self._api.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._api.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"POST {path}: {answer.status} {text[:200]!r}")
        document: dict[str, Any] = json.loads(text)
        return document
