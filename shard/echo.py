"""`python -m shard.echo --port 9001`: the smallest service, a server that echoes.

What conformance tests run against, and the shortest example of a Handler.
"""

import argparse
from dataclasses import replace

from pool.scoreboard import Scoreboard
from shard import process
from shard.connections import Connections
from shard.counters import FIELDS
from shard.handshake import Request, Terms
from shard.listen import RESERVED_DESCRIPTORS, authority, listen, raise_descriptor_limit
from shard.settings import Settings
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer


class Echo:
    """Sends every message back to where it came from."""

    def __init__(self, connections: Connections) -> None:
        self.handler = self
        self._connections = connections

    def on_open(self, fd: int, request: Request) -> bytes:
        return b""

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        wire = OFFERS[self._connections.variant(fd)].wire
        self._connections.send(fd, wire.wrap(payload, binary))

    def on_unblocked(self, fd: int) -> None: ...

    def on_caught_up(self, fd: int) -> None: ...

    def on_close(self, fd: int, code: int) -> None: ...

    def on_tick(self, tick: int) -> None: ...

    def lately_sent(self, fd: int, since: int) -> bool:
        return False

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...


OFFERS = (Offer("/", WebSocket()), Offer("/", WebSocket(deflated=True, compress_from=0)))
SETTINGS = Settings(
    message_bytes=1 << 24,
    controls_per_tick=1 << 24,
    backlog_soft_bytes=1 << 26,
    backlog_hard_bytes=1 << 26,
    backlog_total_bytes=1 << 30,
    terms=Terms(OFFERS),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shard.echo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001)
    options = parser.parse_args()
    rows = raise_descriptor_limit()
    settings = replace(SETTINGS, capacity=rows - RESERVED_DESCRIPTORS)
    listener = listen(options.host, options.port, backlog=4096, send_buffer=1 << 20)
    where = authority(options.host, listener.getsockname()[1])
    print(f"echoing on ws://{where}/", flush=True)
    process.run(listener, settings, Scoreboard(FIELDS, 1).row(0), rows, Echo)


if __name__ == "__main__":
    main()
