"""The Centrifugal client protocol, version 2, as a dialect: JSON in text messages.

    {"id":1,"connect":{…}}\\n{"id":2,"subscribe":{…}}   ->
    <-   {"id":1,"connect":{…}}\\n{"id":2,"subscribe":{…}}
    <-   {"push":{"channel":"live:42","pub":{"data":{…},"offset":7}}}

Rules. A client introduces itself, and a message has several commands or replies, each a line. What
they mean is in `centrifugal_commands` and `centrifugal_replies`; here is what both forms have in
common, and the JSON. A message is written as one publication, whoever gets it.

Danger: a client's position is that of the last publication it was sent. So it is sent none behind a
hole, and is closed when something was left out: then it comes back and recovers.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec import UnsetType, structs

from chat.wire.batch import Shown, expand
from chat.wire.commands import Join, Since
from chat.wire.dialects.centrifugal_commands import asked, broken
from chat.wire.dialects.centrifugal_replies import data, for_viewers, refused, reply, subscribed
from chat.wire.dialects.centrifugal_schema import Command, Reply
from chat.wire.dialects.dialect import Dialect, Missed
from chat.wire.foreign import Asked, Told
from chat.wire.schema import (
    UNREADABLE,
    Bye,
    Clear,
    Delete,
    Joined,
    LeftOut,
    Message,
    Msg,
    Msgs,
    Ref,
    Removed,
    Sequenced,
    Shadowed,
    State,
)
from shard import frames
from shard.closecodes import CloseCode
from shard.handshake import Request

PATH: Final = "/connection/websocket"
HIDDEN: Final = (Removed, Shadowed, LeftOut)


class Centrifugal:
    """What both forms have in common. `wall` is seconds since 1970."""

    introduces = True
    watches = False
    missed = Missed.CLOSE
    pings = True
    unsaid = True
    places = False

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall

    def write(self, told: Reply) -> bytes:
        """A reply, to be joined by `payload`."""
        raise NotImplementedError

    def publication(self, place: Shown, epoch: str = "") -> bytes:
        """A place, as a push or an answer has it; with its epoch, where that may not be known."""
        raise NotImplementedError

    def pushes(self, room: str, written: list[bytes]) -> bytes:
        """Publications as pushes, to be joined by `payload`."""
        raise NotImplementedError

    def replies(self, event: bytes) -> Iterable[bytes]:
        """A written event as the replies and pushes it is made of, each as one event."""
        raise NotImplementedError

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        raise NotImplementedError

    def pieces(self, event: bytes, most: int) -> Sequence[bytes]:
        groups: list[list[bytes]] = [[]]
        size = 0
        for one in self.replies(event):
            if size and size + len(one) > most:
                groups.append([])
                size = 0
            groups[-1].append(one)
            size += len(one) + 1
        return [self.payload(group) for group in groups]

    def greeting(self) -> bytes:
        return b""

    def opening(self, request: Request) -> list[Join]:
        return []

    def farewell(self, bye: Bye) -> bytes:
        return b""

    def event(self, event: Told) -> bytes | None:
        match event:
            case Msgs(room, epoch, seq):
                # Who subscribed before anybody spoke was told of no epoch.
                first = epoch if seq == 1 else ""
                written = self._written(expand(room, epoch, event.m, seq), first)
                return self.pushes(room, written) if written else None
            case Delete() | Clear() | State():
                return self.pushes(event.room, self._written([event]))
            case Joined():
                return self.write(subscribed(event, None))
        told = reply(event, self._wall)
        return None if told is None else self.write(told)

    def _written(  # hot: once per batch of a room
        self, places: Iterable[Sequenced], epoch: str = ""
    ) -> list[bytes]:
        return [self.publication(place, epoch) for place in places if not isinstance(place, HIDDEN)]

    def joined(self, event: Joined, since: Since | None) -> bytes:
        return self.write(subscribed(event, since))

    def refusal(self, code: CloseCode, reason: str, ref: Ref | UnsetType) -> bytes:
        told = refused(code, ref)
        return b"" if told is None else self.write(told)


class CentrifugalJson(Centrifugal):
    """`/connection/websocket`, for who asks for no subprotocol; `protobuf` is for who asks for that
    by its address."""

    name = ""
    binary = False
    between = b","

    def __init__(self, protobuf: Dialect, wall: Callable[[], float]) -> None:
        super().__init__(wall)
        self._protobuf = protobuf
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Command).decode

    def asked_by(self, request: Request) -> Dialect:
        return self._protobuf if request.first("format") == "protobuf" else self

    def decode(self, payload: bytes) -> Sequence[Asked]:
        try:
            commands = [self._decode(line) for line in payload.strip(b"\n").split(b"\n")]
        except UNREADABLE:
            broken()
        return asked(commands)

    def write(self, told: Reply) -> bytes:
        return self._encode(told)

    def publication(self, place: Shown, epoch: str = "") -> bytes:
        user = b',"info":{"user":%b}' % self._encode(place.uid) if type(place) is Msg else b""
        of = b',"epoch":%b' % self._encode(epoch) if epoch else b""
        return b'{"data":%b%b,"offset":%d%b}' % (data(place), user, place.seq, of)

    def pushes(self, room: str, written: list[bytes]) -> bytes:
        before = b'{"push":{"channel":%b,"pub":' % self._encode(room)
        return b"\n".join([b"%b%b}}" % (before, one) for one in written])

    def replies(self, event: bytes) -> Iterable[bytes]:
        return event.split(b"\n")

    def place(self, written: Message, place: Shown) -> bytes:
        return b"" if isinstance(place, Removed) else self.publication(for_viewers(place))

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        whole = self.write(subscribed(structs.replace(event, history=[]), since))
        return whole[:-2] + b',"publications":[', b"]}}"

    def answering(self, event: bytes, ref: Ref) -> bytes:
        return b'{"id":%d,%b' % (int(ref), event[1:])

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return b"\n".join(events)


PING: Final = frames.encode(frames.TEXT, b"{}")
"""What asks a client whether it lives."""
