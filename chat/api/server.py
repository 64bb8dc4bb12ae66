"""The API's process: uvicorn on the listener it was given, and for what shards pass on.

    its port -> listener -> Protocol <- Inbox <- shards <- the WebSocket port

Rules. No access log: requests are counted. What a connection may cost is in `protocol.py`.
"""

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn

from chat.api.app import create_app
from chat.api.guard import is_loopback
from chat.api.incoming import Drain
from chat.api.metrics import Metrics
from chat.api.passed import Inbox, Passed
from chat.api.places import MOST_TOLD, Places
from chat.api.protocol import Protocol
from chat.bus import tracing
from chat.bus.servers import LANES
from chat.bus.tracing import Tracer
from chat.config.sections import Config
from pool.scoreboard import Scoreboard

log = logging.getLogger(__name__)

RESERVED: Final = 2 * LANES + MOST_TOLD + 64
"""Descriptors for other things: connections to Redis, listeners, who is told to go."""
GRACE_S: Final = 5
"""What requests get to end after SIGTERM; a stream may be endless."""


def run(
    config: Config,
    url: str,
    listener: socket.socket,
    board: Scoreboard,
    own: Scoreboard,
    ws_port: int,
    passed: Path,
    serving: Callable[[], None],
    owners: list[Callable[[], None]] | None = None,
) -> None:
    """In the API's process: serve on `listener` and what comes by `passed` until SIGTERM; `serving`
    is called when it does. `owners` gets who has to be told when `config` changes."""
    if not config.api.keyed:
        where = "" if is_loopback(config.api.host) else f", though it listens on {config.api.host}"
        log.info("no api.key is set: only this machine may call the API%s", where)
    tracer = tracing.set_up("api")
    try:
        server = make_server(
            *(config, url, board, own, ws_port, passed, serving, owners), tracer=tracer
        )
        server.run(sockets=[listener])
    finally:
        if tracer is not None:
            tracer.close()


def make_server(
    config: Config,
    url: str,
    board: Scoreboard,
    own: Scoreboard,
    ws_port: int,
    passed: Path,
    serving: Callable[[], None] = lambda: None,
    owners: list[Callable[[], None]] | None = None,
    tracer: Tracer | None = None,
) -> "Server":
    """The API's server, not yet running. `board` is the shards', `own` the API's."""
    metrics, drain = Metrics(board, own), Drain()
    app = create_app(config, url, metrics, drain, ws_port, owners, tracer)
    limits = config.api
    places = Places(min(limits.connections, spare_descriptors()), limits.connections_per_address)

    def ended(why: str) -> None:
        metrics.cut.labels(why).inc()

    protocol: Any = partial(Protocol, places=places, ended=ended)
    return Server(
        serving,
        drain,
        passed,
        lambda: ended("full"),
        uvicorn.Config(
            app,
            loop="uvloop",
            http=protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        ),
    )


def spare_descriptors() -> int:
    """How many connections this process can hold."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - RESERVED) if soft >= 0 else sys.maxsize


class Server(uvicorn.Server):
    """Says when it serves; ends at SIGTERM as one who was asked to. SIGINT is the supervisor's."""

    def __init__(
        self,
        serving: Callable[[], None],
        drain: Drain,
        passed: Path,
        lost: Callable[[], None],
        config: uvicorn.Config,
    ) -> None:
        super().__init__(config)
        self._serving = serving
        self._drain = drain
        self._inbox = Inbox(passed, self._adopt, lost)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._inbox.open()
            self._serving()

    async def _adopt(self, connection: socket.socket, passed: Passed) -> None:
        """Go on with a connection as if it had come to the listener."""
        kind: Any = self.config.http_protocol_class
        made = partial(
            kind,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            passed=passed,
        )
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(made, connection)
        except OSError:  # its client has gone
            connection.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain.begin()
        self._inbox.close()
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
