"""Compressed messages through a group: agreed to in the handshake, inflated before the handler."""

import pytest

from shard.counters import Count
from shard.deflate import compress
from shard.frames import BINARY, CONT, TEXT
from tests.shard.rig import Client, Rig
from tests.shard.wire import REQUEST, client_frame, terms

RSV1 = 0x40
OFFER = b"\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
TERMS = terms("a", "b", deflated=True)


def offering(rig: Rig, more: bytes = b"") -> Client:
    return rig.open(REQUEST.replace(b"\r\n\r\n", more + OFFER))


class TestAgreeing:
    def test_an_offer_is_accepted_and_shows_in_the_variant(self) -> None:
        with Rig(terms=TERMS) as rig:
            client = offering(rig, b"\r\nSec-WebSocket-Protocol: b")
            assert b"\r\nSec-WebSocket-Extensions: permessage-deflate; " in client.received
            assert rig.group._table.variant[client.fd] == 3

    def test_who_does_not_offer_gets_none(self) -> None:
        with Rig(terms=TERMS) as rig:
            client = rig.open()
            assert b"Sec-WebSocket-Extensions" not in client.received
            assert rig.group._table.variant[client.fd] == 0
            client.send(client_frame(TEXT, compress(b"hello"), rsv=RSV1))
            rig.run_until(lambda: client.ended)
            assert client.close_code == 1002

    def test_without_it_in_the_terms_an_offer_is_ignored(self) -> None:
        with Rig(terms=terms()) as rig:
            client = offering(rig)
            assert b"Sec-WebSocket-Extensions" not in client.received
            assert rig.group._table.variant[client.fd] == 0


class TestHearing:
    def test_compressed_and_plain_messages_are_heard_alike(self) -> None:
        with Rig(terms=TERMS) as rig:
            client, packed = offering(rig), compress("弹幕".encode() * 50)
            client.send(client_frame(TEXT, packed, rsv=RSV1) + client_frame(TEXT, b"plain"))
            client.send(client_frame(BINARY, packed[:9], rsv=RSV1, fin=False))
            client.send(client_frame(CONT, packed[9:]))
            rig.run_until(lambda: len(rig.handler.messages) == 3)
            assert rig.handler.messages == [
                (client.fd, "弹幕".encode() * 50, False),
                (client.fd, b"plain", False),
                (client.fd, "弹幕".encode() * 50, True),
            ]

    def test_a_compressed_binary_message_need_not_be_text(self) -> None:
        with Rig(terms=TERMS) as rig:
            offering(rig).send(client_frame(BINARY, compress(b"\xff"), rsv=RSV1))
            rig.run_until(lambda: rig.handler.messages)
            assert rig.handler.payloads == [b"\xff"]

    @pytest.mark.parametrize(
        ("packed", "code"),
        [
            (b"\xff\xff\xff\xff", 1007),
            (compress(b"\xff"), 1007),
            (compress(b"x" * 16_385), 1009),
            (compress(bytes(1 << 24)), 1009),
        ],
    )
    def test_what_is_wrong_inside_is_the_peers_fault(self, packed: bytes, code: int) -> None:
        with Rig(terms=TERMS) as rig:
            client = offering(rig)
            client.send(client_frame(TEXT, b"good") + client_frame(TEXT, packed, rsv=RSV1))
            client.send(client_frame(TEXT, b"unheard"))
            rig.run_until(lambda: client.ended)
            assert client.close_code == code
            assert rig.handler.payloads == [b"good"]
            assert rig.counts[Count.CLOSED_PROTOCOL] == 1
            assert rig.serves_others()
