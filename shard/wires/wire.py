"""What a connection group asks of a wire.

Rules. A wire has no I/O and no clock, and keeps nothing of any connection: what is incomplete goes
back to the caller as a `partial`. A wire knows nothing of what messages mean.

A wire's parser yields events, (kind, bytes):

TEXT, BINARY  one whole message; a TEXT is valid UTF-8
REPLY         bytes to send back at once, in order
CLOSE         the peer ends the conversation; the bytes are for `Wire.close_reply`
ALIVE         a sign of life, nothing to do
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from pool.buffers import BufferPool

TEXT, BINARY, CLOSE, REPLY, ALIVE = 0x1, 0x2, 0x8, 0x9, 0xA

Event = tuple[int, bytes]


class Parser(Protocol):
    """The way in, for any number of connections of one wire."""

    def lone(self, data: memoryview, size: int) -> Event | None:
        """The one event of which `feed` would make the `size` bytes of `data`, where there is a
        short way to tell; else None. For a connection without a partial."""

    def feed(
        self, data: bytes | memoryview, partial: Any, most: int
    ) -> tuple[Iterable[Event], Any, int]:
        """Events of what came after `partial` (None: nothing), what is incomplete now, and how many
        frames were no message; parsing stops at the first beyond `most`.

        Going through the events may raise ProtocolError: the peer broke the protocol there.
        """

    def discard(self, partial: Any) -> None:
        """Give back what a partial has borrowed: its connection ends."""


class Refused(Exception):
    """A request that is not let in: HTTP status, what to mend, and further header lines."""

    def __init__(self, status: HTTPStatus, detail: str, *headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class Part:
    """A part of payloads that many have: written once, and packed once where a wire packs.

    packed  what the wire that packs it made of it; None: nothing yet
    """

    __slots__ = ("packed", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.packed: bytes | None = None


@dataclass(slots=True, frozen=True)
class Offer:
    """A kind of connection this server has: its place among all offers is its variant.

    One without a path is not asked for: connections become it.
    """

    path: str
    wire: "Wire"
    subprotocol: str = ""


Offers = Sequence[tuple[int, Offer]]
"""Those of one path, by preference, with their variants. The first is who asks for none."""


class Wire(Protocol):
    """One way to carry messages over a socket.

    ping           what asks the peer whether it lives, or keeps what lies between from hanging up
    answers_pings  whether silence after a ping means that the peer is dead
    half_closes    whether the peer's close is waited for after `farewell`
    """

    ping: bytes
    answers_pings: bool
    half_closes: bool

    def accept(self, headers: Mapping[str, str], offers: Offers) -> tuple[bytes, int, str]:
        """The response to a request for one of `offers`, its variant and its subprotocol.

        Raises Refused.
        """

    def parser(self, buffers: BufferPool, message_bytes: int) -> Parser:
        """The way in, with the largest message that is taken."""

    def wrap(self, payload: bytes, binary: bool = False) -> bytes:
        """One message, or one batch, as bytes for the socket."""

    def wrap_parts(
        self, before: bytes, parts: Sequence[Part], behind: bytes, binary: bool = False
    ) -> bytes:
        """One message as `wrap` does it, whose `parts` others have, too."""

    def farewell(self, code: int, reason: str = "") -> bytes:
        """The last bytes that are sent."""

    def close_reply(self, payload: bytes) -> tuple[int, bytes]:
        """The code in the peer's close, and the last bytes to answer it with."""
