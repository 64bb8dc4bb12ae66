"""What the hub asks of a dialect.

Rules. A dialect has no I/O, keeps nothing of any connection, and decides nothing: it translates.
Events are written one by one and joined, so that what many viewers share is written once.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import UNSET, UnsetType

from chat.wire.commands import Command, Join
from chat.wire.schema import Bye, ErrorCode, Joined, Message, Ref, ServerEvent
from shard.handshake import Request


class BadCommand(Exception):
    """A payload that is no command; `ref` is the client's number for it, if it could be read."""

    def __init__(self, code: ErrorCode, message: str, ref: Ref | UnsetType = UNSET) -> None:
        super().__init__(message)
        self.code = code
        self.ref = ref


class Dialect(Protocol):
    """One way of speaking.

    name        what a client calls it, as the subprotocol it asks for; "" for one without a name
    binary      which kind of message it comes and goes in
    introduces  whether a client says who it is in its first message, not in its request: until
                then it is told nothing
    watches     whether a client can only watch: a request that cannot be served whole is refused,
                and who misses something is sent away to come back with its position
    between     what stands between the places of a history
    places      whether every batch carries the viewer's position, for it to come back with
    """

    name: str
    binary: bool
    introduces: bool
    watches: bool
    places: bool
    between: bytes

    def greeting(self) -> bytes:
        """What comes before every event, as bytes for the wire."""

    def opening(self, request: Request) -> list[Join]:
        """What a client asks for by its request."""

    def decode(self, payload: bytes) -> list[Command]:
        """The commands in one message. Raises BadCommand."""

    def event(self, event: ServerEvent) -> bytes | None:
        """One event, to be joined by `payload`; None where there is no word for it."""

    def answering(self, event: bytes, ref: Ref) -> bytes:
        """A written event that has no `ref`, as the answer to the command with that one."""

    def around(self, event: Joined, places: int) -> tuple[bytes, bytes]:
        """An event without a history, in two: so many `place`s are to stand between, each but the
        first behind a `between`."""

    def place(self, written: Message) -> bytes:
        """One place of a history."""

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        """Events as one payload; `position` is what `places` means, "" where it is as before."""

    def farewell(self, bye: Bye) -> bytes:
        """The payload that tells a client to come back later."""
