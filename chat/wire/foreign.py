"""What only dialects that are not ours ask for or are told: it has no name on our own wire.

Rules. As in `schema`: types only, in our words. `Asked` and `Told` are all there is, in whichever
dialect.
"""

from enum import Enum, auto
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from chat.wire.commands import Command, Join, Leave, Since
from chat.wire.schema import ErrorCode, Ref, Sequenced, ServerEvent


class Connect(Struct, frozen=True):
    """Who comes: the first message of a dialect whose clients introduce themselves.

    room     where to, if it says so: one that can be no room is no way in
    speaks   the dialect that is spoken from here on, over the same wire; None: as before
    retries  whether a client whose token has expired goes by itself, or says another one
    """

    token: str | None = None
    guest: str | None = None
    name: str | None = None
    ref: Ref | UnsetType = UNSET
    room: str = ""
    speaks: Any = None
    retries: bool = False


class Alive(Struct, frozen=True):
    """The answer of a client that was asked whether it lives. It gets none."""

    ref: UnsetType = UNSET


class Unheard(Struct, frozen=True):
    """What is said to nobody here. It gets no answer, and counts as any command does."""

    ref: UnsetType = UNSET


class Subscribe(Join, frozen=True, kw_only=True):
    """A join, once: without a position it is refused to who is in the room already.

    token  what lets this very user in, where it has one
    """

    token: str | None = None


class Move(Join, frozen=True):
    """Leave every room one is in, and join this one."""


class Unsubscribe(Leave, frozen=True):
    """A leave that is no mistake of who is in the room no more."""


class Renew(Struct, frozen=True):
    """A newer token for a room one is in."""

    room: str
    token: str
    ref: Ref | UnsetType = UNSET


class Read(Struct, frozen=True):
    """Places of a room one is in: the first behind `since`, or the last before it; without it, from
    the end they are read from. No places where `limit` is 0."""

    room: str
    limit: int = 0
    since: Since | None = None
    backwards: bool = False
    ref: Ref | UnsetType = UNSET


class LeaveAll(Struct, frozen=True):
    """Leave every room one is in. It is answered as a `ping` is."""

    ref: Ref | UnsetType = UNSET


class Stats(Struct, frozen=True):
    """How many are in a room one is in; None: in the first of them, nobody where there is none."""

    room: str | None = None
    ref: Ref | UnsetType = UNSET


class Beat(Stats, frozen=True):
    """A sign of life that is answered by how many are there. It counts as no command, as long as
    there are not far more of them than anybody needs."""


class Invalid(Struct, frozen=True):
    """A command that cannot be carried out, among others that can."""

    code: ErrorCode
    message: str
    ref: Ref | UnsetType = UNSET


class Counted(Struct, frozen=True):
    """How many are in a room: the answer to Stats."""

    room: str = ""
    online: int = 0
    ref: Ref | UnsetType = UNSET


class Excerpt(Struct):
    """What was read, in the order it was asked for; the room is at (epoch, seq)."""

    room: str
    epoch: str
    seq: int
    places: list[Sequenced]
    ref: Ref | UnsetType = UNSET


class Renewed(Struct):
    """A room's newer token is good."""

    room: str
    ref: Ref | UnsetType = UNSET


class Fault(Enum):
    """Why a command was refused, where our own wire has no code for it."""

    JOINED_ALREADY = auto()
    TOKEN_EXPIRED = auto()
    OTHER_EPOCH = auto()


class Declined(Struct):
    """A command was refused."""

    fault: Fault
    message: str
    ref: Ref | UnsetType = UNSET


Asked = (
    Command
    | Connect
    | Alive
    | Unheard
    | Subscribe
    | Move
    | Unsubscribe
    | Renew
    | Read
    | LeaveAll
    | Stats
    | Beat
    | Invalid
)
Told = ServerEvent | Counted | Excerpt | Renewed | Declined
