"""The two encodings of the wire: JSON in text frames, MessagePack in binary ones.

Rules. A codec turns one payload into one command, and events into one payload; it knows neither
rooms nor connections. Events are encoded one by one and joined, so that what many viewers share
(a message, a room's snapshot) is encoded once. A codec's place in CODECS is a connection's
variant, and its name the subprotocol.

Bad payloads raise BadCommand, which carries what the error event needs.
"""

from collections.abc import Sequence
from struct import pack
from typing import Protocol

import msgpack
import msgspec
from msgspec import UNSET, UnsetType

from chat.schema import COMMANDS, Command, ErrorCode, Head, Ref, ServerEvent
from shard import frames


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


def frame(codec: Codec, events: Sequence[bytes]) -> bytes:
    """Encoded events as one WebSocket frame."""
    return frames.encode(frames.BINARY if codec.binary else frames.TEXT, codec.batch(events))


class JsonCodec:
    """`danmaku.json`."""

    name = "danmaku.json"
    binary = False

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Command).decode
        self._decode_head = msgspec.json.Decoder(Head).decode

    def decode(self, payload: bytes) -> Command:
        try:
            command: Command = self._decode(payload)
            return command
        except msgspec.ValidationError as error:
            raise self._explain(payload, error) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadCommand(ErrorCode.BAD_REQUEST, f"not JSON: {error}") from None

    def _explain(self, payload: bytes, error: Exception) -> BadCommand:
        try:
            head = self._decode_head(payload)
            tag = msgspec.json.decode(head.t) if isinstance(head.t, msgspec.Raw) else None
        except msgspec.MsgspecError:
            return BadCommand(ErrorCode.BAD_REQUEST, str(error))
        return _explain(tag, head.ref, error)

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
            if not isinstance(fields, dict):
                raise BadCommand(ErrorCode.BAD_REQUEST, str(error)) from None
            try:
                ref = msgspec.convert(fields.get("ref", UNSET), Ref | UnsetType)
            except msgspec.ValidationError:
                ref = UNSET
            raise _explain(fields.get("t"), ref, error) from None

    def one(self, event: ServerEvent) -> bytes:
        packed: bytes = msgpack.packb(msgspec.to_builtins(event))
        return packed

    def batch(self, events: Sequence[bytes]) -> bytes:
        return _array_header(len(events)) + b"".join(events)


def _explain(tag: object, ref: Ref | UnsetType, error: Exception) -> BadCommand:
    if isinstance(tag, str) and tag not in COMMANDS:
        known = ", ".join(sorted(COMMANDS))
        return BadCommand(ErrorCode.UNKNOWN_COMMAND, f"there is no {tag[:32]!r}; try {known}", ref)
    return BadCommand(ErrorCode.BAD_REQUEST, str(error), ref)


def _array_header(count: int) -> bytes:
    """MessagePack's fixarray, array 16 or array 32."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 0x10000:
        return pack(">BH", 0xDC, count)
    return pack(">BI", 0xDD, count)


CODECS: tuple[Codec, ...] = (JsonCodec(), MsgpackCodec())
"""By variant. The first is what a client gets that asks for no subprotocol."""
