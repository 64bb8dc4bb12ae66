"""goim's binary framing, as the clients of a well-known live site speak it, at `/sub`.

Rules. Watching only. A client's first packet says who it is, where to, and how it is to be packed;
from then on it is spoken to in one of three dialects that differ in nothing else: packets as they
are, or those of a frame compressed together, with zlib or brotli. Only messages are compressed, and
only from PACK_FROM bytes on: whoever asked for that reads a plain packet, too. No history is sent,
and nobody has a position.

What a client wants in its answer, the operation, the sequence number and the body, goes through the
hub as the `ref`, "operation:number:body".
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import brotli
from msgspec import UnsetType

from chat.wire.batch import Shown
from chat.wire.commands import Join, Ping, Since
from chat.wire.dialects.dialect import Dialect, Missed
from chat.wire.dialects.goimpackets import (
    AUTH,
    AUTH_REPLY,
    BROTLI,
    CHANGE_ROOM,
    HEARTBEAT,
    HEARTBEAT_REPLY,
    MESSAGE,
    MOST_U32,
    NUMBER,
    PLAIN,
    SUBSCRIBE,
    UNSUBSCRIBE,
    ZLIB,
    RoomNames,
    fields_of,
    groups,
    packet,
    parse,
    text_of,
)
from chat.wire.dialects.goimwords import Words
from chat.wire.foreign import Asked, Beat, Connect, Counted, Invalid, LeaveAll, Move, Told
from chat.wire.schema import Bye, ErrorCode, Joined, Message, Pong, Ref, Welcome
from shard.closecodes import CloseCode
from shard.handshake import Request

WELCOME: Final = b'{"code":0}'
REFUSED: Final = b'{"code":-101}'
NO_TOKEN: Final = "-"
PACK_FROM: Final = 256
"""Bytes of packets from which they are compressed; a chat line is 430, and shrinks by a third."""
# Of 16 chat lines, 6,959 bytes: zlib 969 in 24 µs, level 1 1,055 in 13; brotli 1,076, 1,003, 919,
# 909 and 869 of quality 1 to 5, in 11, 16, 20, 30 and 38 µs, once for all viewers of a room.
ZLIB_LEVEL: Final = 6
BROTLI_QUALITY: Final = 3

Pack = Callable[[bytes], bytes]


class Goim:
    """One of the three; `speaks` are all of them, by the version that a client asks for.

    pack  compresses what is to be sent; None leaves it as it is
    """

    name = ""
    binary = True
    introduces = True
    watches = True
    missed = Missed.IGNORE
    pings = False
    unsaid = False
    places = False
    between = b""

    def __init__(
        self,
        rooms: RoomNames,
        words: Words,
        version: int,
        pack: Pack | None,
        speaks: "dict[int, Goim]",
    ) -> None:
        self.version = version
        self._rooms = rooms
        self._words = words
        self._pack = pack
        self._speaks = speaks

    # --- in ------------------------------------------------------------------------------------

    def opening(self, request: Request) -> list[Join]:
        return []

    def asked_by(self, request: Request) -> Dialect:
        return self

    def decode(self, payload: bytes) -> Sequence[Asked]:
        op, seq, body = parse(payload)
        if op == HEARTBEAT:  # whatever its body is
            return [Beat(ref=seq)]
        if op == AUTH:
            return self._introduced(seq, fields_of(body))
        return self._asked(op, seq, text_of(body))

    def _introduced(self, seq: int, fields: dict[str, Any]) -> Sequence[Asked]:
        key = fields.get("key") or None
        if not isinstance(key, str | None):
            key = NO_TOKEN  # which is answered as any other that is not valid
        wanted: Any = fields.get("protover")
        if not isinstance(wanted, int | float) or wanted not in self._speaks:
            wanted = PLAIN
        room = self._rooms.room(fields.get("room_id")) or self._rooms.room(fields.get("roomid"))
        connect = Connect(key, ref=seq, room=room, speaks=self._speaks[wanted])
        return [connect, Join(room)] if room else [connect]

    def _asked(self, op: int, seq: int, body: str) -> Sequence[Asked]:
        ref = f"{op + 1}:{seq}:{body}"
        if op == CHANGE_ROOM:
            room = self._rooms.room(body)
            return [Move(room, ref=ref) if room else LeaveAll(ref)]
        if op in (SUBSCRIBE, UNSUBSCRIBE):
            return [Ping(ref)]
        return [Invalid(ErrorCode.UNKNOWN_COMMAND, f"there is no operation {op}")]

    # --- out -----------------------------------------------------------------------------------

    def greeting(self) -> bytes:
        return b""

    def event(self, event: Told) -> bytes | None:
        match event:
            case Counted():
                online = min(max(event.online, 1), MOST_U32)
                body = online.to_bytes(4, "big")
                return packet(HEARTBEAT_REPLY, body, NUMBER, _seq(event.ref))
            case Welcome():
                return packet(AUTH_REPLY, WELCOME, NUMBER, _seq(event.ref))
            case Pong(ref=str(ref)):
                return _reply(ref)
        return self._words.packets(event)

    def answering(self, event: bytes, ref: Ref) -> bytes:
        return _reply(str(ref)) + event

    def joined(self, event: Joined, since: Since | None) -> bytes | None:
        return self._words.on_joining(event)

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        return self._words.on_joining(event), b""

    def place(self, written: Message, place: Shown) -> bytes:
        return b""

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        written = b"".join(events)
        if self._pack is None or len(written) < PACK_FROM or not _is_message(written):
            return written
        return packet(MESSAGE, self._pack(written), self.version)

    def pieces(self, event: bytes, most: int) -> Sequence[bytes]:
        return list(groups(event, most))

    def farewell(self, bye: Bye) -> bytes:
        return b""

    def refusal(self, code: CloseCode, reason: str, ref: Ref | UnsetType) -> bytes:
        return packet(AUTH_REPLY, REFUSED, NUMBER, _seq(ref))


def dialects(template: str) -> tuple[Goim, Goim, Goim]:
    """The plain one, that with zlib and that with brotli, over rooms of that template; the first
    is how a connection begins."""
    rooms, speaks = RoomNames(template), dict[int, Goim]()
    words = Words(rooms)
    for version, pack in ((PLAIN, None), (ZLIB, _deflated), (BROTLI, _brotli)):
        speaks[version] = Goim(rooms, words, version, pack, speaks)
    return speaks[PLAIN], speaks[ZLIB], speaks[BROTLI]


def _deflated(packets: bytes) -> bytes:
    return zlib.compress(packets, ZLIB_LEVEL)


def _brotli(packets: bytes) -> bytes:
    packed: bytes = brotli.compress(packets, mode=brotli.MODE_TEXT, quality=BROTLI_QUALITY)
    return packed


def _seq(ref: Ref | UnsetType) -> int:
    return ref if isinstance(ref, int) else 0


def _reply(ref: str) -> bytes:
    op, seq, body = ref.split(":", 2)
    return packet(int(op), body.encode(), NUMBER, int(seq))


def _is_message(packets: bytes) -> bool:
    return packets[11] == MESSAGE
