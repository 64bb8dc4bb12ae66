"""Heartbeats of a group on real sockets: one fan-out a tick, and whose silence means nothing."""

from collections.abc import Collection, Iterator

import pytest

from shard.counters import Count
from shard.frames import BINARY, PING, PONG, encode
from shard.handshake import Terms
from shard.outbox import Happened
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer
from tests.shard.rig import Client, Rig
from tests.shard.wire import REQUEST, client_frame

COMMENT = EventStream.ping
TERMS = Terms(
    [
        Offer("/ws", WebSocket()),
        Offer("/ws", WebSocket(deflated=True)),
        Offer("/sse", EventStream()),
    ]
)
EXTENSION = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
DEFLATED = REQUEST[:-2] + EXTENSION + b"\r\n"
LISTEN = b"GET /sse HTTP/1.1\r\nHost: chat\r\n\r\n"


def listener(rig: Rig) -> Client:
    """A connection of the event stream."""
    client = rig.connect()
    client.send(LISTEN)
    rig.run_until(lambda: client.status)
    assert client.status == 200
    client.fd = rig.handler.opened[-1]
    return client


def pings(client: Client) -> int:
    return client.messages.count((PING, b""))


class TestFanOut:
    def test_those_of_a_tick_are_asked_in_one_a_wire(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Rig(ping_ticks=10, terms=TERMS) as rig:
            clients = [rig.open(request) for request in (REQUEST, DEFLATED) for _ in range(4)]
            assert [rig.group.variant(client.fd) for client in clients] == [0] * 4 + [1] * 4
            heard = listener(rig)
            seen: list[tuple[set[int], bytes]] = []
            fan_out = rig.group._outbox.fan_out

            def spy(fds: Collection[int], data: bytes, droppable: bool = True) -> Happened:
                seen.append((set(fds), data))
                return fan_out(fds, data, droppable)

            monkeypatch.setattr(rig.group._outbox, "fan_out", spy)
            rig.advance(10)
            assert sorted(seen, key=lambda one: len(one[0])) == [
                ({heard.fd}, COMMENT),
                ({client.fd for client in clients}, encode(PING, b"")),
            ]
            rig.run_until(lambda: all(client.messages for client in clients))
            rig.run_until(lambda: heard.stream)
            assert [client.messages for client in clients] == [[(PING, b"")]] * 8
            assert heard.stream == COMMENT
            assert rig.counts[Count.PINGS] == 9

    def test_one_that_is_lost_meanwhile_ends_alone(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5) as rig:
            gone, here = rig.open(), rig.open()
            gone.vanish()
            rig.advance(10)
            rig.run_until(lambda: here.messages)
            assert [fd for fd, _ in rig.handler.closed] == [gone.fd]


class TestSlowReaders:
    """Who has not read everything is judged by whether it goes on reading."""

    @staticmethod
    def blocked(rig: Rig, client: Client) -> None:
        client.reading = False
        for _ in range(10_000):
            if client.fd in rig.group._outbox.slow:
                return
            rig.group.fan_out([client.fd], encode(BINARY, b"." * 1_000))
            rig.settle()
        raise AssertionError("it takes all that it is sent")

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with Rig(send_buffer=4_096, ping_ticks=10, timeout_ticks=5, stall_ticks=60) as rig:
            yield rig

    def test_they_are_not_asked(self, rig: Rig) -> None:
        client = rig.open(receive_buffer=4_096)
        self.blocked(rig, client)
        rig.advance(40)
        assert rig.counts[Count.PINGS] == 0
        assert rig.handler.closed == []

    def test_a_question_they_may_not_have_read_is_forgotten(self, rig: Rig) -> None:
        client = rig.open(receive_buffer=4_096)
        client.reading = False
        rig.advance(12)
        assert rig.counts[Count.PINGS] == 1
        self.blocked(rig, client)
        rig.advance(20)
        assert rig.handler.closed == []
        client.reading = True
        rig.run_until(lambda: not rig.group._outbox.slow)
        rig.settle()
        rig.advance(10)
        assert rig.counts[Count.PINGS] == 2, "asked anew when it has read"
        rig.advance(5)
        assert rig.handler.closed == [(client.fd, 4003)]

    def test_who_answers_then_stays(self, rig: Rig) -> None:
        client = rig.open(receive_buffer=4_096)
        self.blocked(rig, client)
        rig.advance(20)
        client.reading = True
        rig.run_until(lambda: not rig.group._outbox.slow)
        for _ in range(40):
            before = pings(client)
            rig.advance()
            if pings(client) > before:
                rig.say(client, client_frame(PONG))
        assert rig.counts[Count.PINGS] > 1
        assert rig.handler.closed == []
