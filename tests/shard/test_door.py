"""The door: real sockets come in, literal bytes become requests, an address has its limit."""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pool.scoreboard import Scoreboard
from shard.counters import FIELDS, Count
from shard.door import CROWDED, FULL, LONG, MAX_PIECES, PIECES, UNPROXIED, Door
from shard.handshake import Accepted, Answer
from shard.listen import listen
from shard.settings import Settings
from tests.patience import PATIENCE_S
from tests.shard.descriptors import descriptors_exhausted
from tests.shard.wire import REQUEST, client_frame, terms

ROWS = 4096
STRANGER, PROXY = "127.0.0.7", "127.0.0.9"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
"""The answer to REQUEST's key that RFC 6455 section 1.3 gives."""


class Porch:
    """A listener with a door, and those who stand before it; closes all of them in the end."""

    def __init__(self, rows: int = ROWS, **limits: Any) -> None:
        self.listener = listen("127.0.0.1", 0, backlog=64, send_buffer=1 << 16)
        self.counts = Scoreboard(FIELDS, 1).row(0)
        settings = Settings(**({"terms": terms()} | limits))
        self.door = Door(self.listener, settings, rows, self.counts)
        self.inside: list[int] = []
        self.clients: list[socket.socket] = []

    def close(self) -> None:
        for fd in self.inside:
            self.door.forget(fd)
            with suppress(OSError):
                os.close(fd)
        for client in self.clients:
            client.close()
        self.door.shut()
        self.listener.close()

    def knock(self, source: str = STRANGER) -> socket.socket:
        """A client that has connected from `source`."""
        client = socket.socket()
        self.clients.append(client)
        client.settimeout(PATIENCE_S)
        client.bind((source, 0))
        client.connect(self.listener.getsockname())
        return client

    def arrivals(self, connections: int = 0, most: int = 64) -> tuple[list[int], OSError | None]:
        """Those who got in, once somebody waits."""
        waiting = select.poll()
        waiting.register(self.listener, select.POLLIN)
        assert waiting.poll(1000 * PATIENCE_S), "nobody came"
        fds, trouble = self.door.arrivals(connections, most)
        self.inside += fds
        return fds, trouble

    def enter(self, source: str = STRANGER) -> int:
        """The descriptor of a client that got in."""
        self.knock(source)
        ([fd], trouble) = self.arrivals()
        assert trouble is None
        return fd

    def leave(self, fd: int) -> None:
        self.door.forget(fd)
        self.inside.remove(fd)
        os.close(fd)


@pytest.fixture
def porch(request: pytest.FixtureRequest) -> Iterator[Porch]:
    """Parametrized indirectly with what it is made of."""
    made = Porch(**getattr(request, "param", {}))
    yield made
    made.close()
    assert not made.door._unfinished
    assert not made.door._proxied
    assert not made.door._per_address._clients


def with_(**limits: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("porch", [limits], indirect=True, ids=[""])


def heard(client: socket.socket) -> bytes:
    """All a client is told until it is hung up on."""
    data = b""
    while piece := client.recv(1 << 16):
        data += piece
    return data


class TestArriving:
    def test_who_waits_comes_in_and_blocks_nobody(self, porch: Porch) -> None:
        client = porch.knock()
        ([fd], trouble) = porch.arrivals()
        assert trouble is None
        assert not os.get_blocking(fd)
        with socket.socket(fileno=os.dup(fd)) as accepted:
            assert accepted.getpeername() == client.getsockname()

    def test_nobody_waiting_is_no_trouble(self, porch: Porch) -> None:
        assert porch.door.arrivals(0, 64) == ([], None)

    def test_many_come_in_a_few_at_a_time(self, porch: Porch) -> None:
        for _ in range(5):
            porch.knock()
        came: list[int] = []
        while len(came) < 5:
            fds, trouble = porch.arrivals(most=2)
            assert trouble is None
            assert len(fds) <= 2
            came += fds
        assert len(set(came)) == 5

    def test_without_a_descriptor_to_spare_it_says_so_and_they_go_on_waiting(
        self, porch: Porch
    ) -> None:
        porch.knock()
        with descriptors_exhausted():
            fds, trouble = porch.door.arrivals(0, 64)
        assert fds == []
        assert isinstance(trouble, OSError)
        assert trouble.strerror == "Too many open files"
        ([_], trouble) = porch.arrivals()
        assert trouble is None


class TestBeingFull:
    @with_(capacity=0)
    def test_who_has_made_a_request_hears_it_and_is_not_reset(self, porch: Porch) -> None:
        client = porch.knock()
        client.sendall(REQUEST)
        porch.arrivals()
        assert heard(client) == FULL.response

    @with_(capacity=2)
    def test_who_is_one_too_many_is_told_and_hung_up_on(self, porch: Porch) -> None:
        client = porch.knock()
        assert porch.arrivals(connections=2) == ([], None)
        assert heard(client) == FULL.response
        assert FULL.response.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 5\r\n" in FULL.response
        assert porch.counts[Count.REFUSED_FULL] == 1

    @with_(capacity=2)
    def test_those_who_come_together_count(self, porch: Porch) -> None:
        clients = [porch.knock() for _ in range(3)]
        came: list[int] = []
        while len(came) + porch.counts[Count.REFUSED_FULL] < 3:
            fds, _ = porch.arrivals(connections=len(came))
            came += fds
        assert len(came) == 2
        assert heard(clients[2]) == FULL.response

    @pytest.mark.parametrize(
        "porch", [{"rows": 1}, {"rows": 1, "connections_per_address": 9}], indirect=True
    )
    def test_a_descriptor_without_a_row_has_no_place(self, porch: Porch) -> None:
        client = porch.knock()
        assert porch.arrivals() == ([], None)
        assert heard(client) == FULL.response
        assert porch.counts[Count.REFUSED_FULL] == 1

    @with_(connections_per_address=1)
    def test_who_is_turned_away_afterwards_makes_room(self, porch: Porch) -> None:
        fd = porch.enter()
        porch.inside.remove(fd)
        porch.door.turn_away(fd)
        assert heard(porch.clients[0]) == FULL.response
        assert porch.counts[Count.REFUSED_FULL] == 1
        porch.enter()


class TestManyFromOneAddress:
    @with_(connections_per_address=2)
    def test_one_too_many_is_told_and_hung_up_on(self, porch: Porch) -> None:
        porch.enter()
        porch.enter()
        client = porch.knock()
        assert porch.arrivals() == ([], None)
        assert heard(client) == CROWDED.response
        assert CROWDED.response.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert porch.counts[Count.REFUSED_PER_ADDRESS] == 1
        assert porch.counts[Count.REFUSED_FULL] == 0

    @with_(connections_per_address=1)
    def test_another_address_has_its_own(self, porch: Porch) -> None:
        porch.enter()
        porch.enter("127.0.0.8")

    @with_(connections_per_address=1)
    def test_who_is_forgotten_makes_room(self, porch: Porch) -> None:
        porch.leave(porch.enter())
        porch.enter()

    def test_without_a_limit_there_are_as_many_as_like(self, porch: Porch) -> None:
        for _ in range(9):
            porch.enter()


class TestRequests:
    def test_a_whole_one_is_let_in(self, porch: Porch) -> None:
        reply = porch.door.request(porch.enter(), REQUEST)
        assert isinstance(reply, Accepted)
        assert ACCEPT in reply.response
        assert reply.rest == b""

    def test_what_came_behind_it_is_handed_on(self, porch: Porch) -> None:
        frame = client_frame(1, b"hello")
        reply = porch.door.request(porch.enter(), REQUEST + frame)
        assert isinstance(reply, Accepted)
        assert reply.rest == frame

    def test_wherever_it_is_cut_it_is_the_same_request(self, porch: Porch) -> None:
        fd = porch.enter()
        for cut in range(1, len(REQUEST)):
            assert porch.door.request(fd, REQUEST[:cut]) is None, cut
            reply = porch.door.request(fd, REQUEST[cut:] + b"rest")
            assert isinstance(reply, Accepted), cut
            assert ACCEPT in reply.response
            assert reply.rest == b"rest"
            assert not porch.door._unfinished

    def test_byte_by_byte_and_two_at_a_time(self, porch: Porch) -> None:
        first, second = porch.enter(), porch.enter()
        other = REQUEST.replace(b"/ws", b"/ws?room=b")
        for a, b in zip(REQUEST[:-1], other[: len(REQUEST) - 1], strict=True):
            assert porch.door.request(first, bytes((a,))) is None
            assert porch.door.request(second, bytes((b,))) is None
        one = porch.door.request(first, REQUEST[-1:])
        two = porch.door.request(second, other[len(REQUEST) - 1 :])
        assert isinstance(one, Accepted)
        assert isinstance(two, Accepted)
        assert (one.request.query, two.request.query) == ({}, {"room": ["b"]})

    def test_one_in_far_too_many_pieces_is_refused(self, porch: Porch) -> None:
        fd = porch.enter()
        for _ in range(MAX_PIECES):
            assert porch.door.request(fd, b"G") is None
        assert porch.door.request(fd, b"G") is PIECES
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 1

    def test_a_refused_one_is_counted_and_a_health_check_is_not(self, porch: Porch) -> None:
        fd = porch.enter()
        reply = porch.door.request(fd, b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert isinstance(reply, Answer)
        assert reply.status == 404
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 1
        reply = porch.door.request(fd, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert isinstance(reply, Answer)
        assert reply.status == 200
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 1

    def test_pages_that_may_connect_can_change(self, porch: Porch) -> None:
        asked = REQUEST.replace(b"\r\n\r\n", b"\r\nOrigin: https://a.example\r\n\r\n")
        fd = porch.enter()
        for origins, comes_in in (
            (("https://a.example",), True),
            (("https://b.example",), False),
            (("*",), True),
        ):
            porch.door.allow_origins(origins)
            for _ in range(2):  # the second time it is remembered
                assert isinstance(porch.door.request(fd, asked), Accepted) == comes_in

    def test_nobody_comes_in_any_more_for_that(self, porch: Porch) -> None:
        porch.door.leave()
        porch.door.allow_origins(["*"])
        assert not isinstance(porch.door.request(porch.enter(), REQUEST), Accepted)

    def test_the_next_on_a_descriptor_begins_anew(self, porch: Porch) -> None:
        fd = porch.enter()
        assert porch.door.request(fd, REQUEST[:-1]) is None
        porch.door.forget(fd)
        assert porch.door.request(fd, b"\n") is None
        porch.door.forget(fd)
        assert isinstance(porch.door.request(fd, REQUEST), Accepted)


HEAD = b"GET /ws HTTP/1.1\r\nHost: "


class TestLongRequests:
    """The limit is of the headers, without the empty line that ends them."""

    LIMIT = 512

    @with_(handshake_bytes=LIMIT)
    @pytest.mark.parametrize(("size", "status"), [(LIMIT, 426), (LIMIT + 1, 431)])
    def test_a_whole_one(self, porch: Porch, size: int, status: int) -> None:
        reply = porch.door.request(porch.enter(), HEAD.ljust(size, b"a") + b"\r\n\r\n")
        assert isinstance(reply, Answer)
        assert reply.status == status
        assert (reply is LONG) is (status == 431)
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 1

    @with_(handshake_bytes=LIMIT)
    def test_one_without_an_end_is_refused_as_soon_as_it_cannot_be_short(
        self, porch: Porch
    ) -> None:
        fd = porch.enter()
        assert porch.door.request(fd, HEAD.ljust(self.LIMIT, b"a")) is None
        assert porch.door.request(fd, b"\r\n\r") is None
        assert porch.door.request(fd, b"a") is LONG
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 1

    @with_(handshake_bytes=LIMIT)
    def test_what_follows_a_short_one_does_not_make_it_long(self, porch: Porch) -> None:
        reply = porch.door.request(porch.enter(), REQUEST + bytes(2 * self.LIMIT))
        assert isinstance(reply, Accepted)


BEHIND = {"client_address": "proxy-protocol", "trusted_proxies": (PROXY,)}


def line(client: str) -> bytes:
    return f"PROXY TCP4 {client} 10.0.0.1 5000 80\r\n".encode()


class TestBehindAProxy:
    @with_(**BEHIND, connections_per_address=1)
    def test_the_address_in_its_header_is_the_one_that_counts(self, porch: Porch) -> None:
        fds = [porch.enter(PROXY) for _ in range(3)]
        first, second, third = (
            porch.door.request(fd, line(client) + REQUEST)
            for fd, client in zip(fds, ("1.1.1.1", "2.2.2.2", "1.1.1.1"), strict=True)
        )
        assert isinstance(first, Accepted)
        assert isinstance(second, Accepted)
        assert third is CROWDED
        assert porch.counts[Count.REFUSED_PER_ADDRESS] == 1
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 0
        porch.leave(fds[0])
        assert isinstance(
            porch.door.request(porch.enter(PROXY), line("1.1.1.1") + REQUEST), Accepted
        )

    @with_(**BEHIND)
    def test_header_and_request_come_in_whatever_pieces(self, porch: Porch) -> None:
        data = line("1.2.3.4") + REQUEST
        for size in (1, 7, len(line("1.2.3.4")), 60):
            fd = porch.enter(PROXY)
            pieces = [data[i : i + size] for i in range(0, len(data), size)]
            *before, reply = [porch.door.request(fd, piece) for piece in pieces]
            assert before == [None] * len(before)
            assert isinstance(reply, Accepted)

    @with_(**BEHIND)
    def test_one_without_a_header_is_refused(self, porch: Porch) -> None:
        assert porch.door.request(porch.enter(PROXY), REQUEST) is UNPROXIED
        assert UNPROXIED.response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert porch.counts[Count.REFUSED_HANDSHAKE] == 1

    @with_(**BEHIND)
    def test_a_strangers_header_is_no_request(self, porch: Porch) -> None:
        reply = porch.door.request(porch.enter(STRANGER), line("1.2.3.4") + REQUEST)
        assert isinstance(reply, Answer)
        assert reply.status == 400
        assert reply is not UNPROXIED

    @with_(**BEHIND, connections_per_address=1)
    def test_one_that_leaves_in_the_middle_of_its_header_is_forgotten(self, porch: Porch) -> None:
        fd = porch.enter(PROXY)
        assert porch.door.request(fd, line("1.1.1.1")[:9]) is None
        porch.door.forget(fd)
        assert isinstance(porch.door.request(fd, REQUEST), Accepted)

    @with_(client_address="x-forwarded-for", trusted_proxies=(PROXY,), connections_per_address=1)
    def test_a_forwarded_address_counts_from_a_proxy_only(self, porch: Porch) -> None:
        request = REQUEST.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 127.0.0.7\r\n\r\n")
        assert isinstance(porch.door.request(porch.enter(PROXY), request), Accepted)
        assert porch.door.request(porch.enter(PROXY), request) is CROWDED
        client = porch.knock(STRANGER)
        assert porch.arrivals() == ([], None)
        assert heard(client) == CROWDED.response
