"""The connection group on real sockets: being let in, messages both ways, shutting down."""

import pytest

from shard.closecodes import CloseCode
from shard.counters import Count
from shard.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, encode
from tests.shard.descriptors import open_descriptors
from tests.shard.rig import Client, Recorder, Rig
from tests.shard.wire import REQUEST, client_frame, close_frame
from tests.shard.wire import terms as offers


def raw(client: Client) -> bytes:
    """The response's status line."""
    return client.received.partition(b"\r\n")[0]


class TestHandshake:
    def test_a_client_is_let_in_and_the_handler_told(self) -> None:
        with Rig() as rig:
            client = rig.open(REQUEST.replace(b"/ws", b"/ws?room=a"))
            assert raw(client) == b"HTTP/1.1 101 Switching Protocols"
            assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in client.received
            assert rig.handler.requests[0].query == {"room": ["a"]}
            assert rig.group.is_open(client.fd)
            assert rig.group.open_connections() == [client.fd]
            assert rig.group.connections == rig.counts[Count.CONNECTIONS] == 1

    def test_a_request_may_come_byte_by_byte(self) -> None:
        with Rig() as rig:
            client = rig.connect()
            for i in range(len(REQUEST)):
                rig.say(client, REQUEST[i : i + 1])
            rig.run_until(lambda: client.status)
            assert client.status == 101

    def test_what_the_handler_says_first_comes_with_the_response(self) -> None:
        with Rig() as rig:
            rig.handler.opening = encode(TEXT, b"welcome")
            assert rig.open().messages == [(TEXT, b"welcome")]
            assert rig.counts[Count.WRITES] == 1

    def test_frames_sent_along_with_the_request_are_heard(self) -> None:
        with Rig() as rig:
            rig.open(REQUEST + client_frame(TEXT, b"early") + client_frame(BINARY, b"bird")[:3])
            rig.run_until(lambda: rig.handler.messages)
            assert rig.handler.payloads == [b"early"]

    def test_the_variant_of_the_chosen_subprotocol_is_remembered(self) -> None:
        with Rig(terms=offers("a", "b")) as rig:
            offer = b"\r\nSec-WebSocket-Protocol: b\r\n\r\n"
            client = rig.open(REQUEST.replace(b"\r\n\r\n", offer))
            assert b"Sec-WebSocket-Protocol: b\r\n" in client.received
            assert rig.group._table.variant[client.fd] == 1

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (REQUEST.replace(b"/ws", b"/nothing"), 404),
            (REQUEST.replace(b"GET", b"PUT"), 405),
            (REQUEST.replace(b"Upgrade: websocket\r\n", b""), 426),
            (REQUEST.replace(b"Version: 13", b"Version: 7"), 426),
            (REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
            (REQUEST.replace(b"Key: dG", b"Key: "), 400),
            (REQUEST.replace(b"Host", b"Origin: https://evil\r\nHost"), 403),
            (b"\x16\x03\x01 this is TLS\r\n\r\n", 400),
            (REQUEST.replace(b"Host", b"X: " + b"y" * 9_000 + b"\r\nHost"), 431),
            (b"GET /healthz HTTP/1.1\r\n\r\n", 200),
        ],
    )
    def test_who_is_not_let_in_gets_an_answer_and_the_end(
        self, request_: bytes, status: int
    ) -> None:
        with Rig(terms=offers(origins=("https://good",))) as rig:
            client = rig.connect()
            client.send(request_)
            rig.run_until(lambda: client.ended)
            assert client.status == status
            assert rig.counts[Count.REFUSED_HANDSHAKE] == (status != 200)
            assert rig.handler.opened == []
            assert rig.group.connections == 0
            assert rig.serves_others()

    def test_a_request_without_end_is_cut_off(self) -> None:
        with Rig() as rig:
            client = rig.connect()
            client.send(b"GET /ws HTTP/1.1\r\nX: " + b"y" * (1 << 20))
            rig.run_until(lambda: client.ended)
            assert client.status == 431
            assert rig.counts[Count.BYTES_IN] <= 1 << 16
            assert rig.serves_others()

    def test_a_request_as_long_as_is_allowed_and_a_byte_longer(self) -> None:
        with Rig(handshake_bytes=len(REQUEST) - 4) as rig:
            assert rig.open()
            client = rig.connect()
            client.send(REQUEST.replace(b"localhost", b"localhosts"))
            rig.run_until(lambda: client.ended)
            assert client.status == 431

    @pytest.mark.parametrize("split", range(4))
    def test_a_request_as_long_as_is_allowed_may_come_split_in_its_end(self, split: int) -> None:
        with Rig(handshake_bytes=len(REQUEST) - 4) as rig:
            client = rig.connect()
            rig.say(client, REQUEST[: len(REQUEST) - 4 + split])
            rig.say(client, REQUEST[len(REQUEST) - 4 + split :])
            rig.run_until(lambda: client.status)
            assert client.status == 101

    def test_a_client_that_leaves_before_the_end_of_its_request_is_forgotten(self) -> None:
        with Rig() as rig:
            rig.connect().send(REQUEST[:50])
            rig.run_until(lambda: rig.counts[Count.BYTES_IN])
            rig.clients[0].vanish()
            rig.run_until(lambda: rig.counts[Count.CLOSED])
            assert rig.handler.closed == []

    def test_the_handler_may_refuse_with_a_close_code(self) -> None:
        with Rig() as rig:
            rig.handler.opening = CloseCode.BAD_TOKEN, "no such token"
            client = rig.connect()
            client.send(REQUEST + client_frame(TEXT, b"unheard")[:4])
            rig.run_until(lambda: client.close_code)
            assert client.status == 101
            assert client.messages == [(CLOSE, b"\x11\x94no such token")]
            client.send(client_frame(TEXT, b"unheard")[4:] + close_frame(4500))
            rig.run_until(lambda: client.ended)
            assert rig.handler.messages == []
            assert rig.handler.closed == [(rig.handler.opened[0], 4500)]
            assert rig.counts[Count.CLOSED_PROTOCOL] == 0


class TestMessages:
    def test_text_and_binary_are_told_apart(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(TEXT, "弹幕".encode()) + client_frame(BINARY, b"\xff"))
            rig.run_until(lambda: len(rig.handler.messages) == 2)
            assert rig.handler.messages == [
                (client.fd, "弹幕".encode(), False),
                (client.fd, b"\xff", True),
            ]

    def test_a_thousand_pipelined_frames_come_in_order(self) -> None:
        with Rig() as rig:
            client = rig.open()
            sent = [b"%d" % i for i in range(1_000)]
            client.send(b"".join(client_frame(TEXT, payload) for payload in sent))
            rig.run_until(lambda: len(rig.handler.messages) == 1_000)
            assert rig.handler.payloads == sent
            assert rig.counts[Count.FRAMES_IN] == 1_000
            assert rig.counts[Count.UPGRADED] == 1

    def test_a_message_larger_than_one_read_is_put_together(self) -> None:
        with Rig(message_bytes=1 << 20) as rig:
            client, payload = rig.open(), bytes(range(256)) * 4_000
            client.send(client_frame(BINARY, payload))
            rig.run_until(lambda: rig.handler.messages)
            assert rig.handler.payloads == [payload]
            assert rig.group._inbound.buffers.on_loan == 0

    def test_connections_do_not_share_half_messages(self) -> None:
        with Rig() as rig:
            first, second = rig.open(), rig.open()
            rig.say(first, client_frame(TEXT, b"fir", fin=False))
            rig.say(second, client_frame(TEXT, b"sec", fin=False))
            second.send(client_frame(CONT, b"ond"))
            first.send(client_frame(CONT, b"st"))
            rig.run_until(lambda: len(rig.handler.messages) == 2)
            assert sorted(rig.handler.payloads) == [b"first", b"second"]

    def test_an_answer_to_our_ping_is_counted_and_nothing_else(self) -> None:
        with Rig() as rig:
            client = rig.open()
            rig.say(client, client_frame(PONG))
            rig.run_until(lambda: rig.counts[Count.FRAMES_IN] == 1)
            assert rig.handler.messages == []
            assert client.messages == []

    def test_a_payload_that_looks_like_such_an_answer_is_payload(self) -> None:
        lookalike = client_frame(PONG)
        frame = client_frame(BINARY, b"x" * 3 + b"y" * len(lookalike), mask=bytes(4))
        head = frame[: -len(lookalike)]
        with Rig() as rig:
            client = rig.open()
            rig.say(client, head)
            rig.run_until(lambda: rig.counts[Count.BYTES_IN] == len(REQUEST) + len(head))
            rig.say(client, lookalike)
            rig.run_until(lambda: rig.handler.messages)
            assert rig.handler.payloads == [b"xxx" + lookalike]

    def test_pings_are_answered_in_order_with_the_messages_between(self) -> None:
        class Echo(Recorder):
            def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
                rig.group.send(fd, encode(TEXT, payload))

        with Rig(Echo()) as rig:
            client = rig.open()
            client.send(client_frame(PING, b"1") + client_frame(PING, b"2"))
            client.send(client_frame(PONG, b"no") + client_frame(TEXT, b"3"))
            client.send(client_frame(PING, b"4"))
            rig.run_until(lambda: len(client.messages) == 4)
            assert client.messages == [(PONG, b"1"), (PONG, b"2"), (TEXT, b"3"), (PONG, b"4")]

    def test_an_idle_connection_owns_nothing(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(TEXT, b"hello")[:8])
            rig.run_until(lambda: rig.group._inbound.buffers.on_loan)
            client.send(client_frame(TEXT, b"hello")[8:] + client_frame(PING, b"hello")[:3])
            rig.run_until(lambda: rig.handler.messages)
            client.send(client_frame(PING, b"hello")[3:])
            rig.run_until(lambda: client.messages)
            assert not rig.group._inbound.partials
            assert not rig.group._door._unfinished
            assert not rig.group._outbox.slow
            assert rig.group._inbound.buffers.on_loan == 0


class TestTurns:
    def test_one_is_asked_for_once(self) -> None:
        with Rig() as rig:
            clients = [rig.open() for _ in range(3)]
            before = rig.wakes
            for client in clients:
                rig.group.close(client.fd, CloseCode.NORMAL)
            assert rig.wakes == before + 1
            assert rig.handler.closed == []
            rig.step()
            assert len(rig.handler.closed) == 3

    def test_one_that_leaves_nothing_to_do_asks_for_none(self) -> None:
        with Rig() as rig:
            client = rig.open()
            before = rig.wakes
            client.send(client_frame(TEXT, b"hello") + close_frame(1000))
            rig.run_until(lambda: client.ended)
            assert rig.wakes == before


class TestShutting:
    def test_every_descriptor_is_released(self) -> None:
        before = open_descriptors()
        with Rig() as rig:
            for _ in range(3):
                rig.open()
            rig.connect()
            rig.clients[0].send(close_frame(1000))
            rig.group.close(rig.clients[1].fd, CloseCode.NORMAL)
            rig.run_until(lambda: rig.clients[0].ended and rig.group.connections == 3)
            rig.group.fan_out([rig.clients[2].fd], b"x")
        assert open_descriptors() == before

    def test_a_turn_that_was_asked_for_before_does_no_harm(self) -> None:
        with Rig() as rig:
            client = rig.open()
            rig.group.close(client.fd, CloseCode.NORMAL)
            rig.group.shut()
            rig.group.turn()
            assert rig.handler.closed == [(client.fd, 1000)]

    def test_nobody_new_is_let_in_after_stop_accepting(self) -> None:
        with Rig() as rig:
            client = rig.open()
            rig.group.stop_accepting()
            late = rig.connect()
            late.send(REQUEST)
            rig.advance(3)
            client.send(client_frame(TEXT, b"still here"))
            rig.run_until(lambda: rig.handler.messages)
            assert (rig.counts[Count.ACCEPTED], late.status) == (1, 0)
