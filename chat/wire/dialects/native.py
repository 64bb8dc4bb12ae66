"""Our own dialects: JSON in text messages, MessagePack in binary ones, the same objects in both.

Rules. A client sends one command a message, the server an array of events. Any fault of a payload
is a BadCommand, which carries what the error event needs.
"""

from collections.abc import Sequence
from contextlib import suppress
from struct import pack
from typing import Final

import msgpack
import msgspec
from msgspec import UNSET, UnsetType

from chat.wire.dialects.dialect import BadCommand
from chat.wire.schema import (
    COMMANDS,
    UNREADABLE,
    Bye,
    Command,
    ErrorCode,
    Head,
    Join,
    Ref,
    ServerEvent,
)
from shard.handshake import Request

MAX_DETAIL: Final = 200
"""Characters of an explanation, which may quote what was sent."""


class Native:
    """What both have in common."""

    introduces = False
    watches = False
    places = False

    def greeting(self) -> bytes:
        return b""

    def opening(self, request: Request) -> list[Join]:
        return [Join(room) for room in dict.fromkeys(request.query.get("room", ()))]


class Json(Native):
    """`danmaku.json`."""

    name = "danmaku.json"
    binary = False

    def __init__(self) -> None:
        self.event = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Command).decode
        self._decode_head = msgspec.json.Decoder(Head).decode
        self._decode_tag = msgspec.json.Decoder(str).decode
        self._decode_ref = msgspec.json.Decoder(Ref).decode

    def decode(self, payload: bytes) -> list[Command]:
        try:
            return [self._decode(payload)]
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

    def farewell(self, bye: Bye) -> bytes:
        return self.payload([self.event(bye)])

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return b"[" + b",".join(events) + b"]"


class Msgpack(Native):
    """`danmaku.msgpack`: the same objects, as maps."""

    name = "danmaku.msgpack"
    binary = True

    def decode(self, payload: bytes) -> list[Command]:
        try:
            fields = msgpack.unpackb(payload)
        except Exception as error:  # the package raises half a dozen unrelated types
            detail = str(error) or type(error).__name__
            raise BadCommand(ErrorCode.BAD_REQUEST, f"not MessagePack: {detail}") from None
        try:
            return [msgspec.convert(fields, Command)]
        except msgspec.ValidationError as error:
            head = fields if isinstance(fields, dict) else {}
            ref: Ref | UnsetType = UNSET
            with suppress(msgspec.ValidationError):
                ref = msgspec.convert(head.get("ref", UNSET), Ref | UnsetType)
            raise _explain(head.get("t"), ref, error) from None

    def event(self, event: ServerEvent) -> bytes:
        packed: bytes = msgpack.packb(msgspec.to_builtins(event))
        return packed

    def farewell(self, bye: Bye) -> bytes:
        return self.payload([self.event(bye)])

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
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


JSON: Final = Json()
MSGPACK: Final = Msgpack()
