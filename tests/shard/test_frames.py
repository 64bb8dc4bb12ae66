"""Frames: literal bytes in and out, every refusal with its code, and the encoder."""

import subprocess
import sys

import pytest

from pool.buffers import BufferPool
from shard import frames
from shard.closecodes import ProtocolError
from shard.frames import BINARY, CLOSE, COMPRESSED, CONT, PING, PONG, TEXT, Event, FrameParser
from tests.shard.parsing import LIMIT, Parsed, parse
from tests.shard.wire import client_frame, close_frame, server_frames

MASK = b"\x37\xfa\x21\x3d"
HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
"""RFC 6455 section 5.7: a single-frame masked text message, "Hello"."""

SNOW = "雪".encode()

VALID: dict[str, tuple[bytes, list[Event]]] = {
    "the RFC's hello": (HELLO, [(TEXT, b"Hello")]),
    "a fragmented message": (
        client_frame(TEXT, b"Hel", fin=False) + client_frame(CONT, b"lo"),
        [(TEXT, b"Hello")],
    ),
    "a character across fragments": (
        client_frame(TEXT, SNOW[:1], fin=False)
        + client_frame(CONT, SNOW[1:2], fin=False)
        + client_frame(CONT, SNOW[2:]),
        [(TEXT, SNOW)],
    ),
    "bytes that are not text, in a binary message": (
        client_frame(BINARY, b"\xff\xfe"),
        [(BINARY, b"\xff\xfe")],
    ),
    "control frames inside a fragmented message": (
        client_frame(BINARY, b"\x00", fin=False)
        + client_frame(PING, b"now")
        + client_frame(CONT, b"", fin=False)
        + client_frame(PONG)
        + client_frame(CONT, b"\x01"),
        [(PING, b"now"), (PONG, b""), (BINARY, b"\x00\x01")],
    ),
    "a message of empty fragments": (
        client_frame(TEXT, fin=False) + client_frame(CONT, fin=False) + client_frame(CONT),
        [(TEXT, b"")],
    ),
    "empty messages": (client_frame(TEXT) + client_frame(BINARY), [(TEXT, b""), (BINARY, b"")]),
    "the longest short length": (client_frame(BINARY, b"x" * 125), [(BINARY, b"x" * 125)]),
    "the shortest 16-bit length": (client_frame(BINARY, b"x" * 126), [(BINARY, b"x" * 126)]),
    "the longest control frame": (client_frame(PING, b"x" * 125), [(PING, b"x" * 125)]),
    "as much as is allowed": (client_frame(BINARY, b"x" * LIMIT), [(BINARY, b"x" * LIMIT)]),
    "as much as is allowed, in two": (
        client_frame(BINARY, b"x" * (LIMIT - 1), fin=False) + client_frame(CONT, b"y"),
        [(BINARY, b"x" * (LIMIT - 1) + b"y")],
    ),
    "a close frame with nothing": (client_frame(CLOSE), [(CLOSE, b"")]),
    "a close frame with code and reason": (
        close_frame(4999, SNOW),
        [(CLOSE, b"\x13\x87" + SNOW)],
    ),
}

REFUSED: dict[str, tuple[bytes, int]] = {
    "an unmasked frame": (b"\x81\x05Hello", 1002),
    "RSV1 without compression": (client_frame(TEXT, b"x", rsv=0x40), 1002),
    "RSV2": (client_frame(TEXT, b"x", rsv=0x20), 1002),
    "RSV3": (client_frame(TEXT, b"x", rsv=0x10), 1002),
    "a reserved data opcode": (client_frame(3, b"x"), 1002),
    "the last reserved data opcode": (client_frame(7, b"x"), 1002),
    "a reserved control opcode": (client_frame(11, b"x"), 1002),
    "the last reserved control opcode": (client_frame(15, b"x"), 1002),
    "a fragmented ping": (client_frame(PING, b"x", fin=False), 1002),
    "a long ping": (client_frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (client_frame(CONT, b"x"), 1002),
    "a message inside a message": (
        client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"x"),
        1002,
    ),
    "a 16-bit length that would fit in 7": (b"\x82\xfe\x00\x7d" + MASK + b"x" * 125, 1002),
    "a 64-bit length that would fit in 16": (b"\x82\xff" + b"\x00" * 6 + b"\xff\xff", 1002),
    "a 64-bit length with the top bit": (b"\x82\xff\x80" + b"\x00" * 7, 1002),
    "one byte over the limit": (client_frame(BINARY, b"x" * (LIMIT + 1)), 1009),
    "one byte over the limit, in two": (
        client_frame(BINARY, b"x" * LIMIT, fin=False) + client_frame(CONT, b"y"),
        1009,
    ),
    "a promise of very much": (b"\x82\xff" + b"\x7f" + b"\xff" * 7, 1009),
    "text that is not UTF-8": (client_frame(TEXT, b"ok\xff"), 1007),
    "text that ends inside a character": (client_frame(TEXT, SNOW[:2]), 1007),
    "text that ends inside a character, in two": (
        client_frame(TEXT, SNOW[:2], fin=False) + client_frame(CONT),
        1007,
    ),
    "a surrogate": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a close frame of one byte": (client_frame(CLOSE, b"\x03"), 1002),
    "a close code that may not be sent": (close_frame(1005), 1002),
    "a close code below all": (close_frame(999), 1002),
    "a close code nobody registered": (close_frame(2999), 1002),
    "a close reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007),
}


def splits(data: bytes) -> list[list[bytes]]:
    """`data` whole, byte by byte, and cut once at every place."""
    cuts = range(1, len(data)) if len(data) < 500 else range(1, len(data), 97)
    return [[data], [data[i : i + 1] for i in range(len(data))]] + [
        [data[:cut], data[cut:]] for cut in cuts
    ]


class TestParsing:
    @pytest.mark.parametrize("name", VALID)
    def test_events_come_out_however_the_bytes_are_split(self, name: str) -> None:
        data, events = VALID[name]
        for chunks in splits(data):
            assert parse(chunks) == Parsed(events, None)

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_is_wrong_is_refused_with_its_code_however_it_is_split(self, name: str) -> None:
        data, code = REFUSED[name]
        for chunks in splits(data):
            assert parse(chunks) == Parsed([], code)

    def test_what_came_before_an_error_is_delivered(self) -> None:
        data = client_frame(TEXT, b"Hel", fin=False) + client_frame(CONT, b"lo")
        data += client_frame(PING, b"?") + client_frame(CONT)
        for chunks in splits(data):
            assert parse(chunks) == Parsed([(TEXT, b"Hello"), (PING, b"?")], 1002)

    @pytest.mark.parametrize(
        "bad", [b"\x83\x80", b"\xc1\x80", b"\x81\x00", b"\x80\x80", b"\x82\xfe\x00\x7d"]
    )
    def test_a_bad_frame_is_refused_at_its_header(self, bad: bytes) -> None:
        assert parse([bad]).code == 1002

    @pytest.mark.parametrize("size", [0xFFFF, 0x10000])
    def test_long_lengths_are_read(self, size: int) -> None:
        events: list[Event] = []
        parser = frames.FrameParser(BufferPool(), 1 << 20)
        assert parser.feed(client_frame(BINARY, b"x" * size), None, events) is None
        assert events == [(BINARY, b"x" * size)]

    def test_an_error_says_what_was_wrong(self) -> None:
        with pytest.raises(ProtocolError, match=r"^a client's frame is not masked$"):
            frames.FrameParser(BufferPool(), LIMIT).feed(b"\x81\x05Hello", None, [])

    def test_bad_text_is_refused_before_the_frame_is_whole(self) -> None:
        data = client_frame(TEXT, b"\xff" + b"x" * 100)
        assert parse([data[:7]]).code == 1007

    def test_nothing_after_a_close_frame_is_looked_at(self) -> None:
        assert parse([close_frame(1000) + b"\xff" * 50]).events == [(CLOSE, b"\x03\xe8")]


class TestCompression:
    def test_it_must_have_been_negotiated(self) -> None:
        with pytest.raises(ProtocolError, match="reserved bit"):
            frames.FrameParser(BufferPool(), LIMIT).feed(client_frame(TEXT, rsv=0x40), None, [])

    def test_rsv1_marks_a_compressed_message_when_that_was_negotiated(self) -> None:
        data = client_frame(TEXT, b"\xff\xff", rsv=0x40) + client_frame(TEXT, b"plain")
        for chunks in splits(data):
            parsed = parse(chunks, compression=True)
            assert parsed == Parsed([(TEXT | COMPRESSED, b"\xff\xff"), (TEXT, b"plain")], None)

    def test_only_the_first_frame_of_a_message_may_say_so(self) -> None:
        first = client_frame(BINARY, b"a", fin=False, rsv=0x40)
        for chunks in splits(first + client_frame(CONT, b"b")):
            assert parse(chunks, compression=True).events == [(BINARY | COMPRESSED, b"ab")]
        for chunks in splits(first + client_frame(CONT, b"b", rsv=0x40)):
            assert parse(chunks, compression=True).code == 1002
        assert parse([client_frame(PING, rsv=0x40)], compression=True).code == 1002


class TestTheShortWay:
    """What it takes is compared with the long way wherever frames are parsed in these tests."""

    @pytest.mark.parametrize(
        ("data", "event"),
        [
            (client_frame(PONG), (PONG, b"")),
            (client_frame(TEXT, b"hello"), (TEXT, b"hello")),
            (client_frame(TEXT, "弹幕".encode()), (TEXT, "弹幕".encode())),
            (client_frame(BINARY, b"\xff" * 125), (BINARY, b"\xff" * 125)),
            (client_frame(TEXT), (TEXT, b"")),
        ],
    )
    def test_is_for_a_short_message_or_an_empty_pong(self, data: bytes, event: Event) -> None:
        assert FrameParser(BufferPool(), LIMIT).lone(data, len(data)) == event

    @pytest.mark.parametrize(
        "data",
        [
            client_frame(TEXT, b"hello") + client_frame(TEXT, b"again"),
            client_frame(TEXT, b"hello")[:-1],
            client_frame(TEXT, b"hello", fin=False),
            client_frame(TEXT, b"hello", rsv=COMPRESSED),
            client_frame(TEXT, b"\xff"),
            client_frame(BINARY, b"x" * 126),
            client_frame(PONG, b"x"),
            client_frame(CLOSE),
            b"\x81\x04hello!",
            b"",
        ],
    )
    def test_is_for_nothing_else(self, data: bytes) -> None:
        assert FrameParser(BufferPool(), LIMIT).lone(data, len(data)) is None

    def test_keeps_the_limit(self) -> None:
        data = client_frame(TEXT, b"x" * 100)
        assert FrameParser(BufferPool(), 99).lone(data, len(data)) is None
        assert FrameParser(BufferPool(), 100).lone(data, len(data)) is not None


class TestControls:
    """What is no message, and how much of it is taken."""

    @pytest.mark.parametrize(
        ("data", "controls"),
        [
            (HELLO * 3, 0),
            (client_frame(PING) + HELLO + client_frame(PONG, b"x"), 2),
            (client_frame(TEXT, b"a", fin=False) + client_frame(CONT, b"b"), 1),
            (client_frame(TEXT, fin=False) + client_frame(CONT, fin=False) * 7, 8),
            (
                client_frame(TEXT, b"x" * 63, fin=False) + client_frame(CONT, b"x" * 64, fin=False),
                1,
            ),
            (client_frame(PING)[:-1], 0),
            (client_frame(CLOSE), 0),
        ],
    )
    def test_they_are_counted(self, data: bytes, controls: int) -> None:
        assert parse([data]).controls == controls

    @pytest.mark.parametrize(
        "one", [client_frame(PING), client_frame(PONG, b"x"), client_frame(CONT, fin=False)]
    )
    def test_one_too_many_is_flooding_and_nothing_behind_it_is_parsed(self, one: bytes) -> None:
        begun = client_frame(TEXT, b"a", fin=False)
        allowed, end = parse([begun + 4 * one], most=5), b"\x81\x05Hello"
        assert allowed.code is None
        assert parse([begun + 5 * one + end], most=5) == Parsed(allowed.events, 4503)

    def test_messages_are_as_many_as_like(self) -> None:
        assert parse([HELLO * 50], most=0) == Parsed([(TEXT, b"Hello")] * 50, None)


class TestMemory:
    def test_whole_frames_leave_no_state(self) -> None:
        parser = frames.FrameParser(BufferPool(), LIMIT)
        assert parser.feed(HELLO + client_frame(PING), None, []) is None

    @pytest.mark.parametrize("opcode", [PING, TEXT])
    def test_a_frame_in_two_reads_leaves_no_state(self, opcode: int) -> None:
        parser = frames.FrameParser(BufferPool(), LIMIT)
        data = client_frame(opcode, b"xy")
        for cut in range(1, len(data)):
            partial = parser.feed(data[:cut], None, [])
            assert partial is not None
            assert parser.feed(data[cut:], partial, []) is None

    def test_a_promise_borrows_nothing(self) -> None:
        buffers = BufferPool()
        parser = frames.FrameParser(buffers, 1 << 20)
        partial = parser.feed(client_frame(BINARY, b"x" * 70_000)[:14], None, [])
        assert partial is not None
        assert buffers.on_loan == 0

    def test_a_buffer_is_as_large_as_what_came(self) -> None:
        buffers = BufferPool()
        parser = frames.FrameParser(buffers, 1 << 20)
        data = client_frame(BINARY, b"x" * 70_000)
        partial = parser.feed(data[:314], None, [])
        assert partial is not None
        assert partial.buffer is not None
        assert len(partial.buffer) == 1024
        partial = parser.feed(data[314:2_314], partial, [])
        assert partial is not None
        assert partial.buffer is not None
        assert len(partial.buffer) == 4096
        parser.discard(partial)
        parser.discard(partial)
        assert buffers.on_loan == 0


WITHOUT_SPEEDUPS = """
import sys
sys.modules["websockets.speedups"] = None
from pool.buffers import BufferPool
from shard import frames
from shard.closecodes import ProtocolError
parser = frames.FrameParser(BufferPool(), 1000)
data = bytes.fromhex(sys.argv[1])
for cut in range(len(data)):
    events = []
    partial = parser.feed(memoryview(data)[:cut], None, events)
    parser.feed(memoryview(data)[cut:], partial, events)
    assert events == [(1, b"Hello")], events
print("unmasked")
"""


class TestUnmasking:
    def test_it_works_without_the_c_extension(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_SPEEDUPS, HELLO.hex()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("unmasked\n", "")


class TestEncoding:
    @pytest.mark.parametrize(
        ("opcode", "payload", "header"),
        [
            (TEXT, b"Hello", b"\x81\x05"),
            (PONG, b"", b"\x8a\x00"),
            (BINARY, b"x" * 125, b"\x82\x7d"),
            (BINARY, b"x" * 126, b"\x82\x7e\x00\x7e"),
            (BINARY, b"x" * 0xFFFF, b"\x82\x7e\xff\xff"),
            (BINARY, b"x" * 0x10000, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        ],
    )
    def test_the_length_takes_its_shortest_form(
        self, opcode: int, payload: bytes, header: bytes
    ) -> None:
        assert frames.encode(opcode, payload) == header + payload
        assert server_frames(header + payload) == ([(opcode, payload)], b"")

    def test_compressed_frames_carry_rsv1(self) -> None:
        assert frames.encode(TEXT, b"x", compressed=True) == b"\xc1\x01x"

    def test_a_close_frame_is_code_and_reason(self) -> None:
        assert frames.encode_close(1001, "bye") == b"\x88\x05\x03\xe9bye"
        assert frames.encode_close(4003) == b"\x88\x02\x0f\xa3"

    def test_a_long_reason_is_cut_between_characters(self) -> None:
        [(opcode, payload)], rest = server_frames(frames.encode_close(1000, "雪" * 60))
        assert (opcode, rest) == (CLOSE, b"")
        assert payload == b"\x03\xe8" + SNOW * 41
        assert len(payload) == 125


class TestParsingClose:
    def test_a_code_and_a_reason(self) -> None:
        assert frames.parse_close(b"\x03\xe8" + SNOW) == (1000, "雪")

    def test_no_payload_means_1005(self) -> None:
        assert frames.parse_close(b"") == (1005, "")

    @pytest.mark.parametrize(
        ("payload", "code"), [(b"\x03\xed", 1002), (b"\x03\xe8\xff", 1007), (b"\xff\xff", 1002)]
    )
    def test_what_may_not_be_sent_is_refused(self, payload: bytes, code: int) -> None:
        with pytest.raises(ProtocolError) as caught:
            frames.parse_close(payload)
        assert caught.value.code == code
