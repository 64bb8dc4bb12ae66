"""goim's packets: a header of 16 bytes and a body, big-endian; and what its rooms are called here.

Rules. Pure. A packet that comes in is alone in its message, and is taken only where every length in
its header is that of what is there. Packets that go out may stand behind one another.

    packet length: u32, of header and body | header length: u16, always 16 | version: u16
    | operation: u32 | sequence number: u32, echoed by an answer, else 0 | body
"""

import re
from collections.abc import Iterator
from struct import Struct, error
from typing import Any, Final, NoReturn

import msgspec

from chat.wire.dialects.dialect import BadCommand
from chat.wire.schema import UNREADABLE, ErrorCode
from shard.closecodes import CloseCode

HEADER: Final = Struct(">IHHII")
HEADER_BYTES: Final = HEADER.size
MAX_BODY: Final = 4096
"""Bytes of what a client may say at once."""
MOST_U32: Final = 2**32 - 1

PLAIN, NUMBER, ZLIB, BROTLI = 0, 1, 2, 3
"""Versions: JSON, an answer, and packets that were compressed together."""

HEARTBEAT, HEARTBEAT_REPLY, MESSAGE, AUTH, AUTH_REPLY = 2, 3, 5, 7, 8
CHANGE_ROOM, SUBSCRIBE, UNSUBSCRIBE = 12, 14, 16
"""Operations; the answer to one of the last three has the next number."""


def packet(op: int, body: bytes, version: int = PLAIN, seq: int = 0) -> bytes:
    """A packet to be sent."""
    return HEADER.pack(HEADER_BYTES + len(body), HEADER_BYTES, version, op, seq) + body


def parse(payload: bytes) -> tuple[int, int, bytes]:
    """Operation, sequence number and body of the one packet in a message. Raises BadCommand."""
    try:
        length, header, _, op, seq = HEADER.unpack_from(payload)
    except error:
        broken(f"a packet has a header of {HEADER_BYTES} bytes")
    if length != len(payload):
        broken("a packet is as long as the message it comes in")
    if header != HEADER_BYTES:
        broken(f"a header is {HEADER_BYTES} bytes long")
    if length - header > MAX_BODY:
        broken(f"a body is at most {MAX_BODY} bytes long", CloseCode.TOO_BIG)
    return op, seq, payload[HEADER_BYTES:]


def broken(what: str, closes: CloseCode = CloseCode.PROTOCOL_ERROR) -> NoReturn:
    """Raises the BadCommand of a client that does not keep to the protocol."""
    raise BadCommand(ErrorCode.BAD_REQUEST, what, closes=closes)


def text_of(body: bytes) -> str:
    """A body that is text. Raises BadCommand."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        broken("a body is UTF-8", CloseCode.INVALID_PAYLOAD)


def fields_of(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object. Raises BadCommand."""
    try:
        fields = msgspec.json.decode(body)
    except UNREADABLE:
        fields = None
    if not isinstance(fields, dict):
        broken("this body is a JSON object")
    return fields


def groups(packets: bytes, most: int) -> Iterator[bytes]:
    """Packets in order, as many at a time as fit `most` bytes; one always does."""
    start = at = 0
    while at < len(packets):
        size = HEADER.unpack_from(packets, at)[0]
        if at > start and at + size - start > most:
            yield packets[start:at]
            start = at
        at += size
    yield packets[start:]


class RoomNames:
    """What goim calls our rooms: by number those of a template, the others `type://id`.

    template  a room's name with {} for the number
    """

    def __init__(self, template: str) -> None:
        self._template = template
        before, _, behind = template.partition("{}")
        number = "(0|[1-9][0-9]{0,18})"
        self._numbered = re.compile(f"{re.escape(before)}{number}{re.escape(behind)}")

    def room(self, name: object) -> str:
        """The room of that name, a number or a text; "" for none. Raises BadCommand.

        Whether there can be such a room is for others to say.
        """
        match name:
            case None | "":
                return ""
            case float() if name.is_integer():  # as some clients write every number
                name = int(name)
        match name:
            case bool() | float() | list() | dict():
                broken("a room is a number, or a text like live://1000")
            case int() if name < 0:
                broken("a room's number is not negative")
        text = str(name)
        if text.isascii() and text.isdigit():
            return self._template.replace("{}", text.lstrip("0") or "0")
        kind, slashes, rest = text.partition("://")
        return f"{kind}:{rest}" if slashes else text

    def name(self, room: str) -> int | str:
        """What a room is called: its number, or a text."""
        found = self._numbered.fullmatch(room)
        if found is not None:
            return int(found[1])
        kind, colon, rest = room.partition(":")
        return f"{kind}://{rest}" if colon else room
