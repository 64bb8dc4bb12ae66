"""A shard process from its first line to SIGTERM and the end, told by a service that prints."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pool.histogram import Histogram
from pool.scoreboard import Scoreboard
from shard.counters import FIELDS, TURN_US
from shard.frames import CLOSE
from shard.process import timed
from tests.patience import PATIENCE_S
from tests.shard.servers import Server, start, stop, stopped
from tests.shard.wire import REQUEST, close_frame, server_frames

TELLTALE = """
import sys
from pool.scoreboard import Scoreboard
from shard import process
from shard.closecodes import CloseCode
from shard.counters import FIELDS, LOOP_LAG_US, TURN_US
from shard.echo import SETTINGS, Echo
from shard.listen import listen

listener = listen("127.0.0.1", 0, 16, 65536)

class Telltale(Echo):
    ticks = 0

    async def start(self):
        print(f"echoing on ws://127.0.0.1:{listener.getsockname()[1]}/", flush=True)

    def on_open(self, fd, request):
        print("open", flush=True)
        return b""

    def on_close(self, fd, code):
        print("close", code, flush=True)

    def on_tick(self, tick):
        self.ticks += 1
        if self.ticks <= 3:
            print("tick", tick, flush=True)
        if self.ticks == 2 and "trouble" in sys.argv:
            raise KeyError("a tick's trouble")

    async def drain(self):
        print("drain", flush=True)
        for fd in self._connections.open_connections():
            self._connections.close(fd, CloseCode.RESTART)

    async def stop(self):
        print("stop", flush=True)

row = Scoreboard(FIELDS, 1).row(0)
process.run(listener, SETTINGS, row, 1024, Telltale, close_s=float(sys.argv[1]))
if "counts" in sys.argv:
    for one in (TURN_US, LOOP_LAG_US):
        print(one.name, sum(row[one.first : one.sum]) > 0, row[one.sum] > 0)
"""


@contextmanager
def telltale(close_s: float, *words: str) -> Iterator[tuple[Server, str]]:
    process, url = start("-c", TELLTALE, str(close_s), *words)
    try:
        yield process, url
    finally:
        process.kill()
        process.communicate()


def line(process: Server, pattern: str) -> str:
    """The next line of that kind, whatever ticks came before; what its group matched, if any."""
    assert process.stdout is not None
    for said in process.stdout:
        if match := re.fullmatch(pattern + "\n", said):
            return "".join(match.groups())
        assert said.startswith("tick"), said
    raise AssertionError(f"it ended without {pattern}")


def raw_client(url: str) -> socket.socket:
    """A client that is let in and then does nothing by itself."""
    port = int(url.rstrip("/").rpartition(":")[2])
    client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    client.sendall(REQUEST.replace(b"/ws", b"/"))
    return client


def response(client: socket.socket) -> bytes:
    """Read the response to the handshake, no byte more; its first line."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, data
        data += byte
    return data.partition(b"\r\n")[0]


def asked(url: str, path: str) -> bytes:
    """The status of a GET."""
    port = int(url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return response(client).split()[1]


class TestRunning:
    def test_ticks_come_one_by_one_and_survive_an_error(self) -> None:
        with telltale(0, "trouble") as (process, _):
            ticks = [int(line(process, r"tick (\d+)")) for _ in range(3)]
            assert ticks == [ticks[0], ticks[0] + 1, ticks[0] + 2]
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0
            assert errors.startswith("a tick failed\n")
            assert errors.count("KeyError:") == 1

    def test_turns_are_measured_and_how_late_ticks_are(self) -> None:
        with telltale(0, "counts") as (process, url), raw_client(url):
            line(process, "open")
            for _ in range(3):
                line(process, r"tick (\d+)")
            process.send_signal(signal.SIGTERM)
            line(process, "drain")
            assert process.stdout is not None
            assert [*process.stdout][-2:] == ["turn_us True True\n", "loop_lag_us True True\n"]

    def test_a_turn_that_fails_fails_as_without_a_measure(self) -> None:
        row = Scoreboard(FIELDS, 1).row(0)
        turn = timed(lambda: [][0], Histogram(TURN_US, row))
        with pytest.raises(IndexError):
            turn()
        assert not any(row)


class TestStopping:
    def test_clients_are_told_and_waited_for_and_newcomers_are_turned_away(self) -> None:
        with telltale(1_000) as (process, url), raw_client(url) as client:
            line(process, "open")
            process.send_signal(signal.SIGTERM)
            line(process, "drain")
            with raw_client(url) as late:
                assert response(late) == b"HTTP/1.1 503 Service Unavailable"
                assert response(client) == b"HTTP/1.1 101 Switching Protocols"
                assert client.recv(2)[:1] == b"\x88"
                client.sendall(close_frame(4000))
                line(process, "close 4000")
                line(process, "stop")
                stopped(process)

    def test_health_is_answered_to_the_end_but_it_is_not_ready(self) -> None:
        with telltale(1_000) as (process, url), raw_client(url) as client:
            line(process, "open")
            assert [asked(url, path) for path in ("healthz", "readyz")] == [b"200", b"200"]
            process.send_signal(signal.SIGTERM)
            line(process, "drain")
            assert [asked(url, path) for path in ("healthz", "readyz")] == [b"200", b"503"]
            client.sendall(close_frame(4000))
            line(process, "close 4000")
            line(process, "stop")
            stopped(process)

    def test_clients_that_do_not_leave_are_hung_up_on(self) -> None:
        with telltale(0) as (process, url), raw_client(url) as client:
            line(process, "open")
            stop(process)
            assert response(client) == b"HTTP/1.1 101 Switching Protocols"
            with client.makefile("rb") as rest:
                [(opcode, payload)], torn = server_frames(rest.read())
            assert (opcode, payload[:2], torn) == (CLOSE, b"\x0f\xa0", b"")
