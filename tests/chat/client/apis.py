"""An API played by a test: what it answers stands in a dict, by path."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SHARD = """\
danmaku_connections{{shard="{shard}"}} {viewers}
danmaku_joins_total{{shard="{shard}"}} {joins}
danmaku_messages_published_total{{shard="{shard}"}} {said}
danmaku_messages_delivered_total{{shard="{shard}"}} {delivered}
danmaku_frames_dropped_total{{reason="slow",shard="{shard}"}} {dropped}
danmaku_backlog_bytes{{shard="{shard}"}} 0
danmaku_bus_connected{{shard="{shard}"}} {bus}
danmaku_loop_lag_seconds_bucket{{le="0.0005",shard="{shard}"}} {calm}
danmaku_loop_lag_seconds_bucket{{le="0.512",shard="{shard}"}} {late}
danmaku_loop_lag_seconds_bucket{{le="+Inf",shard="{shard}"}} {late}
"""
NOTHING = dict.fromkeys(["viewers", "joins", "said", "delivered", "dropped", "calm", "late"], 0)


def metrics(*shards: dict[str, float]) -> str:
    """What `/metrics` says of shards; what is not given of one is 0, and Redis is there."""
    filled = (NOTHING | {"bus": 1} | shard | {"shard": i} for i, shard in enumerate(shards))
    return "".join(SHARD.format(**one) for one in filled)


class Canned(BaseHTTPRequestHandler):
    server: "CannedApi"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        status, body = self.server.answers.get(self.path, (404, "Not Found"))
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


class CannedApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Canned)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def will_say(self, path: str, body: Any, status: int = 200) -> None:
        self.answers[path] = status, body

    def has_room(self, room: str, seq: int, epoch: str = "e1", online: int = 3) -> None:
        found = {"room": room, "online": online, "peak": 9, "seq": seq, "epoch": epoch}
        self.will_say(f"/v1/rooms/{room}", found)


@contextmanager
def api() -> Iterator[CannedApi]:
    with CannedApi() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
