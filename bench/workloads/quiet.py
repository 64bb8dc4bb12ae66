"""A quiet room: one viewer, a message every 50 ms that a backend posts by HTTP.

What it measures: the time from the first byte of a POST on a kept connection until the viewer has
read the message: through the API, the engine and a shard. Beside it, in turn: until the POST is
answered; and the floor, an XADD from one process that another reads which waits for it, with
nothing else between. All of the node but the shard shares the client's core, as everywhere here.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from redis import Redis

from bench.harness import SERVER_CORE, Figures, interleave, pin, settle
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

MESSAGES, QUICK, WARM = 200, 40, 20
EVERY_S = 0.05
ROOM = "quiet"
WAIT_S = 10.0
PING, PONG = b"\x89\0", b"\x8a\x80\0\0\0\0"
"""Of WebSocket, both empty; the pong is masked by zeros."""

FLOOR = "XADD to a waiting reader (the floor)"
SEEN, ANSWERED = "POST until seen", "POST until answered"

COLUMNS = [
    Column("p50_ms", "p50 ms", "{:.2f}"),
    Column("p90_ms", "p90 ms", "{:.2f}"),
    Column("p99_ms", "p99 ms", "{:.2f}"),
    Column("max_ms", "worst ms", "{:.1f}"),
    Column("ratio", "× floor", "{:.1f}"),
]

ECHO = """
import sys, redis
r = redis.Redis(unix_socket_path=sys.argv[1])
last = "0-0"
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    reply = r.execute_command("XREAD", "BLOCK", 3000, "STREAMS", "bench:quiet", last)
    if not reply: break
    last = (reply[b"bench:quiet"] if isinstance(reply, dict) else reply[0][1])[-1][0]
    print("seen", flush=True)
"""
"""The reader of the floor: it says by its pipe, in place of a viewer's socket, what it saw."""


def quantiles(times_ns: list[int]) -> Figures:
    cuts = statistics.quantiles(times_ns, n=100, method="inclusive")
    named = {"p50_ms": cuts[49], "p90_ms": cuts[89], "p99_ms": cuts[98], "max_ms": max(times_ns)}
    return {name: ns / 1e6 for name, ns in named.items()}


def paced(count: int, once: Callable[[], int]) -> Figures:
    """`once` every EVERY_S, an open loop but for one at a time; the first few are not counted."""
    taken = []
    for _ in range(WARM + count):
        began = time.monotonic()
        taken.append(once())
        time.sleep(max(0.0, began + EVERY_S - time.monotonic()))
    return quantiles(taken[WARM:])


class Quiet:
    """A node, one backend's connection to it, and one viewer's."""

    def __init__(self, stack: ExitStack) -> None:
        self.node = stack.enter_context(Node())
        self._viewer = stack.enter_context(dial(self.node.port))
        self._backend: socket.socket
        ask = (
            f"GET /ws?room={ROOM} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        self._viewer.sendall(ask.encode())
        read_until(self._viewer, b'"joined"')
        settle(self.node.shard)
        self._number = 0

    def paced(self, count: int, once: Callable[[], int]) -> Figures:
        """As below, by a connection of its own: an idle one would have been closed meanwhile."""
        with dial(self.node.api_port) as self._backend:
            return paced(count, once)

    def _post(self) -> bytes:
        self._number += 1
        body = json.dumps({"text": f"message {self._number}."})
        head = (
            f"POST /v1/rooms/{ROOM}/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._backend.sendall((head + body).encode())
        return f"message {self._number}.".encode()

    def until_seen(self) -> int:
        began = time.perf_counter_ns()
        read_until(self._viewer, self._post())
        taken = time.perf_counter_ns() - began
        read_until(self._backend, b"}")
        return taken

    def until_answered(self) -> int:
        began = time.perf_counter_ns()
        text = self._post()
        read_until(self._backend, b"}")
        taken = time.perf_counter_ns() - began
        read_until(self._viewer, text)
        return taken


def dial(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_until(connection: socket.socket, words: bytes) -> None:
    """Read until these words have come; a ping is answered."""
    seen = b""
    while words not in seen:
        more = connection.recv(65536)
        if not more:
            raise RuntimeError(f"the connection ended before {words!r}: {seen[-200:]!r}")
        if PING in more:
            connection.sendall(PONG)
        seen = seen[-1000:] + more


def floor(path: Path, count: int) -> Figures:
    """What a message costs that only goes into Redis and out of it."""
    command = [sys.executable, "-c", ECHO, str(path), str(WARM + count)]
    with (
        Redis(unix_socket_path=str(path)) as redis,
        subprocess.Popen(command, stdout=subprocess.PIPE) as reader,
    ):
        assert reader.stdout is not None
        pin(reader.pid, SERVER_CORE)
        fd = reader.stdout.fileno()
        os.read(fd, 100)

        def once() -> int:
            began = time.perf_counter_ns()
            redis.xadd("bench:quiet", {"m": "x"}, maxlen=10)
            os.read(fd, 100)
            return time.perf_counter_ns() - began

        found = paced(count, once)
        redis.delete("bench:quiet")
    return found


def run(settings: Settings) -> Section:
    count = QUICK if settings.quick else MESSAGES
    with ExitStack() as stack:
        quiet = Quiet(stack)
        sides = {
            FLOOR: partial(floor, quiet.node.engine_socket, count),
            SEEN: partial(quiet.paced, count, quiet.until_seen),
            ANSWERED: partial(quiet.paced, count, quiet.until_answered),
        }
        measured = interleave(sides, settings.rounds, "p50_ms")
    aims = [
        Aim("p50 from POST to the viewer, ms", measured[SEEN]["p50_ms"], at_most=1),
        Aim("p99 from POST to the viewer, ms", measured[SEEN]["p99_ms"], at_most=5),
    ]
    title = f"Quiet: one viewer, a message posted by HTTP every {EVERY_S * 1e3:.0f} ms"
    return Section(title, COLUMNS, measured, aims)
