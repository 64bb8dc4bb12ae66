"""What the hub asks of a dialect.

Rules. A dialect has no I/O, keeps nothing of any connection, and decides nothing: it translates.
Events are written one by one and joined, so that what many viewers share is written once.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from msgspec import UNSET, UnsetType

from chat.wire.batch import Shown
from chat.wire.commands import (
    Join,
    Since,
)
from chat.wire.foreign import Asked, Told
from chat.wire.schema import (
    Bye,
    ErrorCode,
    Joined,
    Message,
    Ref,
)
from shard.closecodes import CloseCode
from shard.handshake import Request


class BadCommand(Exception):
    """A payload that is no command; `ref` is the client's number for it, if it could be read.

    closes  what the connection is closed with, in a dialect that has no answer to it
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        ref: Ref | UnsetType = UNSET,
        closes: CloseCode | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.ref = ref
        self.closes = closes


class Missed(Enum):
    """What is done for a client that reads again, after something was left out for it."""

    SHOW = "it is shown each room's newest place again: it sees what it misses, and resumes"
    CLOSE = "it is sent away, to come back with its position"
    IGNORE = "it has no positions: what is gone is gone"


class Dialect(Protocol):
    """One way of speaking.

    name        what a client calls it, as the subprotocol it asks for; "" for one without a name
    binary      which kind of message it comes and goes in
    introduces  whether a client says who it is in its first message, not in its request: until
                then it is told nothing
    watches     whether a client can only watch: a request that cannot be served whole is refused
    missed      what is done for who missed something
    pings       whether a client is promised pings, and gives up without them
    between     what stands between the places of a history
    unsaid      whether a client learns a room's epoch only when it joins: to it an unspoken one has
                one, too
    places      whether every batch carries the viewer's position, for it to come back with
    """

    name: str
    binary: bool
    introduces: bool
    watches: bool
    missed: Missed
    pings: bool
    unsaid: bool
    places: bool
    between: bytes

    def greeting(self) -> bytes:
        """What comes before every event, as bytes for the wire."""

    def opening(self, request: Request) -> list[Join]:
        """What a client asks for by its request."""

    def asked_by(self, request: Request) -> "Dialect":
        """The dialect that a request is for, over the same wire: mostly this one."""

    def decode(self, payload: bytes) -> Sequence[Asked]:
        """The commands in one message. Raises BadCommand."""

    def event(self, event: Told) -> bytes | None:
        """One event, to be joined by `payload`; None where there is no word for it."""

    def answering(self, event: bytes, ref: Ref) -> bytes:
        """A written event that has no `ref`, as the answer to the command with that one."""

    def joined(self, event: Joined, since: Since | None) -> bytes | None:
        """The answer to a join with that position. None as for `event`."""

    def around(self, event: Joined, since: Since, places: int, size: int) -> tuple[bytes, bytes]:
        """The answer to a join, without its history, in two: so many `place`s are to stand between,
        each but the first behind a `between`, of `size` bytes in all."""

    def place(self, written: Message, place: Shown) -> bytes:
        """One place of a history, which is `written` behind the one before it. Empty where there is
        no word for it."""

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        """Events as one payload; `position` is what `places` means, "" where it is as before."""

    def pieces(self, event: bytes, most: int) -> Sequence[bytes]:
        """A written event as events of `most` bytes each, in order, as far as it can be cut."""

    def farewell(self, bye: Bye) -> bytes:
        """The payload that tells a client to come back later; empty where the close says it."""

    def refusal(self, code: CloseCode, reason: str, ref: Ref | UnsetType) -> bytes:
        """The payload that answers an introduction that fails, before the close; or empty."""
