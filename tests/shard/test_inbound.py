"""Bytes in: one scratch for all, partials for the few, whatever the pieces."""

import os
import socket
from collections.abc import Iterator

import pytest

from shard.closecodes import CloseCode, ProtocolError
from shard.frames import BINARY, CONT, PING, PONG, TEXT
from shard.inbound import BURST_S, SCRATCH_BYTES, SMALL_PIECE, Inbound
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import REPLY, Offer
from tests.shard.wire import client_frame

OFFERS = (
    Offer("/ws", WebSocket()),
    Offer("/ws", WebSocket(deflated=True)),
    Offer("/sse", EventStream()),
)


PER_S = 5


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def inbound() -> Iterator[Inbound]:
    inbound = Inbound(OFFERS, 1_000, PER_S)
    yield inbound
    assert not inbound.partials
    assert not inbound.buffers.on_loan


class TestReceiving:
    def test_bytes_none_and_the_end(
        self, inbound: Inbound, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        ours, theirs = pair
        assert inbound.receive(ours.fileno()) is None
        theirs.sendall(b"hello")
        assert inbound.receive(ours.fileno()) == 5
        assert bytes(inbound.received(5)) == b"hello"
        theirs.close()
        assert inbound.receive(ours.fileno()) == 0

    def test_at_most_the_scratch_at_once(
        self, inbound: Inbound, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        ours, theirs = pair
        for end, option in ((theirs, socket.SO_SNDBUF), (ours, socket.SO_RCVBUF)):
            end.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        theirs.sendall(b"x" * (SCRATCH_BYTES + 1))
        assert inbound.receive(ours.fileno()) == SCRATCH_BYTES
        assert inbound.receive(ours.fileno()) == 1

    def test_a_descriptor_that_is_gone_is_the_end(self, inbound: Inbound) -> None:
        os.close(gone := os.dup(0))
        assert inbound.receive(gone) == 0


class TestEvents:
    def test_a_lone_message_takes_the_short_way(self, inbound: Inbound) -> None:
        frame = client_frame(TEXT, b"hi")
        inbound.received(len(frame))[:] = frame
        assert inbound.lone[0](inbound.scratch, len(frame)) == (TEXT, b"hi")
        assert inbound.lone[2](inbound.scratch, len(frame)) is None

    def test_the_middle_of_another_is_a_partial(self, inbound: Inbound) -> None:
        frame = client_frame(TEXT, b"hello")
        assert list(inbound.events(5, 0, frame[:4])) == []
        assert 5 in inbound.partials
        assert list(inbound.events(5, 0, frame[4:])) == [(TEXT, b"hello")]

    def test_each_connection_has_its_own_partial_and_its_own_wire(self, inbound: Inbound) -> None:
        frame = client_frame(BINARY, b"hello")
        assert list(inbound.events(5, 0, frame[:-2])) == []
        assert list(inbound.events(6, 1, frame[:-1])) == []
        assert list(inbound.events(7, 2, b"ignored")) == []
        assert list(inbound.events(6, 1, frame[-1:])) == [(BINARY, b"hello")]
        assert list(inbound.events(5, 0, frame[-2:])) == [(BINARY, b"hello")]
        inbound.forget(7, 2)

    def test_what_ends_half_way_is_forgotten(self, inbound: Inbound) -> None:
        assert list(inbound.events(5, 0, client_frame(BINARY, b"hello")[:-2])) == []
        assert inbound.buffers.on_loan == 1
        inbound.forget(5, 0)
        inbound.forget(5, 0)

    def test_what_came_before_a_fault_is_told_before_it(self, inbound: Inbound) -> None:
        data = client_frame(TEXT, b"hi") + client_frame(PING, b"?") + client_frame(5, b"") + b"xxx"
        events = iter(inbound.events(5, 0, data))
        assert next(events) == (TEXT, b"hi")
        assert next(events) == (REPLY, b"\x8a\x01?")
        with pytest.raises(ProtocolError, match="opcode 5 is reserved"):
            next(events)


MOST = PER_S * BURST_S


def spend(inbound: Inbound, fd: int, data: bytes = client_frame(PONG), variant: int = 0) -> int:
    """How often a connection may say `data` until it is flooding."""
    for times in range(10 * MOST):
        try:
            list(inbound.events(fd, variant, data))
        except ProtocolError as error:
            assert error.code is CloseCode.FLOODING
            return times
    return 10 * MOST


class TestControls:
    @pytest.mark.parametrize(
        "data",
        [
            client_frame(PING),
            client_frame(PONG, b"x" * 125),
            client_frame(TEXT, b"a", fin=False) + client_frame(CONT, b"b"),
        ],
    )
    def test_a_connection_may_send_so_many_at_once(self, inbound: Inbound, data: bytes) -> None:
        assert spend(inbound, 5, data) == MOST
        assert inbound.controls == MOST + 1
        assert spend(inbound, 6, data) == MOST, "another has its own"

    def test_in_one_read_as_in_many(self, inbound: Inbound) -> None:
        list(inbound.events(5, 0, client_frame(PING) * MOST))
        with pytest.raises(ProtocolError):
            inbound.events(5, 0, client_frame(PING))
        with pytest.raises(ProtocolError):
            inbound.events(6, 0, client_frame(PING) * (MOST + 1))

    def test_messages_cost_nothing(self, inbound: Inbound) -> None:
        assert spend(inbound, 5, client_frame(TEXT, b"hi")) == 10 * MOST
        assert inbound.controls == 0

    def test_the_pieces_of_an_unfinished_message_cost(self, inbound: Inbound) -> None:
        list(inbound.events(5, 0, client_frame(TEXT, fin=False)))
        assert spend(inbound, 5, client_frame(CONT, fin=False)) == MOST - 1
        inbound.forget(5, 0)

    def test_so_do_reads_of_a_byte_but_not_of_a_segment(self, inbound: Inbound) -> None:
        header = client_frame(BINARY, b"x" * 900)[:8]
        list(inbound.events(5, 0, header))
        assert spend(inbound, 5, b"x") == MOST - 1
        inbound.forget(5, 0)
        list(inbound.events(6, 0, header))
        list(inbound.events(6, 0, b"x" * SMALL_PIECE))
        assert list(inbound.events(6, 0, b"x" * (900 - SMALL_PIECE)))
        assert inbound.controls == MOST + 2

    def test_what_a_listener_sends_costs_like_it(self, inbound: Inbound) -> None:
        assert spend(inbound, 5, b"x", variant=2) == MOST
        inbound.forget(5, 2)

    def test_time_makes_room_for_as_many_as_a_second_has(self, inbound: Inbound) -> None:
        assert spend(inbound, 5) == MOST
        inbound.pass_time(3)
        assert spend(inbound, 5) == 3 * PER_S
        inbound.pass_time(1_000)
        assert spend(inbound, 5) == MOST

    def test_nothing_is_kept_of_the_quiet_and_of_who_is_over(self, inbound: Inbound) -> None:
        inbound.count(5, PER_S)
        inbound.count(6, PER_S + 1)
        inbound.pass_time(1)
        assert inbound._buckets == {6: 1}
        inbound.forget(6, 0)
        assert inbound._buckets == {}
