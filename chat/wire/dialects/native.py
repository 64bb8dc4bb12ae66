"""Our own dialects: JSON in text messages, MessagePack in binary ones, the same objects in both.

Rules. A client sends one command a message, the server an array of events. Any fault of a payload
is a BadCommand, which carries what the error event needs.

What typed clients cannot help is no fault: a whole number may be written as a float, a field that
may be absent may be null (where that means nothing else), and half a character is read as U+FFFD. A
well-written command is read at once; only what is refused there is read again with that in mind.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from struct import pack
from typing import Any, Final

import msgpack
import msgspec
from msgspec import UNSET, UnsetType

from chat.wire.batch import Shown
from chat.wire.commands import (
    COMMANDS,
    MEAN_NULL,
    Command,
    Join,
    Since,
)
from chat.wire.dialects.dialect import BadCommand, Dialect, Missed
from chat.wire.foreign import Told
from chat.wire.schema import (
    UNREADABLE,
    Bye,
    ErrorCode,
    Joined,
    Message,
    Ref,
)
from shard.closecodes import CloseCode
from shard.handshake import Request

MAX_DETAIL: Final = 200
"""Characters of an explanation, which may quote what was sent."""


class Native:
    """What both have in common."""

    introduces = False
    watches = False
    missed = Missed.SHOW
    pings = False
    unsaid = False
    places = False

    def greeting(self) -> bytes:
        return b""

    def refusal(self, code: CloseCode, reason: str, ref: Ref | UnsetType) -> bytes:
        return b""

    def pieces(self, event: bytes, most: int) -> Sequence[bytes]:
        return [event]

    def opening(self, request: Request) -> list[Join]:
        return [Join(room) for room in dict.fromkeys(request.query.get("room", ()))]


class Json(Native):
    """`danmaku.json`."""

    name = "danmaku.json"
    binary = False
    between = b","

    def __init__(self) -> None:
        self.event = self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Command).decode

    def asked_by(self, request: Request) -> Dialect:
        return self

    def decode(self, payload: bytes) -> list[Command]:
        try:
            return [self._decode(payload)]
        except UNREADABLE:
            pass
        try:
            # As text, or the standard library would guess at other encodings.
            fields = json.loads(payload.decode())
        except UNREADABLE as error:
            raise BadCommand(ErrorCode.BAD_REQUEST, f"not JSON: {error}") from None
        return [_command(fields)]

    def joined(self, event: Joined, since: Since | None) -> bytes:
        return self._encode(event)

    def place(self, written: Message, place: Shown) -> bytes:
        return self._encode(written)

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        # No text can have these bytes: its quotes are escaped.
        before, name, behind = self._encode(event).partition(b'"history":[')
        return before + name, behind

    def answering(self, event: bytes, ref: Ref) -> bytes:
        return b'%b,"ref":%b}' % (event[:-1], self._encode(ref))

    def farewell(self, bye: Bye) -> bytes:
        return self.payload([self.event(bye)])

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return b"[" + b",".join(events) + b"]"


class Msgpack(Native):
    """`danmaku.msgpack`: the same objects, as maps."""

    name = "danmaku.msgpack"
    binary = True
    between = b""

    def asked_by(self, request: Request) -> Dialect:
        return self

    def decode(self, payload: bytes) -> list[Command]:
        try:
            fields = msgpack.unpackb(payload)
        except Exception as error:  # the package raises half a dozen unrelated types
            detail = str(error) or type(error).__name__
            raise BadCommand(ErrorCode.BAD_REQUEST, f"not MessagePack: {detail}") from None
        try:
            return [msgspec.convert(fields, Command)]
        except msgspec.ValidationError:
            return [_command(fields)]

    def event(self, event: Told) -> bytes:
        packed: bytes = msgpack.packb(msgspec.to_builtins(event))
        return packed

    def joined(self, event: Joined, since: Since | None) -> bytes:
        return self.event(event)

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        # No text can have these bytes: an array's is not UTF-8 behind a letter.
        before, name, behind = self.event(event).partition(b"\xa7history\x90")
        return before + name[:-1] + _array_header(places), behind

    def place(self, written: Message, place: Shown) -> bytes:
        packed: bytes = msgpack.packb(msgspec.to_builtins(written))
        return packed

    def answering(self, event: bytes, ref: Ref) -> bytes:
        fields = event[0] + 1
        assert 0x80 < fields <= 0x8F, "a fixmap with a place left"
        packed: bytes = msgpack.packb(ref)
        return b"%c%b\xa3ref%b" % (fields, event[1:], packed)

    def farewell(self, bye: Bye) -> bytes:
        return self.payload([self.event(bye)])

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return _array_header(len(events)) + b"".join(events)


def _command(fields: Any) -> Command:
    """A command out of plain values, leniently. Raises BadCommand."""
    fields = _lenient(fields)
    try:
        command: Command = msgspec.convert(fields, Command)
        return command
    except msgspec.ValidationError as error:
        head = fields if isinstance(fields, dict) else {}
        ref: Ref | UnsetType = UNSET
        with suppress(msgspec.ValidationError):
            ref = msgspec.convert(head.get("ref", UNSET), Ref | UnsetType)
        raise _explained(head.get("t"), ref, error) from None


def _lenient(value: Any, deeper: int = 2) -> Any:
    """What is meant by a value, and by those in it: a command's fields and those of its `since`."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case str() if not value.isascii():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict() if deeper:
            return {
                _lenient(name, 0): _lenient(one, deeper - 1)
                for name, one in value.items()
                if one is not None or name in MEAN_NULL
            }
        case _:
            return value


def _explained(tag: object, ref: Ref | UnsetType, error: Exception) -> BadCommand:
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
