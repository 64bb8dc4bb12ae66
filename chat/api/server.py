"""The API's process: uvicorn on the listener it was given, until SIGTERM.

Rules. No access log: requests are counted. uvicorn bounds neither the size of a request's head nor
the time it takes, so that is done here.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chat.api.answers import failure
from chat.api.app import create_app
from chat.api.guard import is_loopback
from chat.api.incoming import Drain
from chat.api.metrics import Metrics
from chat.config.sections import Config
from pool.scoreboard import Scoreboard

log = logging.getLogger(__name__)

HEAD_BYTES: Final = 65_536
HEAD_S: Final = 10.0
"""What a request's head may take."""
KEEP_ALIVE_S: Final = 75
"""Longer than the pools of HTTP clients keep a connection, so that they are who closes it."""
GRACE_S: Final = 5
"""What requests get to end after SIGTERM; a stream may be endless."""


def run(
    config: Config,
    url: str,
    listener: socket.socket,
    board: Scoreboard,
    ws_port: int,
    serving: Callable[[], None],
) -> None:
    """In the API's process: serve on `listener` until SIGTERM; `serving` is called when it does."""
    if not config.api.key:
        where = "" if is_loopback(config.api.host) else f", though it listens on {config.api.host}"
        log.info("no api.key is set: only this machine may call the API%s", where)
    make_server(config, url, board, ws_port, serving).run(sockets=[listener])


def make_server(
    config: Config,
    url: str,
    board: Scoreboard,
    ws_port: int,
    serving: Callable[[], None] = lambda: None,
) -> "Server":
    """The API's server, not yet running."""
    metrics, drain = Metrics(board), Drain()
    app = create_app(config, url, metrics, drain, ws_port)
    return Server(
        serving,
        drain,
        uvicorn.Config(
            app,
            loop="uvloop",
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        ),
    )


class Server(uvicorn.Server):
    """Says when it serves; ends at SIGTERM as one who was asked to. SIGINT is the supervisor's."""

    def __init__(self, serving: Callable[[], None], drain: Drain, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._serving = serving
        self._drain = drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain.begin()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn would raise the signal again afterwards, and the process would have been killed.
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGTERM, self.ask_to_end)
        except ValueError:  # in a thread, as tests run it
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    def ask_to_end(self) -> None:
        self.should_exit = True


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with bounds on what comes before the body."""

    _head_bytes = 0
    _unfinished_bytes = 0
    _begun = False
    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._got_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._begun = False
        super().data_received(data)
        # httptools tells of a header when it has all of it, and would collect one for ever. What
        # a head began with is not counted here: an earlier request's body may be before it.
        if self._overdue is not None and not self._begun and not self.transport.is_closing():
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > HEAD_BYTES:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._head_bytes = self._unfinished_bytes = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._got_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        message = "this is not an HTTP/1.1 request, or its head is too large"
        body = bytes(failure(400, "bad_request", message).body)
        head = (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("the head of the request is too large")

    def _expect_head(self) -> None:
        self._got_head()
        self._overdue = self.loop.call_later(HEAD_S, self.transport.abort)

    def _got_head(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
