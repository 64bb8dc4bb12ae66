"""The parser's invariant, on random bytes and against the `websockets` library.

Whatever bytes arrive, the parser yields events or raises ProtocolError, nothing else, and however
the bytes are split the events and the error are the same.
"""

import codecs
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from pool.buffers import BufferPool
from shard.closecodes import CloseCode
from shard.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, FrameParser, encode
from tests.shard.parsing import LIMIT, MANY, Parsed, parse
from tests.shard.wire import client_frame, close_frame, server_frames

masks = st.binary(min_size=4, max_size=4)
payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.integers(120, 130).map(lambda size: b"x" * size),
    st.integers(LIMIT - 2, LIMIT + 2).map(lambda size: b"y" * size),
)
close_payloads = st.one_of(
    st.just(b""),
    st.builds(
        lambda code, reason: struct.pack("!H", code) + reason.encode(),
        st.one_of(st.integers(998, 1016), st.integers(2998, 3001), st.integers(4998, 5001)),
        st.text(max_size=10),
    ),
    st.binary(max_size=10).map(lambda reason: struct.pack("!H", 1000) + reason),
)
"""Never two faults in one: either may be named then."""

any_frames = st.builds(
    lambda opcode, payload, fin, rsv, mask: client_frame(
        opcode, payload, fin=fin, rsv=rsv, mask=mask
    ),
    st.one_of(st.sampled_from((CONT, TEXT, BINARY, PING, PONG, CLOSE)), st.integers(0, 15)),
    st.one_of(payloads, close_payloads),
    st.booleans(),
    st.sampled_from((0,) * 12 + (0x40, 0x20, 0x10)),
    masks,
)
"""Frames that are well-formed one by one most of the time; nearly any order is wrong somewhere."""

plain = st.one_of(
    st.builds(lambda text, mask: client_frame(TEXT, text.encode(), mask=mask), st.text(), masks),
    st.builds(lambda data, mask: client_frame(BINARY, data, mask=mask), payloads, masks),
    st.builds(lambda data, mask: client_frame(PING, data, mask=mask), st.binary(max_size=9), masks),
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """One message in several frames, with control frames between them."""
    text = draw(st.booleans())
    content = draw(st.text(max_size=30)).encode() if text else draw(st.binary(max_size=90))
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), min_size=1, max_size=4)))
    parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    data = b""
    for index, part in enumerate(parts):
        opcode = CONT if index else TEXT if text else BINARY
        data += client_frame(opcode, part, fin=index == len(parts) - 1, mask=draw(masks))
        if index < len(parts) - 1 and draw(st.booleans()):
            data += client_frame(PING, b"between")
    return data


faults = st.one_of(
    st.sampled_from(
        (
            b"",
            b"\x81\x05Hello",
            client_frame(CONT, b"x"),
            client_frame(CONT, b"x", fin=False),
            client_frame(TEXT, b"x", rsv=0x40),
            client_frame(BINARY, b"x", rsv=0x20),
            client_frame(TEXT, b"\xc0\x80"),
            client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"x"),
            client_frame(TEXT, b"\xe9", fin=False) + client_frame(CONT, b"\x9b\xaa"),
            client_frame(TEXT, b"\xe9", fin=False) + client_frame(CONT, b"x", fin=False),
            client_frame(PING, b"x" * 126),
            client_frame(PONG, b"x", fin=False),
            client_frame(BINARY, b"x" * (LIMIT + 1)),
            client_frame(BINARY, b"x" * 600, fin=False) + client_frame(CONT, b"x" * 401),
            client_frame(BINARY, b"x" * 600, fin=False) + client_frame(CONT, b"x" * 400),
            client_frame(CLOSE, b"x"),
        )
    ),
    st.integers(3, 15).map(lambda opcode: client_frame(opcode, b"")),
    close_payloads.map(lambda payload: client_frame(CLOSE, payload)),
)

conversations = st.builds(
    lambda before, fault, after: b"".join(before) + fault + b"".join(after),
    st.lists(st.one_of(plain, fragmented()), max_size=5),
    faults,
    st.lists(plain, max_size=2),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces; some may be empty."""
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def check_splits(data: bytes, places: list[int], compression: bool) -> None:
    for most in (MANY, 2, 0):
        whole = parse([data], compression, most)
        assert whole.controls <= most + (whole.code == CloseCode.FLOODING)
        for chunks in (cut(data, places), [data[i : i + 1] for i in range(len(data))]):
            parsed = parse(chunks, compression, most)
            assert (parsed, parsed.controls) == (whole, whole.controls)


class TestAnyBytes:
    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=200), st.lists(st.integers(0, 1 << 16), max_size=6), st.booleans())
    def test_noise(self, data: bytes, places: list[int], compression: bool) -> None:
        check_splits(data, places, compression)

    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(any_frames, max_size=6).map(b"".join),
        st.lists(st.integers(0, 1 << 16), max_size=6),
        st.booleans(),
    )
    def test_frames_in_any_order(self, data: bytes, places: list[int], compression: bool) -> None:
        check_splits(data, places, compression)

    @settings(deadline=None, max_examples=200)
    @given(
        conversations,
        st.lists(st.integers(0, 1 << 16), max_size=6),
        st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=2),
    )
    def test_conversations_with_bytes_changed(
        self, data: bytes, places: list[int], changes: list[tuple[int, int]]
    ) -> None:
        changed = bytearray(data)
        for place, byte in changes:
            if changed:
                changed[place % len(changed)] = byte
        check_splits(bytes(changed), places, compression=False)


def reference(data: bytes) -> Parsed:
    """What the `websockets` library makes of `data`.

    It leaves putting messages together and decoding them to its users, so that is done here.
    """
    protocol = ServerProtocol(state=OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    parsed = Parsed([], None)
    opcode, content, decoder = 0, b"", codecs.getincrementaldecoder("utf-8")()
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        payload = bytes(frame.data)
        if frame.opcode >= CLOSE:
            parsed.events.append((int(frame.opcode), payload))
            continue
        if frame.opcode != CONT:
            opcode, content = int(frame.opcode), b""
        content += payload
        if opcode == TEXT:
            try:
                decoder.decode(payload, final=frame.fin)
            except UnicodeDecodeError:
                parsed.code = 1007
                return parsed
        if frame.fin:
            parsed.events.append((opcode, content))
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        parsed.code = int(protocol.close_sent.code)
    return parsed


class TestAgainstWebsockets:
    @settings(deadline=None, max_examples=400)
    @given(conversations)
    def test_events_and_close_codes_are_the_same(self, data: bytes) -> None:
        assert parse([data]) == reference(data)

    def test_the_reference_sees_each_kind_of_fault(self) -> None:
        assert reference(client_frame(TEXT, b"\xff")).code == 1007
        assert reference(client_frame(BINARY, b"x" * (LIMIT + 1))).code == 1009
        assert reference(close_frame(1005)).code == 1002
        assert reference(client_frame(CLOSE)) == Parsed([(CLOSE, b"")], None)


class TestRoundTrip:
    @settings(deadline=None)
    @given(st.sampled_from((TEXT, BINARY, PING, PONG)), st.text(max_size=300), masks)
    def test_what_is_encoded_is_read_by_a_client_and_what_is_masked_by_the_parser(
        self, opcode: int, text: str, mask: bytes
    ) -> None:
        payload = text.encode()[: 125 if opcode > CLOSE else None]
        if opcode == TEXT:
            payload = payload.decode(errors="ignore").encode()
        assert server_frames(encode(opcode, payload)) == ([(opcode, payload)], b"")
        events: list[tuple[int, bytes]] = []
        frame = client_frame(opcode, payload, mask=mask)
        assert FrameParser(BufferPool(), 2_000).feed(frame, None, events) is None
        assert events == [(opcode, payload)]

    def test_a_long_payload(self) -> None:
        payload = bytes(range(256)) * 1_000
        assert server_frames(encode(BINARY, payload)) == ([(BINARY, payload)], b"")
        events: list[tuple[int, bytes]] = []
        FrameParser(BufferPool(), 1 << 20).feed(client_frame(BINARY, payload), None, events)
        assert events == [(BINARY, payload)]
