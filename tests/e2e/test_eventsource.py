"""A browser's EventSource on a page of another origin: it comes back by itself, without a hole."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page

from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, chromium

pytestmark = IN_CHROMIUM

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script>
const seen = [], closes = [];
let opened = 0, failed = 0;
function watch(url) {
  const source = new EventSource(url);
  source.onopen = () => { opened += 1; };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) failed += 1; };
  source.addEventListener("close", ({ data }) => closes.push(JSON.parse(data).code));
  source.onmessage = ({ data }) => {
    for (const event of JSON.parse(data)) {
      const messages = event.t === "joined" ? event.history : event.t === "msgs" ? event.m : [];
      for (const { text } of messages) seen.push(Number(text));
    }
  };
}
</script>"""


@contextmanager
def elsewhere() -> Iterator[str]:
    """The page, at an origin that is not the node's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def watch(page: Page, origin: str, node: Node, room: str) -> None:
    page.goto(origin)
    page.evaluate("watch", f"http://127.0.0.1:{node.port}/sse?room={room}")


def say(node: Node, room: str, first: int, count: int) -> None:
    messages = [{"text": str(first + i)} for i in range(count)]
    status, _ = node.request("POST", f"/v1/rooms/{room}/messages", messages)
    assert status == 200


def test_it_sees_everything_once_and_in_order_though_shards_die(tmp_path: Path) -> None:
    room = "source:killed"
    with Node(tmp_path) as node, elsewhere() as origin, chromium() as browser:
        page = browser.new_page()
        watch(page, origin, node, room)
        page.wait_for_function("opened === 1")
        said = 0
        for lives in (1, 2, 3):
            for _ in range(5):
                say(node, room, said, 10)
                said += 10
            page.wait_for_function(f"seen.length >= {said}")
            if lives < 3:
                for pid in node.pids("shard"):
                    os.kill(pid, signal.SIGKILL)
                say(node, room, said, 10)
                said += 10
        assert page.evaluate("opened") == 3
        assert page.evaluate("seen") == list(range(said))
        assert page.evaluate("failed") == 0


def test_an_origin_that_may_not_read_is_refused_for_good(tmp_path: Path) -> None:
    with (
        Node(tmp_path, server_origins='["https://a.example"]') as node,
        elsewhere() as origin,
        chromium() as browser,
    ):
        page = browser.new_page()
        watch(page, origin, node, "source:refused")
        page.wait_for_function("failed === 1")
        assert page.evaluate("opened") == 0
