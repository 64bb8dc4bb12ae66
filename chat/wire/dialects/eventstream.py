"""Server-sent events: the native JSON's arrays as the data of event-stream events.

Rules. Watching only; all a client asks for is in its request. Each batch is one event whose `id` is
the viewer's position: "epoch-seq-ts" of its room, or of each of its rooms in the order it named
them, with commas; without the ts where that is not known, nothing for a room it has nothing of yet.
A client that comes back with that as its Last-Event-ID misses nothing; any other value is as good
as none.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import UnsetType

from chat.wire.batch import Shown
from chat.wire.commands import (
    Command,
    Join,
    Since,
)
from chat.wire.dialects.dialect import Dialect, Missed
from chat.wire.dialects.native import JSON
from chat.wire.foreign import Told
from chat.wire.schema import (
    Bye,
    Joined,
    Message,
    Ref,
)
from shard.closecodes import CloseCode
from shard.handshake import Request

RETRY: Final = b"retry: 2000\n\n"
"""Milliseconds after which an EventSource comes back; without a word of ours some wait longer."""

_PLACE: Final = re.compile(r"([0-9A-Za-z]{1,32}|(?=-0$))-([0-9]{1,16})(?:-([0-9]{1,16}))?")
"""A position, with or without a ts; that of a room nobody has spoken in is "-0"."""


class EventStream:
    """`GET /sse?room=…`"""

    name = ""
    binary = False
    introduces = False
    watches = True
    missed = Missed.CLOSE
    pings = False
    unsaid = False
    places = True
    between = JSON.between

    def greeting(self) -> bytes:
        return RETRY

    def opening(self, request: Request) -> list[Join]:
        rooms = list(dict.fromkeys(request.query.get("room", ())))
        told = request.headers.get("last-event-id") or request.first("lastEventId") or ""
        places = _since(told, len(rooms))
        return [Join(room, since) for room, since in zip(rooms, places, strict=True)]

    def asked_by(self, request: Request) -> Dialect:
        return self

    def decode(self, payload: bytes) -> list[Command]:
        raise AssertionError("an event stream takes no messages")

    def refusal(self, code: CloseCode, reason: str, ref: Ref | UnsetType) -> bytes:
        raise AssertionError("an event stream introduces nobody")

    def event(self, event: Told) -> bytes:
        return JSON.event(event)

    def joined(self, event: Joined, since: Since | None) -> bytes:
        return JSON.joined(event, since)

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        return JSON.around(event, since, places, size)

    def place(self, written: Message, place: Shown) -> bytes:
        return JSON.place(written, place)

    def answering(self, event: bytes, ref: Ref) -> bytes:
        raise AssertionError("an event stream takes no commands")

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        place = f"id: {position}\n".encode() if position else b""
        return place + b"data: " + JSON.payload(events) + b"\n\n"

    def pieces(self, event: bytes, most: int) -> Sequence[bytes]:
        return [event]

    def farewell(self, bye: Bye) -> bytes:
        retry = f"retry: {round(bye.reconnect_in * 1000)}\n"
        return retry.encode() + self.payload([self.event(bye)])


def _since(told: str, rooms: int) -> list[Since | None]:
    """A position for each room, or none for any."""
    places = [_PLACE.fullmatch(place) for place in told.split(",")]
    if len(places) != rooms:
        return [None] * rooms
    return [place and Since(place[1], int(place[2]), int(place[3] or 0)) for place in places]


EVENT_STREAM: Final = EventStream()
