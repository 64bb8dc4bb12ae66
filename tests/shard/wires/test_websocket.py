"""The WebSocket wire: which offer a request gets, and what frames mean."""

from http import HTTPStatus

import pytest

from pool.buffers import BufferPool
from shard.closecodes import CloseCode, ProtocolError
from shard.deflate import MOST_ITEMS, compress, inflate, pack
from shard.frames import CLOSE, COMPRESSED, PING, PONG, TEXT, encode
from shard.wires import websocket
from shard.wires.websocket import COMPRESS_FROM, WebSocket
from shard.wires.wire import REPLY, Offer, Part, Refused
from tests.shard.wire import client_frame, server_frames

PLAIN, DEFLATED = WebSocket(), WebSocket(deflated=True)
OFFERS = [
    (3, Offer("/ws", PLAIN, "a")),
    (4, Offer("/ws", DEFLATED, "a")),
    (7, Offer("/ws", PLAIN, "b")),
]
HEADERS = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
DEFLATE = {"sec-websocket-extensions": "permessage-deflate"}


class TestAccepting:
    @pytest.mark.parametrize(
        ("asked", "extensions", "variant", "subprotocol"),
        [
            (None, False, 3, ""),
            (None, True, 4, ""),
            ("a", True, 4, "a"),
            ("b", True, 7, "b"),
            ("b, a", False, 3, "a"),
            ("c", False, 3, ""),
        ],
    )
    def test_variant_and_subprotocol_are_of_one_offer(
        self, asked: str | None, extensions: bool, variant: int, subprotocol: str
    ) -> None:
        headers = HEADERS | ({} if asked is None else {"sec-websocket-protocol": asked})
        headers |= DEFLATE if extensions else {}
        response, chosen, name = PLAIN.accept(headers, OFFERS)
        assert (chosen, name) == (variant, subprotocol)
        assert (b"Sec-WebSocket-Extensions" in response) is (variant == 4)
        assert (f"Sec-WebSocket-Protocol: {name}\r\n".encode() in response) is bool(name)

    @pytest.mark.parametrize(
        ("changed", "status"),
        [
            ({"upgrade": "h2c"}, HTTPStatus.UPGRADE_REQUIRED),
            ({"connection": "close"}, HTTPStatus.UPGRADE_REQUIRED),
            ({"connection": "a b"}, HTTPStatus.BAD_REQUEST),
            ({"sec-websocket-version": "8"}, HTTPStatus.UPGRADE_REQUIRED),
            ({"sec-websocket-key": "short"}, HTTPStatus.BAD_REQUEST),
            ({"sec-websocket-protocol": "a b"}, HTTPStatus.BAD_REQUEST),
            ({"sec-websocket-protocol": "a," * MOST_ITEMS + "b"}, HTTPStatus.BAD_REQUEST),
            ({"connection": "a," * MOST_ITEMS + "upgrade"}, HTTPStatus.BAD_REQUEST),
            ({"upgrade": "a," * MOST_ITEMS + "websocket"}, HTTPStatus.BAD_REQUEST),
        ],
    )
    def test_what_is_no_upgrade_is_refused(
        self, changed: dict[str, str], status: HTTPStatus
    ) -> None:
        with pytest.raises(Refused) as refused:
            PLAIN.accept(HEADERS | changed, OFFERS)
        assert refused.value.status == status

    def test_a_list_may_have_so_many_items(self) -> None:
        many = "a," * (MOST_ITEMS - 1)
        changed = {"connection": many + "upgrade", "upgrade": many + "websocket"}
        assert PLAIN.accept(HEADERS | changed, OFFERS)


class TestSending:
    def test_only_what_is_long_enough_is_compressed(self) -> None:
        short, long = b"x" * (COMPRESS_FROM - 1), b"x" * COMPRESS_FROM
        assert DEFLATED.wrap(short) == PLAIN.wrap(short) == encode(TEXT, short)
        assert DEFLATED.wrap(long) == encode(TEXT, compress(long), compressed=True)
        assert PLAIN.wrap(long, binary=True) == encode(2, long)

    def test_a_farewell_is_a_close_frame(self) -> None:
        [(opcode, payload)], _ = server_frames(PLAIN.farewell(4000, "bye"))
        assert (opcode, payload) == (CLOSE, b"\x0f\xa0bye")

    @pytest.mark.parametrize(
        ("payload", "code", "last"),
        [(b"\x03\xe8bye", 1000, b"\x88\x02\x03\xe8"), (b"", 1005, b"\x88\x00")],
    )
    def test_a_peers_close_is_answered_in_kind(
        self, payload: bytes, code: int, last: bytes
    ) -> None:
        assert PLAIN.close_reply(payload) == (code, last)


class TestSendingParts:
    PARTS = (b"", b"ab" * 100, b"x")

    @pytest.mark.parametrize("binary", [False, True])
    def test_they_are_the_message_they_make(self, binary: bool) -> None:
        whole = b"[" + b"".join(self.PARTS) + b"]"
        parts = [Part(part) for part in self.PARTS]
        assert PLAIN.wrap_parts(b"[", parts, b"]", binary) == PLAIN.wrap(whole, binary)
        short = DEFLATED.wrap_parts(b"[", parts[2:], b"]", binary)
        assert short == PLAIN.wrap(b"[x]", binary)

    def test_each_is_compressed_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        packed: list[bytes] = []

        def noted(part: bytes) -> bytes:
            packed.append(part)
            return pack(part)

        monkeypatch.setattr(websocket, "pack", noted)
        parts = [Part(b"ab" * 200), Part(b"cd" * 200)]
        whole = b"".join(part.raw for part in parts)
        for number in (b"1", b"2"):
            frame = DEFLATED.wrap_parts(number, parts, b"]")
            assert frame[0] == 0x80 | COMPRESSED | TEXT
            assert frame[1] == len(frame) - 2
            assert inflate(frame[2:], 10_000) == number + whole + b"]"
        assert packed == [part.raw for part in parts]


class TestReading:
    def test_a_ping_is_a_reply(self) -> None:
        frame = client_frame(PING, b"?")
        events, partial, controls = PLAIN.parser(BufferPool(), 100).feed(frame, None, 1)
        assert controls == 1
        assert (list(events), partial) == ([(REPLY, encode(PONG, b"?"))], None)

    def test_messages_are_inflated_one_by_one(self) -> None:
        parser = DEFLATED.parser(BufferPool(), 100)
        frames = [client_frame(TEXT, compress(b"x" * size), rsv=COMPRESSED) for size in (9, 200, 9)]
        events, _, controls = parser.feed(b"".join(frames), None, 0)
        assert controls == 0
        found = iter(events)
        assert next(found) == (TEXT, b"x" * 9)
        with pytest.raises(ProtocolError) as error:
            next(found)
        assert error.value.code == CloseCode.TOO_BIG

    def test_inflated_text_is_utf8(self) -> None:
        frame = client_frame(TEXT, compress(b"\xff"), rsv=COMPRESSED)
        events, _, _ = DEFLATED.parser(BufferPool(), 100).feed(frame, None, 0)
        with pytest.raises(ProtocolError) as error:
            list(events)
        assert error.value.code == CloseCode.INVALID_PAYLOAD
