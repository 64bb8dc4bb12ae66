"""Heartbeats of a group on real sockets: one fan-out a tick, and whose silence means nothing."""

import ctypes
import socket
import struct
from collections.abc import Collection, Hashable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.backlog import Keep
from shard.counters import Count
from shard.frames import BINARY, PING, PONG, encode
from shard.handshake import Terms
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer
from tests.shard.rig import Client, Recorder, Rig
from tests.shard.wire import REQUEST, client_frame

COMMENT = EventStream.ping
SO_ATTACH_FILTER = 26
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


def hear_nothing(peer: socket.socket) -> None:
    """Throw away all that arrives at a socket, before TCP sees it: it acknowledges nothing, as one
    whose host is gone."""
    refuse_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: ret 0
    program = struct.pack("HP", 1, ctypes.addressof(refuse_all))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


class TestFanOut:
    def test_those_of_a_tick_are_asked_in_one_a_wire(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Rig(ping_ticks=10, terms=TERMS) as rig:
            clients = [rig.open(request) for request in (REQUEST, DEFLATED) for _ in range(4)]
            assert [rig.group.variant(client.fd) for client in clients] == [0] * 4 + [1] * 4
            heard = listener(rig)
            seen: list[tuple[set[int], bytes]] = []
            fan_out = rig.group._outbox.fan_out

            def spy(fds: Collection[int], data: bytes, keep: Keep, lane: Hashable) -> None:
                seen.append((set(fds), data))
                fan_out(fds, data, keep, lane)

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


class TestTrustInTcp:
    """Who was lately sent something is left to TCP, where that is to be trusted."""

    @pytest.mark.parametrize(("trust", "asked"), [(True, 0), (False, 3)])
    def test_who_was_sent_something_is_not_asked(self, trust: bool, asked: int) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5, trust_tcp=trust) as rig:
            client = rig.open()
            for _ in range(39):
                rig.handler.sent_at[client.fd] = rig.tick
                before = pings(client)
                rig.advance()
                if pings(client) > before:
                    rig.say(client, client_frame(PONG))
            assert rig.counts[Count.PINGS] == asked
            assert rig.handler.closed == []

    def test_when_that_is_a_period_ago_it_is(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5, trust_tcp=True) as rig:
            client = rig.open()
            rig.handler.sent_at[client.fd] = rig.tick + 1
            rig.advance(19)
            assert rig.counts[Count.PINGS] == 0
            rig.advance()
            assert rig.counts[Count.PINGS] == 1
            rig.advance(4)
            assert rig.handler.closed == []
            rig.advance()
            assert rig.handler.closed == [(client.fd, 4003)]

    def test_who_was_asked_before_has_to_answer(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5, trust_tcp=True) as rig:
            client = rig.open()
            rig.advance(10)
            assert rig.counts[Count.PINGS] == 1
            rig.handler.sent_at[client.fd] = rig.tick
            rig.advance(5)
            assert rig.handler.closed == [(client.fd, 4003)]

    def test_listeners_have_their_comment_as_ever(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5, trust_tcp=True, terms=TERMS) as rig:
            client = listener(rig)
            for _ in range(40):
                rig.handler.sent_at[client.fd] = rig.tick
                rig.advance()
            rig.run_until(lambda: client.stream == COMMENT * 4)

    def test_an_error_of_ours_ends_one_connection(self) -> None:
        class Failing(Recorder):
            def lately_sent(self, fd: int, since: int) -> bool:
                if fd == self.opened[0]:
                    raise RuntimeError("who")
                return False

        with Rig(Failing(), ping_ticks=10, timeout_ticks=5, trust_tcp=True) as rig:
            first, other = rig.open(), rig.open()
            rig.faults = 1
            rig.advance(10)
            rig.run_until(lambda: first.close_code and other.messages)
            assert first.close_code == 1011
            assert other.messages == [(PING, b"")]

    def test_one_that_acknowledges_nothing_is_ended_by_tcp(self) -> None:
        with Rig(dead_after_s=1, ping_ticks=10, timeout_ticks=5, trust_tcp=True) as rig:
            deaf, here = rig.open(), rig.open()
            hear_nothing(deaf.socket)
            for client in (deaf, here):
                rig.handler.sent_at[client.fd] = rig.tick
            rig.group.fan_out([deaf.fd, here.fd], encode(BINARY, b"what is said"))
            rig.run_until(lambda: rig.handler.closed)
            assert rig.handler.closed == [(deaf.fd, 1006)]
            assert here.messages == [(BINARY, b"what is said")]
            assert rig.counts[Count.PINGS] == 0


PING_TICKS, TIMEOUT_TICKS = 6, 4


class TestWhateverHappens:
    @given(
        trust=st.booleans(),
        jitter=st.floats(0, 1, exclude_max=True),
        sent=st.lists(st.tuples(st.integers(0, 12), st.sets(st.integers(0, 2))), max_size=10),
    )
    def test_the_dead_go_the_living_stay_and_who_is_sent_something_is_not_asked(
        self, trust: bool, jitter: float, sent: list[tuple[int, set[int]]]
    ) -> None:
        """`sent` is what comes to pass: so many seconds, and then some are sent something. In the
        end nobody is, and who never answered is gone."""
        with Rig(
            ping_ticks=PING_TICKS, timeout_ticks=TIMEOUT_TICKS, trust_tcp=trust, terms=TERMS
        ) as rig:
            rig.chance.value = jitter
            alive, dead, heard = people = [rig.open(), rig.open(DEFLATED), listener(rig)]
            began = rig.tick - int(jitter * PING_TICKS / 2)
            asked = [0, 0]
            for seconds, to in [*sent, (2 * PING_TICKS + TIMEOUT_TICKS, set[int]())]:
                for _ in range(seconds):
                    rig.advance()
                    before, asked = asked, [pings(alive), pings(dead)]
                    for number, client in enumerate((alive, dead)):
                        since = rig.tick - rig.handler.sent_at.get(client.fd, 0)
                        lively = trust and since < PING_TICKS
                        assert not (lively and asked[number] > before[number])
                    if asked[0] > before[0]:
                        rig.say(alive, client_frame(PONG))
                for number in to:
                    rig.handler.sent_at[people[number].fd] = rig.tick
            assert rig.handler.closed == [(dead.fd, 4003)]
            comments = (rig.tick - began) // PING_TICKS
            rig.run_until(lambda: heard.stream == COMMENT * comments)
