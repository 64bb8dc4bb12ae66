"""Whatever a connection sends and in whatever pieces, its events are those of the whole, up to
where it sent more that is no message than its bucket holds, and nothing is kept when it is over.

The flags choose the wire.
"""

from dataclasses import dataclass, field
from typing import Final

from shard.closecodes import CloseCode, ProtocolError
from shard.frames import BINARY, CONT, PING, PONG, TEXT
from shard.inbound import BURST_S, Inbound
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import ALIVE, CLOSE, REPLY, Event, Offer
from tests.fuzz import sentence
from tests.fuzz.splits import pack, unpack
from tests.shard.parsing import LIMIT, MANY
from tests.shard.wire import client_frame, close_frame

INVARIANT: Final = sentence(__doc__)

OFFERS: Final = [
    Offer("/ws", WebSocket()),
    Offer("/ws", WebSocket(deflated=True)),
    Offer("/sse", EventStream()),
]
FD: Final = 5
PER_S: Final = 1


@dataclass
class Heard:
    """Events, and the code with which they ended, if they did."""

    events: list[Event] = field(default_factory=list)
    code: int | None = None


def check(data: bytes) -> None:
    flags, pieces = unpack(data)
    variant = flags % len(OFFERS)
    whole = hear([b"".join(pieces)], variant, MANY)
    split = hear(pieces, variant, PER_S)
    told = sum(kind in (REPLY, ALIVE) for kind, _ in split.events)
    assert told <= PER_S * BURST_S, "more than the bucket holds"
    if split.code == CloseCode.FLOODING:
        assert split.events == whole.events[: len(split.events)]
    else:
        assert split == whole, f"other events in {[*map(len, pieces)]}"


def hear(pieces: list[bytes], variant: int, per_s: int) -> Heard:
    """All that is read of one connection, until it is over."""
    inbound, heard = Inbound(OFFERS, LIMIT, per_s), Heard()
    try:
        for piece in filter(None, pieces):
            scratch = inbound.scratch[: len(piece)]
            scratch[:] = piece
            for event in inbound.events(FD, variant, scratch):
                heard.events.append(event)
            if heard.events and heard.events[-1][0] == CLOSE:
                break
    except ProtocolError as error:
        heard.code = int(error.code)
    inbound.forget(FD, variant)
    assert not inbound.partials
    assert not inbound._buckets
    assert not inbound.buffers.on_loan
    return heard


SEEDS: Final = [
    b"",
    pack(client_frame(TEXT, b"Hello") + client_frame(PING, b"?"), 3, 9, 2),
    pack(client_frame(PING) * 14, 18, 30),
    pack(client_frame(PONG) * 5 + client_frame(TEXT, b"a", fin=False) + client_frame(PONG) * 5, 30),
    pack(client_frame(TEXT, fin=False) + client_frame(CONT, fin=False) * 12, 6, 6, 24),
    pack(client_frame(BINARY, b"x" * 200), 1, 1, 1, 1, 1, 1, 1),
    pack(client_frame(PING) * 4 + client_frame(BINARY, b"x" * 9)[:-1], *[1] * 7),
    pack(client_frame(TEXT, b"\xca\x49\x04\x00", rsv=0x40) + close_frame(1000), 4, flags=1),
    pack(b"\x81\x05Hello", 1),
    pack(client_frame(BINARY, b"x" * (LIMIT + 1)), 90),
    pack(b"anything", 1, 2, 3, flags=2),
]
