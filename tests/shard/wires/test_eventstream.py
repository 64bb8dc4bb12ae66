"""The event-stream wire: who is let in, what goes out, and that nothing comes in."""

import socket

import pytest

from shard.backlog import Keep
from shard.closecodes import CloseCode
from shard.counters import Count
from shard.frames import encode
from shard.handshake import Accepted, Answer, Terms, answer, respond
from shard.wires.eventstream import MOST_BYTES_IN, EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer, Part
from tests.shard.rig import Client, Recorder, Rig
from tests.shard.wire import REQUEST

OFFERS = (Offer("/ws", WebSocket()), Offer("/sse", EventStream()))
TERMS = Terms(OFFERS, ("https://a.example",))
GET = b"GET /sse?room=a HTTP/1.1\r\nHost: localhost\r\n"
RESPONSE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"Connection: close\r\n"
)


def listen(rig: Rig, *, receive_buffer: int = 0) -> Client:
    """A client that watches."""
    client = rig.connect(receive_buffer)
    before = len(rig.handler.opened)
    client.send(GET + b"\r\n")
    rig.run_until(lambda: client.status)
    assert client.status == 200
    [client.fd] = rig.handler.opened[before:]
    return client


class TestRequests:
    def test_the_response_is_a_stream_without_an_end(self) -> None:
        accepted = respond(GET + b"Accept: text/event-stream\r\n\r\n", TERMS)
        assert isinstance(accepted, Accepted)
        assert accepted.response == RESPONSE + b"\r\n"
        assert accepted.variant == 1
        assert accepted.request.query == {"room": ["a"]}

    def test_a_page_of_an_allowed_origin_may_read_it(self) -> None:
        accepted = respond(GET + b"Origin: https://a.example\r\n\r\n", TERMS)
        assert isinstance(accepted, Accepted)
        assert accepted.response == (
            RESPONSE + b"Access-Control-Allow-Origin: https://a.example\r\nVary: Origin\r\n\r\n"
        )

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (GET + b"Origin: https://b.example\r\n\r\n", 403),
            (GET.replace(b"GET", b"POST") + b"\r\n", 405),
            (GET.replace(b"GET", b"HEAD") + b"\r\n", 405),
            (GET + b"Accept: application/json\r\n\r\n", 406),
            (GET.replace(b"1.1", b"1.0") + b"\r\n", 505),
        ],
    )
    def test_any_other_request_is_refused(self, request_: bytes, status: int) -> None:
        reply = respond(request_, TERMS)
        assert isinstance(reply, Answer)
        assert reply.status == status

    @pytest.mark.parametrize("accept", [b"*/*", b"text/*", b"text/html, text/event-stream;q=0.9"])
    def test_whoever_takes_event_streams_is_let_in(self, accept: bytes) -> None:
        assert isinstance(respond(GET + b"Accept: " + accept + b"\r\n\r\n", TERMS), Accepted)


def test_parts_are_sent_as_the_event_they_make() -> None:
    assert EventStream().wrap_parts(b"data: [", [Part(b"1,"), Part(b"2")], b"]\n\n") == (
        b"data: [1,2]\n\n"
    )


class TestOnAGroup:
    def test_what_is_wrapped_goes_out_as_it_is(self) -> None:
        with Rig(terms=Terms(OFFERS)) as rig:
            rig.handler.opening = b"retry: 1000\n\n"
            client = listen(rig)
            rig.group.fan_out([client.fd], b"data: [1]\n\n")
            rig.run_until(lambda: client.stream == b"retry: 1000\n\ndata: [1]\n\n")

    def test_both_wires_live_side_by_side(self) -> None:
        with Rig(terms=Terms(OFFERS)) as rig:
            stream, frames = listen(rig), rig.open(REQUEST)
            assert [rig.group.variant(client.fd) for client in (stream, frames)] == [1, 0]
            rig.group.close(frames.fd, CloseCode.RESTART)
            rig.run_until(lambda: frames.close_code == 4000)

    def test_the_silent_get_a_comment_every_period_and_are_never_closed_for_it(self) -> None:
        with Rig(terms=Terms(OFFERS), ping_ticks=5, timeout_ticks=2) as rig:
            client = listen(rig)
            rig.advance(26)
            rig.run_until(lambda: client.stream == b":\n\n" * 5)
            assert rig.group.is_open(client.fd)

    def test_a_close_says_why_and_waits_for_nobody(self) -> None:
        with Rig(terms=Terms(OFFERS)) as rig:
            client = listen(rig)
            rig.group.close(client.fd, CloseCode.RESTART, "soon back")
            rig.run_until(lambda: client.ended)
            said = b'event: close\ndata: {"code":4000,"reason":"soon back"}\n\n'
            assert client.stream == said
            assert rig.handler.closed == [(client.fd, 4000)]

    def test_a_slow_reader_reads_whole_events_and_why_it_was_closed(self) -> None:
        event = b"data: " + b"x" * 5_000 + b"\n\n"
        with Rig(terms=Terms(OFFERS), backlog_soft_bytes=50_000, backlog_hard_bytes=50_000) as rig:
            client = listen(rig, receive_buffer=4096)
            client.reading = False
            while not rig.counts[Count.CLOSED_SLOW]:
                rig.group.fan_out([client.fd], event, keep=Keep.ALWAYS)
                rig.settle()
            client.reading = True
            rig.run_until(lambda: client.ended)
            *events, last, empty = client.stream.split(b"\n\n")
            assert {one + b"\n\n" for one in events} == {event}
            assert last.startswith(b'event: close\ndata: {"code":4001,')
            assert empty == b""

    def test_one_that_never_reads_again_is_ended(self) -> None:
        with Rig(terms=Terms(OFFERS), stall_ticks=5, close_ticks=3) as rig:
            client = listen(rig, receive_buffer=4096)
            client.reading = False
            while not rig.group._outbox.slow:
                rig.group.fan_out([client.fd], b":" * 4_000)
                rig.settle()
            rig.advance(10)
            assert rig.handler.closed == [(client.fd, 4002)]
            assert rig.group.connections == 0

    def test_what_a_listener_says_is_passed_over(self) -> None:
        with Rig(terms=Terms(OFFERS)) as rig:
            client = listen(rig)
            rig.say(client, b"x" * MOST_BYTES_IN)
            rig.settle()
            assert rig.handler.messages == []
            assert rig.group.is_open(client.fd)

    def test_too_much_of_it_ends_the_stream(self) -> None:
        with Rig(terms=Terms(OFFERS)) as rig:
            client = listen(rig)
            rig.say(client, b"x" * MOST_BYTES_IN)
            client.send(b"x")
            rig.run_until(lambda: client.ended)
            assert b'"code":1008' in client.stream
            assert rig.counts[Count.CLOSED_PROTOCOL] == 1

    def test_a_listener_that_half_closes_is_gone(self) -> None:
        with Rig(terms=Terms(OFFERS)) as rig:
            client = listen(rig)
            client.socket.shutdown(socket.SHUT_WR)
            rig.run_until(lambda: rig.handler.closed == [(client.fd, 1006)])

    @pytest.mark.parametrize("request_", [GET + b"\r\n", REQUEST])
    def test_a_handler_may_refuse_before_anything_else_is_said(self, request_: bytes) -> None:
        handler = Recorder()
        handler.opening = answer(400, "no such room")
        with Rig(handler, terms=Terms(OFFERS)) as rig:
            client = rig.connect()
            client.send(request_)
            rig.run_until(lambda: client.ended)
            assert client.received == answer(400, "no such room").response
            assert rig.group.connections == 0

    def test_a_handler_may_close_at_once(self) -> None:
        handler = Recorder()
        handler.opening = CloseCode.BAD_TOKEN, "no such token"
        with Rig(handler, terms=Terms(OFFERS)) as rig:
            client = rig.connect()
            client.send(GET + b"\r\n")
            rig.run_until(lambda: client.ended)
            assert client.status == 200
            said = b'event: close\ndata: {"code":4500,"reason":"no such token"}\n\n'
            assert client.stream == said


def test_a_message_of_another_wire_is_not_understood() -> None:
    parser = EventStream().parser(None, 0)  # type: ignore[arg-type]
    events, size, controls = parser.feed(encode(1, b"hi"), None, 9)
    assert (list(events), size, controls) == ([], 4, 0)
