"""Shards of a whole node: they fill alike, and nobody waits for one that cannot serve."""

import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.local import Node
from tests.e2e.crowd import REQUEST
from tests.e2e.test_crowds import crowds, statuses
from tests.patience import PATIENCE_S, until

SHARDS = 4
SLACK = 16


def filled(node: Node) -> list[int]:
    """Connections of each shard."""
    _, metrics = node.request("GET", "/metrics")
    found = re.findall(r'^danmaku_connections\{shard="\d"\} (\S+)$', metrics, re.MULTILINE)
    return [int(float(count)) for count in found]


def level(node: Node, viewers: int) -> bool:
    """Whether all of them are there and no shard is far ahead."""
    counts = filled(node)
    slack = max(SLACK, 0.02 * viewers / SHARDS)
    return sum(counts) == viewers and max(counts) - min(counts) <= slack


def dial(node: Node) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", node.port), PATIENCE_S)
    connection.sendall(REQUEST)
    return connection


def answer(connection: socket.socket) -> bytes:
    """What it is told first: the head of a response."""
    return connection.recv(4096)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still, and goes on afterwards."""
    os.kill(pid, signal.SIGSTOP)
    state = Path(f"/proc/{pid}/stat")
    until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "the standstill")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def restarted(node: Node, number: int) -> int:
    """A shard is killed; its successor, once it serves those who come next."""
    before = node.pids("shard")
    os.kill(before[number], signal.SIGKILL)
    until(lambda: serves_alone(node, number), "its next life")
    [successor] = set(node.pids("shard")) - set(before)
    return successor


def serves_alone(node: Node, number: int) -> bool:
    """Whether the next one who comes is the only one of this shard."""
    with dial(node) as connection:
        assert answer(connection).startswith(b"HTTP/1.1 101")
        return filled(node)[number] == 1


class TestLevelled:
    def test_they_fill_alike_whatever_the_addresses(self, tmp_path: Path) -> None:
        with (
            Node(tmp_path, server_shards=SHARDS) as node,
            crowds(node, "upgrade", 1_500, 1_500) as crowd,
        ):
            assert statuses(crowd) == {101: 3_000}
            assert level(node, 3_000), filled(node)

    def test_one_that_begins_anew_is_filled_first(self, tmp_path: Path) -> None:
        with (
            Node(tmp_path, server_shards=SHARDS) as node,
            crowds(node, "upgrade", 400) as first,
        ):
            assert statuses(first) == {101: 400}
            lost = filled(node)[1]
            restarted(node, 1)
            with crowds(node, "upgrade", lost) as second:
                assert statuses(second) == {101: lost}
                until(lambda: sum(filled(node)) == 400, "the last of them")
                # All of them, unless it was starved for a while: the others do not wait for it.
                assert filled(node)[1] > lost / 2


class TestNobodyWaits:
    def test_for_one_that_is_stopped(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_shards=SHARDS) as node, crowds(node, "upgrade", 200) as first:
            assert statuses(first) == {101: 200}
            for pid in node.pids("shard"):
                with stopped(pid), crowds(node, "upgrade", 100) as newcomers:
                    assert statuses(newcomers) == {101: 100}

    def test_for_one_that_is_stopped_and_had_fewest(self, tmp_path: Path) -> None:
        with (
            Node(tmp_path, server_shards=SHARDS) as node,
            crowds(node, "upgrade", 400) as first,
        ):
            assert statuses(first) == {101: 400}
            with stopped(restarted(node, 0)), crowds(node, "upgrade", 200) as newcomers:
                assert statuses(newcomers) == {101: 200}

    def test_for_one_that_drains(self, tmp_path: Path) -> None:
        with (
            Node(tmp_path, server_shards=SHARDS) as node,
            crowds(node, "upgrade", 100) as first,
        ):
            assert statuses(first) == {101: 100}
            before = node.pids("shard")
            os.kill(before[0], signal.SIGTERM)
            while before[0] in node.pids("shard"):
                with dial(node) as connection:
                    assert answer(connection).startswith(b"HTTP/1.1 101")

    def test_for_one_that_is_full(self, tmp_path: Path) -> None:
        with (
            Node(tmp_path, server_shards=SHARDS, limits_connections=50) as node,
            crowds(node, "upgrade", 4 * 50) as first,
        ):
            assert statuses(first) == {101: 4 * 50}
            with crowds(node, "upgrade", 60) as late:
                assert statuses(late) == Counter({503: 60})
            with dial(node) as connection:
                assert b"\r\nRetry-After: 5\r\n" in answer(connection)

    def test_where_all_drain(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_shards=SHARDS) as node, crowds(node, "upgrade", 40) as first:
            assert statuses(first) == {101: 40}
            os.kill(node.pid, signal.SIGTERM)
            told = b""
            deadline = time.monotonic() + PATIENCE_S
            while not told.startswith(b"HTTP/1.1 503"):
                assert time.monotonic() < deadline
                with dial(node) as connection:
                    told = answer(connection)
            assert b"\r\nRetry-After: " in told
