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

from chat.wire.commands import Command, Join, Since
from chat.wire.dialects.native import JSON
from chat.wire.schema import Bye, Joined, Message, Ref, ServerEvent
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
    places = True
    between = JSON.between

    def greeting(self) -> bytes:
        return RETRY

    def opening(self, request: Request) -> list[Join]:
        rooms = list(dict.fromkeys(request.query.get("room", ())))
        told = request.headers.get("last-event-id") or request.first("lastEventId") or ""
        places = _since(told, len(rooms))
        return [Join(room, since) for room, since in zip(rooms, places, strict=True)]

    def decode(self, payload: bytes) -> list[Command]:
        raise AssertionError("an event stream takes no messages")

    def event(self, event: ServerEvent) -> bytes:
        return JSON.event(event)

    def around(self, event: Joined, places: int) -> tuple[bytes, bytes]:
        return JSON.around(event, places)

    def place(self, written: Message) -> bytes:
        return JSON.place(written)

    def answering(self, event: bytes, ref: Ref) -> bytes:
        raise AssertionError("an event stream takes no commands")

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        place = f"id: {position}\n".encode() if position else b""
        return place + b"data: " + JSON.payload(events) + b"\n\n"

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
