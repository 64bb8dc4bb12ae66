"""A site of another origin than the node's, with pages that have the node's stage on them.

Rules. It serves what it is given, each path with the headers it is given, from a thread of its own.
Its clip is one that Chromium has recorded of a canvas: a video with a time line.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RECORD = """async () => {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 320, height: 180 });
  const pen = canvas.getContext("2d");
  const draw = setInterval(() => {
    pen.fillStyle = `hsl(${performance.now() / 20 % 360} 60% 30%)`;
    pen.fillRect(0, 0, 320, 180);
  }, 40);
  const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  recorder.stop();
  await stopped;
  clearInterval(draw);
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


@dataclass
class File:
    content: bytes
    type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Site:
    """`files` by path; the pages of one origin."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.files: dict[str, File] = {}
        self.origin = f"http://127.0.0.3:{server.server_port}"

    def page(self, path: str, html: str, **headers: str) -> str:
        """Serve a page; its address."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.files[path] = File(html.encode(), headers=named)
        return self.origin + path


@contextmanager
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = served.files.get(self.path.partition("?")[0])
            content = found.content if found else b""
            self.send_response(200 if found else 404)
            if found:
                self.send_header("Content-Type", found.type)
                for name, value in found.headers.items():
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.3", 0), Handler) as server:
        server.daemon_threads = True
        served = Site(server)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def clip(browser: "Browser") -> File:
    """Two seconds of colours."""
    page = browser.new_context().new_page()
    recorded = base64.b64decode(page.evaluate(RECORD))
    page.context.close()
    return File(recorded, "video/webm")
