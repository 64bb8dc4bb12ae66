"""RFC 6455 frames: bytes in, messages out; and the other way. No I/O, no clock.

Rules. `FrameParser.feed` takes whatever a read returned and appends (opcode, payload) events. It
keeps nothing itself: a message that straddles reads is a `Partial`, returned to the caller, who
passes it in with the next bytes; the message's payload lies in a pooled buffer that grows with
what has arrived, never with what a header promises. The common case (whole, unfragmented frames)
makes no Partial.

Invariant: whatever bytes arrive, feed appends events or raises ProtocolError, nothing else; and
however the bytes are split, the events and the error are the same. Everything is refused at the
first byte that can tell, text included, so a bad frame cannot hide behind a missing tail.

Of frames that are no message (pings, pongs, small pieces of a message that is not finished) a feed
takes no more than its caller allows: parsing stops at the first that is too many, with FLOODING.

After an error (which has discarded the Partial) or a CLOSE event (which has not) the caller stops
feeding.
"""

import codecs
import sys
from struct import Struct

from pool.buffers import BufferPool
from shard.closecodes import CloseCode, ProtocolError, receivable

try:
    from websockets.speedups import apply_mask
except ImportError:  # ten times slower; `danmaku doctor` warns
    from websockets.utils import apply_mask

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

COMPRESSED = 0x40
"""Added to an event's opcode when the message came compressed (RSV1, RFC 7692)."""

LONG_LENGTH = "a length is not in its shortest form"
SMALL_FRAGMENT = 64
"""Bytes from which a piece of a message is not counted: how many of those there can be is bounded
by the bound of a message. Clients with the smallest buffers send pieces as large."""

MANY_CONTROLS = "far too many frames that are no message"

_U16 = Struct("!H")
_MEDIUM = Struct("!BBH")
_U64 = Struct("!Q")
_CLOSE_CODE = Struct("!H")
_SHORT_HEADER = Struct("BB4s")
_BYTES = tuple(bytes((value,)) for value in range(256))
_utf8_decoder = codecs.getincrementaldecoder("utf-8")

Event = tuple[int, bytes]
"""(opcode, payload): TEXT or BINARY (maybe plus COMPRESSED) with the whole message, CLOSE, PING
or PONG with the frame's payload. TEXT payloads are valid UTF-8 unless compressed."""


class Partial:
    """What is known of a message whose bytes have not all arrived.

    `head` holds the bytes of an incomplete header, or of an incomplete control frame: both are
    short, so they wait whole. `opcode` is 0 between messages.
    """

    __slots__ = (
        "buffer",
        "compressed",
        "decoder",
        "fin",
        "head",
        "mask",
        "missing",
        "opcode",
        "size",
    )

    def __init__(self) -> None:
        self.head = b""
        self.opcode = 0
        self.compressed = 0
        self.fin = False
        self.missing = 0
        self.mask = b""
        self.buffer: bytearray | None = None
        self.size = 0
        self.decoder: codecs.IncrementalDecoder | None = None


class FrameParser:
    """Client frames to events, for any number of connections.

    max_message  bytes of payload, all fragments together; more is TOO_BIG

    controls  frames of the last feed that were no message, its end and CLOSE not among them
    """

    def __init__(self, buffers: BufferPool, max_message: int) -> None:
        self._buffers = buffers
        self._max_message = max_message
        self.controls = 0

    def feed(
        self,
        data: bytes | memoryview,
        partial: Partial | None,
        events: list[Event],
        compression: bool = False,
        most: int = sys.maxsize,
    ) -> Partial | None:
        """Parse `data`, append to `events`, return what is incomplete.

        `most` is how many frames that are no message are taken.
        Raises ProtocolError; the events that came before the error are in `events` then.
        """
        if partial is not None and partial.head:
            data = partial.head + bytes(data)
            partial.head = b""
            if not partial.opcode:
                partial = None
        pos, end, controls = 0, len(data), 0
        try:
            while pos < end:
                if partial is not None and partial.missing:
                    took = min(partial.missing, end - pos)
                    self._append(partial, data[pos : pos + took])
                    pos += took
                    if not partial.missing and partial.fin:
                        events.append(self._finish(partial))
                        partial = None
                    continue

                start = pos
                if end - pos < 2:
                    return self._wait(partial, data, start)
                first, second = data[pos], data[pos + 1]
                opcode = first & 0x0F
                fin = first >= 0x80
                self._check_header(first, second, partial, compression)
                pos += 2
                length = second & 0x7F
                if length == 126:
                    if end - pos < 2:
                        return self._wait(partial, data, start)
                    (length,) = _U16.unpack_from(data, pos)
                    pos += 2
                    if length < 126:
                        raise ProtocolError(CloseCode.PROTOCOL_ERROR, LONG_LENGTH)
                elif length == 127:
                    if end - pos < 8:
                        return self._wait(partial, data, start)
                    (length,) = _U64.unpack_from(data, pos)
                    pos += 8
                    if length < 0x10000 or length >= 1 << 63:
                        raise ProtocolError(CloseCode.PROTOCOL_ERROR, LONG_LENGTH)

                if opcode >= CLOSE:
                    if end - pos < 4 + length:
                        return self._wait(partial, data, start)
                    mask = bytes(data[pos : pos + 4])
                    payload = apply_mask(data[pos + 4 : pos + 4 + length], mask)
                    pos += 4 + length
                    if opcode == CLOSE:
                        parse_close(payload)
                        events.append((opcode, payload))
                        return partial
                    controls += 1
                    if controls > most:
                        raise ProtocolError(CloseCode.FLOODING, MANY_CONTROLS)
                    events.append((opcode, payload))
                    continue

                if length + (partial.size if partial is not None else 0) > self._max_message:
                    raise ProtocolError(CloseCode.TOO_BIG, f"over {self._max_message} bytes")
                if end - pos < 4:
                    return self._wait(partial, data, start)
                mask = bytes(data[pos : pos + 4])
                pos += 4
                if fin and partial is None and end - pos >= length:
                    payload = apply_mask(data[pos : pos + length], mask)
                    pos += length
                    compressed = first & COMPRESSED
                    if opcode == TEXT and not compressed and not payload.isascii():
                        check_utf8(payload)
                    events.append((opcode | compressed, payload))
                    continue
                if not fin and length < SMALL_FRAGMENT:
                    controls += 1
                    if controls > most:
                        raise ProtocolError(CloseCode.FLOODING, MANY_CONTROLS)
                partial = self._begin(partial, first, mask, length)
                if not length and fin:
                    events.append(self._finish(partial))
                    partial = None
        except ProtocolError:
            if partial is not None:
                self.discard(partial)
            raise
        finally:
            self.controls = controls
        return partial

    def lone(self, data: bytes | memoryview, size: int) -> Event | None:
        """The event of which `feed` would make one, when the `size` bytes of `data` are the whole
        of a short message or of the answer to an empty ping; else None.

        Between messages. It is nearly all that viewers send, so it has this short way.
        """
        if size == 6 and data[0] == 0x80 | PONG and data[1] == 0x80:
            return PONG, b""
        if not 6 <= size < 132:
            return None
        first, second, mask = _SHORT_HEADER.unpack_from(data)
        if second != 0x80 + size - 6:
            return None
        if first not in (0x80 | TEXT, 0x80 | BINARY) or size - 6 > self._max_message:
            return None
        payload = apply_mask(data[6:size], mask)
        if first == 0x80 | TEXT and not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                return None  # feed says what is wrong
        return first & 0x0F, payload

    def discard(self, partial: Partial) -> None:
        """Give back what `partial` has borrowed; for a connection that ends."""
        if partial.buffer is not None:
            self._buffers.give_back(partial.buffer)
            partial.buffer = None

    def _check_header(
        self, first: int, second: int, partial: Partial | None, compression: bool
    ) -> None:
        """RFC 6455 section 5.2, and RFC 7692 section 6 for RSV1."""
        opcode = first & 0x0F
        in_message = partial is not None and partial.opcode
        if first & 0x70 and not (
            first & 0x70 == COMPRESSED and compression and opcode in (TEXT, BINARY)
        ):
            fault = "a reserved bit is set"
        elif not second & 0x80:
            fault = "a client's frame is not masked"
        elif opcode >= CLOSE:
            if opcode > PONG:
                fault = f"opcode {opcode} is reserved"
            elif first < 0x80:
                fault = "a control frame is fragmented"
            elif second & 0x7F > 125:
                fault = "a control frame is longer than 125 bytes"
            elif opcode == CLOSE and second & 0x7F == 1:
                fault = "a close frame of one byte"
            else:
                return
        elif opcode > BINARY:
            fault = f"opcode {opcode} is reserved"
        elif opcode == CONT and not in_message:
            fault = "a continuation without a beginning"
        elif opcode != CONT and in_message:
            fault = "a new message inside a fragmented one"
        else:
            return
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, fault)

    def _wait(self, partial: Partial | None, data: bytes | memoryview, start: int) -> Partial:
        if partial is None:
            partial = Partial()
        partial.head = bytes(data[start:])
        return partial

    def _begin(self, partial: Partial | None, first: int, mask: bytes, length: int) -> Partial:
        """Enter a data frame whose payload comes later or which is one of several."""
        if partial is None:
            partial = Partial()
        if not partial.opcode:
            partial.opcode = first & 0x0F
            partial.compressed = first & COMPRESSED
            if partial.opcode == TEXT and not partial.compressed:
                partial.decoder = _utf8_decoder()
        partial.fin = first >= 0x80
        partial.mask = mask
        partial.missing = length
        return partial

    def _append(self, partial: Partial, masked: bytes | memoryview) -> None:
        took = len(masked)
        chunk = apply_mask(masked, partial.mask)
        turned = took & 3
        partial.mask = partial.mask[turned:] + partial.mask[:turned]
        partial.missing -= took
        if partial.decoder is not None:
            try:
                partial.decoder.decode(chunk)
            except UnicodeDecodeError:
                raise ProtocolError(CloseCode.INVALID_PAYLOAD, "text is not UTF-8") from None
        size = partial.size + took
        if partial.buffer is None:
            partial.buffer = self._buffers.borrow(size)
        elif size > len(partial.buffer):
            partial.buffer = self._buffers.grow(partial.buffer, partial.size, size)
        partial.buffer[partial.size : size] = chunk
        partial.size = size

    def _finish(self, partial: Partial) -> Event:
        if partial.decoder is not None:
            try:
                partial.decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                raise ProtocolError(CloseCode.INVALID_PAYLOAD, "text is not UTF-8") from None
        payload = b""
        if partial.buffer is not None:
            payload = bytes(memoryview(partial.buffer)[: partial.size])
            self.discard(partial)
        return partial.opcode | partial.compressed, payload


def check_utf8(payload: bytes) -> None:
    """Raises ProtocolError when a text message is not UTF-8."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(CloseCode.INVALID_PAYLOAD, "text is not UTF-8") from None


def parse_close(payload: bytes) -> tuple[int, str]:
    """A close frame's (code, reason); code 1005 when it has none (RFC 6455 section 7.1.5).

    Raises ProtocolError for a code that may not be sent and for a reason that is not UTF-8.
    """
    if not payload:
        return 1005, ""
    (code,) = _CLOSE_CODE.unpack_from(payload)
    if not receivable(code):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, f"close code {code} may not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(CloseCode.INVALID_PAYLOAD, "a close reason is not UTF-8") from None


def encode(opcode: int, payload: bytes, compressed: bool = False) -> bytes:
    """One whole server frame: final, unmasked."""
    first = 0x80 | opcode | (COMPRESSED if compressed else 0)
    size = len(payload)
    if size < 126:
        return _BYTES[first] + _BYTES[size] + payload
    if size < 0x10000:
        return _MEDIUM.pack(first, 126, size) + payload
    return bytes((first, 127)) + _U64.pack(size) + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to the 123 bytes a control frame has room for."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return encode(CLOSE, _CLOSE_CODE.pack(code) + text)
