"""How connections of a group end: both closing handshakes, faults of the peer, faults of ours."""

import socket

import pytest

from shard.closecodes import CloseCode
from shard.counters import Count
from shard.frames import BINARY, CLOSE, CONT, PING, TEXT, encode
from shard.handler import Opening
from shard.handshake import Request
from shard.outbox import Sent
from tests.shard.rig import Recorder, Rig
from tests.shard.wire import REQUEST, client_frame, close_frame


class TestClosing:
    @pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
    def test_the_peers_close_code_is_echoed(self, code: int) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(close_frame(code, b"reason") + client_frame(TEXT, b"after"))
            rig.run_until(lambda: client.ended)
            assert client.messages == [(CLOSE, code.to_bytes(2, "big"))]
            assert rig.handler.closed == [(client.fd, code)]
            assert rig.handler.messages == []

    def test_a_close_without_a_code_is_answered_without_one(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(CLOSE))
            rig.run_until(lambda: client.ended)
            assert client.messages == [(CLOSE, b"")]
            assert rig.handler.closed == [(client.fd, 1005)]

    def test_ours_waits_for_the_peers_answer(self) -> None:
        with Rig() as rig:
            client = rig.open()
            rig.group.close(client.fd, CloseCode.RESTART, "later")
            rig.run_until(lambda: client.close_code)
            assert client.messages == [(CLOSE, b"\x0f\xa0later")]
            assert rig.handler.closed == [(client.fd, 4000)]
            assert not client.ended
            assert not rig.group.is_open(client.fd)
            client.send(client_frame(TEXT, b"unheard") + client_frame(PING) + close_frame(1000))
            rig.run_until(lambda: client.ended)
            assert len(client.messages) == 1
            assert rig.handler.messages == []
            assert rig.handler.closed == [(client.fd, 4000)]

    def test_nothing_is_sent_after_our_close_frame(self) -> None:
        with Rig() as rig:
            client = rig.open()
            rig.group.close(client.fd, CloseCode.NORMAL)
            assert rig.group.send(client.fd, encode(TEXT, b"late")) is Sent.DROPPED
            rig.group.fan_out([client.fd], encode(TEXT, b"late"))
            rig.group.close(client.fd, CloseCode.RESTART)
            client.send(close_frame(1000))
            rig.run_until(lambda: client.ended)
            assert client.messages == [(CLOSE, b"\x03\xe8bye")]

    def test_a_peer_that_only_hangs_up_was_closed_abnormally(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.socket.shutdown(socket.SHUT_WR)
            rig.run_until(lambda: client.ended)
            assert rig.handler.closed == [(client.fd, 1006)]
            assert client.messages == []

    def test_what_a_peer_sent_before_hanging_up_is_heard(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(TEXT, b"last words"))
            client.socket.shutdown(socket.SHUT_WR)
            rig.run_until(lambda: client.ended)
            assert rig.handler.payloads == [b"last words"]

    def test_a_peer_that_vanishes_is_forgotten_and_the_others_served(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(TEXT, b"half")[:8])
            rig.run_until(lambda: rig.group._inbound.buffers.on_loan)
            client.vanish()
            rig.run_until(lambda: rig.handler.closed)
            assert rig.handler.closed == [(client.fd, 1006)]
            assert rig.group._inbound.buffers.on_loan == 0
            assert rig.serves_others()

    def test_writing_to_a_peer_that_vanished_closes_it_once(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.vanish()
            rig.group.fan_out([client.fd], b"x" * 10)
            rig.group.send(client.fd, b"x" * 10)
            rig.run_until(lambda: rig.group.connections == 0)
            assert rig.handler.closed == [(client.fd, 1006)]

    def test_a_peer_that_is_found_gone_in_mid_batch_closes_once(self) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(PING) + client_frame(TEXT, b"x") + close_frame(1000))
            client.vanish()
            rig.run_until(lambda: rig.group.connections == 0)
            assert len(rig.handler.closed) == 1
            assert rig.counts[Count.CLOSED] == rig.group._table.quarantined == 1


class TestPeersFaults:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"\x81\x05Hello", 1002),
            (client_frame(TEXT, b"x", rsv=0x40), 1002),
            (client_frame(CONT, b"x"), 1002),
            (client_frame(3), 1002),
            (client_frame(TEXT, b"ok \xff"), 1007),
            (client_frame(BINARY, b"x" * 16_385)[:4], 1009),
            (client_frame(BINARY, b"x" * 1_000_000), 1009),
            (client_frame(CLOSE, b"\x03"), 1002),
            (close_frame(1005), 1002),
            (close_frame(1000, b"\xff"), 1007),
        ],
    )
    def test_it_is_told_why_and_the_others_are_served(self, data: bytes, code: int) -> None:
        with Rig() as rig:
            client = rig.open()
            client.send(client_frame(TEXT, b"good") + data)
            rig.run_until(lambda: client.ended)
            assert client.close_code == code
            assert len(client.messages) == 1
            assert rig.handler.payloads == [b"good"]
            assert rig.handler.closed == [(client.fd, code)]
            assert rig.counts[Count.CLOSED_PROTOCOL] == 1
            assert rig.serves_others()

    def test_a_message_as_large_as_is_allowed_is_heard(self) -> None:
        with Rig() as rig:
            rig.open().send(client_frame(BINARY, b"x" * 16_384))
            rig.run_until(lambda: rig.handler.messages)
            assert rig.handler.payloads == [b"x" * 16_384]


class TestHandlersFaults:
    def test_an_error_in_on_message_closes_that_one_connection(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Fails(Recorder):
            def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
                super().on_message(fd, payload, binary)
                if payload == b"boom":
                    raise KeyError("a secret")

        with Rig(Fails()) as rig:
            rig.faults = 1
            other, client = rig.open(), rig.open()
            client.send(client_frame(TEXT, b"boom") + client_frame(TEXT, b"unheard"))
            rig.run_until(lambda: client.ended)
            assert client.close_code == 1011
            assert b"secret" not in client.received
            assert rig.handler.closed == [(client.fd, 1011)]
            assert rig.handler.payloads == [b"boom"]
            assert "a secret" in caplog.text
            other.send(client_frame(TEXT, b"still here"))
            rig.run_until(lambda: len(rig.handler.messages) == 2)

    def test_an_error_in_on_open_closes_that_one_connection(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Fails(Recorder):
            def on_open(self, fd: int, request: Request) -> Opening:
                super().on_open(fd, request)
                if request.query:
                    raise KeyError("a secret")
                return b""

        with Rig(Fails()) as rig:
            rig.faults = 1
            client = rig.connect()
            client.send(REQUEST.replace(b"/ws", b"/ws?a=b"))
            rig.run_until(lambda: client.close_code)
            assert (client.status, client.close_code) == (101, 1011)
            assert "a secret" in caplog.text
            assert rig.serves_others()

    def test_an_error_in_on_close_does_not_keep_others_from_closing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Fails(Recorder):
            def on_close(self, fd: int, code: int) -> None:
                super().on_close(fd, code)
                raise KeyError("a secret")

        with Rig(Fails()) as rig:
            rig.faults = 3
            clients = [rig.open() for _ in range(3)]
            for client in clients:
                client.send(close_frame(1000))
            rig.run_until(lambda: all(client.ended for client in clients))
            assert len(rig.handler.closed) == 3
            assert rig.group.connections == 0
            assert "failed to forget" in caplog.text
