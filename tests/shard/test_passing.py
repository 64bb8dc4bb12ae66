"""Handing over: real descriptors go to another socket; nobody waits for who takes none."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shard.passing import BUSY, DOWN, PASSED, Passing
from tests.patience import PATIENCE_S

MOST = 100_000
"""So many messages fit in no queue."""


class Taker:
    """The other process."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(PATIENCE_S)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.way: socket.socket | None = None

    def take(self) -> tuple[bytes, socket.socket]:
        """The next message, and what was handed over with it."""
        if self.way is None:
            self.way, _ = self.listener.accept()
            self.way.settimeout(PATIENCE_S)
        data, fds, flags, _ = socket.recv_fds(self.way, 1 << 18, 4)
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        [fd] = fds
        return data, socket.socket(fileno=fd)

    def die(self) -> None:
        if self.way is not None:
            self.way.close()
        self.listener.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pass.sock"


@pytest.fixture
def passing(path: Path) -> Iterator[Passing]:
    made = Passing(str(path))
    yield made
    made.shut()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client, and the server's end of it."""
    client, server = socket.socketpair()
    client.settimeout(PATIENCE_S)
    with client, server:
        yield client, server


Pair = tuple[socket.socket, socket.socket]


def test_another_process_goes_on_with_it(path: Path, passing: Passing, pair: Pair) -> None:
    client, server = pair
    taker = Taker(path)
    assert passing.hand_over(server.fileno(), "::1", b"GET / HTTP/1.1\r\n\r\n\nmore") is PASSED
    data, taken = taker.take()
    assert data == b"::1\nGET / HTTP/1.1\r\n\r\n\nmore"
    with taken:
        client.sendall(b"behind")
        assert taken.recv(64) == b"behind"
        taken.sendall(b"an answer")
    assert client.recv(64) == b"an answer"
    taker.die()


def test_what_was_let_go_ends_when_the_other_ends_it(
    path: Path, passing: Passing, pair: Pair
) -> None:
    client, server = pair
    taker = Taker(path)
    number = server.fileno()
    passing.hand_over(number, "", b"x")
    passing.let_go(number)
    assert os.path.samestat(os.fstat(number), os.stat(os.devnull))
    assert not os.get_inheritable(number)
    _, taken = taker.take()
    taken.close()
    assert client.recv(64) == b""
    taker.die()


def test_where_nobody_listens_a_client_is_told(path: Path, passing: Passing, pair: Pair) -> None:
    _, server = pair
    assert passing.hand_over(server.fileno(), "", b"x") is DOWN
    Taker(path).die()  # the name is there yet
    assert passing.hand_over(server.fileno(), "", b"x") is DOWN


def test_the_next_life_is_found_at_once(path: Path, passing: Passing, pair: Pair) -> None:
    _, server = pair
    first = Taker(path)
    assert passing.hand_over(server.fileno(), "", b"1") is PASSED
    first.take()[1].close()
    first.die()
    path.unlink()
    second = Taker(path)
    assert passing.hand_over(server.fileno(), "", b"2") is PASSED
    data, taken = second.take()
    taken.close()
    assert data == b"\n2"
    second.die()
    assert passing.hand_over(server.fileno(), "", b"3") is DOWN


def test_who_takes_nothing_keeps_nobody_waiting(path: Path, passing: Passing, pair: Pair) -> None:
    _, server = pair
    taker = Taker(path)
    waiting = 0
    while (reply := passing.hand_over(server.fileno(), "127.0.0.1", b"GET /")) is PASSED:
        waiting += 1
        assert waiting < MOST
    assert reply is BUSY
    for _ in range(waiting):
        taker.take()[1].close()
    assert passing.hand_over(server.fileno(), "127.0.0.1", b"GET /") is PASSED
    taker.die()


def test_the_longest_request_there_can_be_fits(path: Path, passing: Passing, pair: Pair) -> None:
    _, server = pair
    taker = Taker(path)
    longest = b"x" * (65_536 + 4 + 2 * 4_096)
    assert passing.hand_over(server.fileno(), "127.0.0.1", longest) is PASSED
    data, taken = taker.take()
    taken.close()
    assert data == b"127.0.0.1\n" + longest
    taker.die()


def test_it_keeps_no_descriptor(path: Path, pair: Pair) -> None:
    before = len(os.listdir("/proc/self/fd"))
    taker = Taker(path)
    passing = Passing(str(path))
    passing.hand_over(pair[1].fileno(), "", b"x")
    taker.take()[1].close()
    taker.die()
    passing.shut()
    assert len(os.listdir("/proc/self/fd")) == before
