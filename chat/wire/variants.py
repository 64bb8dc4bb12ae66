"""The kinds of connections there are: which wire carries which dialect, and whether it deflates.

Rules. One table. A connection's variant is its record's place in it; nobody reckons with that
number. To add a way of speaking is to add a record.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from chat.config.sections import Server
from chat.wire.dialects import goim
from chat.wire.dialects.centrifugal import PATH, PING, CentrifugalJson
from chat.wire.dialects.centrifugal_protobuf import PING as PROTOBUF_PING
from chat.wire.dialects.centrifugal_protobuf import CentrifugalProtobuf
from chat.wire.dialects.centrifugal_replies import closing
from chat.wire.dialects.dialect import Dialect
from chat.wire.dialects.eventstream import EVENT_STREAM
from chat.wire.dialects.native import JSON, MSGPACK
from shard.handshake import Terms
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer, Part, Wire


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of connection.

    path    where it is asked for; "" for one that a connection only becomes
    shared  whether a room's members all get the same bytes; else those in the same rooms do
    """

    path: str
    wire: Wire
    dialect: Dialect
    shared: bool = True

    def frame(self, events: Sequence[bytes], position: str = "") -> bytes:
        """Written events as bytes for the socket."""
        dialect = self.dialect
        return self.wire.wrap(dialect.payload(events, position), dialect.binary)

    def wrap(self, payload: bytes) -> bytes:
        """A payload of the dialect as bytes for the socket."""
        return self.wire.wrap(payload, self.dialect.binary)

    def wrap_parts(self, before: bytes, parts: Sequence[Part], behind: bytes) -> bytes:
        """As `wrap`, of a payload with parts that others have, too."""
        return self.wire.wrap_parts(before, parts, behind, self.dialect.binary)


SSE_PATH: Final = "/sse"
DANMAKU: Final = "danmaku"
SSE: Final = "sse"
GOIM_PATH: Final = "/sub"
GOIM: Final = "goim"
CENTRIFUGAL: Final = "centrifugal"


class Variants:
    """The kinds one server has, by number. `wall` is seconds since 1970, for who is told how long a
    token is good."""

    def __init__(self, server: Server, wall: Callable[[], float] = lambda: 0.0) -> None:
        records: list[Variant] = []
        if DANMAKU in server.dialects:
            wires = [WebSocket(), WebSocket(deflated=True)] if server.compression else [WebSocket()]
            for dialect in (JSON, MSGPACK):
                records += [Variant(server.path, wire, dialect) for wire in wires]
        if SSE in server.dialects:
            wire = EventStream()
            records.append(Variant(SSE_PATH, wire, EVENT_STREAM))
            records.append(Variant("", wire, EVENT_STREAM, shared=False))
        if GOIM in server.dialects:
            socket = WebSocket()
            first, *others = goim.dialects(server.goim_room)
            records.append(Variant(GOIM_PATH, socket, first))
            records += [Variant("", socket, dialect) for dialect in others]
        if CENTRIFUGAL in server.dialects:
            records += _centrifugal(server.compression, wall)
        self._records = tuple(records)
        self.terms = Terms(
            [Offer(one.path, one.wire, one.dialect.name) for one in records], server.origins
        )
        self.by_dialect: dict[Dialect, list[int]] = {}
        for number, one in enumerate(records):
            self.by_dialect.setdefault(one.dialect, []).append(number)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Variant:
        return self._records[number]

    def __iter__(self) -> Iterator[Variant]:
        return iter(self._records)

    def speaking(self, number: int, dialect: Dialect) -> int:
        """What a connection of that variant becomes that speaks another dialect over its wire, or
        one that reads the same."""
        wire = self._records[number].wire
        return next(n for n in self.by_dialect[dialect] if _reads(self._records[n].wire, wire))

    def unshared(self, number: int) -> int:
        """What a connection becomes that is in several rooms and needs its position in all."""
        dialect = self._records[number].dialect
        return next(n for n in self.by_dialect[dialect] if not self._records[n].shared)


def _reads(one: Wire, other: Wire) -> bool:
    """Whether what comes in by one wire may go on by the other."""
    if isinstance(one, WebSocket) and isinstance(other, WebSocket):
        return one.deflated == other.deflated
    return one is other


def _centrifugal(compression: bool, wall: Callable[[], float]) -> list[Variant]:
    """JSON first: it is what a client gets that asks for nothing."""
    protobuf = CentrifugalProtobuf(wall)
    kinds = (CentrifugalJson(protobuf, wall), PING), (protobuf, PROTOBUF_PING)
    return [
        Variant(PATH, WebSocket(deflated, ping=ping, closing=closing), dialect)
        for dialect, ping in kinds
        for deflated in ((False, True) if compression else (False,))
    ]
