"""The two encodings of the wire: JSON in text frames, MessagePack in binary ones.

Rules. A codec turns one payload into one command, and events into one payload; it knows neither
rooms nor connections. Events are encoded one by one and joined, so that what many viewers share
(a message, a room's snapshot) is encoded once. A codec's name is the subprotocol; its place in
CODECS is a connection's variant, or the variant less the number of codecs when the connection
has agreed to compression.

Bad payloads raise BadCommand, which carries what the error event needs.
"""

from collections.abc import Sequence
from contextlib import suppress
from struct import pack
from typing import Final, Protocol

import msgpack
import msgspec
from msgspec import UNSET, UnsetType

from chat.wire.schema import COMMANDS, Command, ErrorCode, Head, Ref, ServerEvent
from shard import frames
from shard.deflate import compress

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading JSON may raise: text that is not UTF-8 is a ValueError, deep nesting the last."""
COMPRESS_FROM: Final = 256
"""Bytes of a payload from which it is compressed: two messages. One shrinks by a quarter only."""
MAX_DETAIL: Final = 200
"""Characters of an explanation, which may quote what was sent."""


class BadCommand(Exception):
    """A payload that is no command; `ref` is the client's number for it, if it could be read."""

    def __init__(self, code: ErrorCode, message: str, ref: Ref | UnsetType = UNSET) -> None:
        super().__init__(message)
        self.code = code
        self.ref = ref


class Codec(Protocol):
    """One encoding."""

    name: str
    binary: bool

    def decode(self, payload: bytes) -> Command:
        """The command in one message. Raises BadCommand."""

    def one(self, event: ServerEvent) -> bytes:
        """One encoded event, to be joined by `batch`."""

    def batch(self, events: Sequence[bytes]) -> bytes:
        """A payload of encoded events: an array."""


def frame(codec: Codec, events: Sequence[bytes], compressed: bool = False) -> bytes:
    """Encoded events as one WebSocket frame; compressed where asked for and where it pays."""
    opcode = frames.BINARY if codec.binary else frames.TEXT
    payload = codec.batch(events)
    if compressed and len(payload) >= COMPRESS_FROM:
        return frames.encode(opcode, compress(payload), compressed=True)
    return frames.encode(opcode, payload)


class JsonCodec:
    """`danmaku.json`."""

    name = "danmaku.json"
    binary = False

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Command).decode
        self._decode_head = msgspec.json.Decoder(Head).decode
        self._decode_tag = msgspec.json.Decoder(str).decode
        self._decode_ref = msgspec.json.Decoder(Ref).decode

    def decode(self, payload: bytes) -> Command:
        try:
            command: Command = self._decode(payload)
            return command
        except msgspec.ValidationError as error:
            raise self._explain(payload, error) from None
        except UNREADABLE as error:
            raise BadCommand(ErrorCode.BAD_REQUEST, f"not JSON: {error}") from None

    def _explain(self, payload: bytes, error: Exception) -> BadCommand:
        """What was wrong with a command: read again, only for what the answer needs."""
        tag: str | None = None
        ref: Ref | UnsetType = UNSET
        with suppress(*UNREADABLE):
            head = self._decode_head(payload)
            with suppress(*UNREADABLE):
                tag = self._decode_tag(head.t)
            ref = self._decode_ref(head.ref)
        return _explain(tag, ref, error)

    def one(self, event: ServerEvent) -> bytes:
        return self._encode(event)

    def batch(self, events: Sequence[bytes]) -> bytes:
        return b"[" + b",".join(events) + b"]"


class MsgpackCodec:
    """`danmaku.msgpack`: the same objects, as maps."""

    name = "danmaku.msgpack"
    binary = True

    def decode(self, payload: bytes) -> Command:
        try:
            fields = msgpack.unpackb(payload)
        except Exception as error:  # the package raises half a dozen unrelated types
            detail = str(error) or type(error).__name__
            raise BadCommand(ErrorCode.BAD_REQUEST, f"not MessagePack: {detail}") from None
        try:
            command: Command = msgspec.convert(fields, Command)
            return command
        except msgspec.ValidationError as error:
            head = fields if isinstance(fields, dict) else {}
            ref: Ref | UnsetType = UNSET
            with suppress(msgspec.ValidationError):
                ref = msgspec.convert(head.get("ref", UNSET), Ref | UnsetType)
            raise _explain(head.get("t"), ref, error) from None

    def one(self, event: ServerEvent) -> bytes:
        packed: bytes = msgpack.packb(msgspec.to_builtins(event))
        return packed

    def batch(self, events: Sequence[bytes]) -> bytes:
        return _array_header(len(events)) + b"".join(events)


def _explain(tag: object, ref: Ref | UnsetType, error: Exception) -> BadCommand:
    if isinstance(tag, str) and tag not in COMMANDS:
        known = ", ".join(sorted(COMMANDS))
        return BadCommand(ErrorCode.UNKNOWN_COMMAND, f"there is no {tag[:32]!r}; try {known}", ref)
    return BadCommand(ErrorCode.BAD_REQUEST, str(error)[:MAX_DETAIL], ref)


def _array_header(count: int) -> bytes:
    """MessagePack's fixarray, array 16 or array 32."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 0x10000:
        return pack(">BH", 0xDC, count)
    return pack(">BI", 0xDD, count)


CODECS: tuple[Codec, ...] = (JsonCodec(), MsgpackCodec())
"""By variant. The first is what a client gets that asks for no subprotocol."""

VARIANTS: Final = 2 * len(CODECS)
"""The codecs without compression, then the same with it."""


def codec_of(variant: int) -> Codec:
    """The codec of a connection's variant."""
    return CODECS[variant % len(CODECS)]
