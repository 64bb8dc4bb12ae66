"""What only dialects that are not ours ask for or are told: it has no name on our own wire.

Rules. As in `schema`: types only, in our words. `Asked` and `Told` are all there is, in whichever
dialect.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from chat.wire.commands import Command
from chat.wire.schema import ErrorCode, Ref, ServerEvent


class Connect(Struct, frozen=True):
    """Who comes: the first message of a dialect whose clients introduce themselves.

    speaks  the dialect that is spoken from here on, over the same wire; None: as before
    """

    token: str | None = None
    guest: str | None = None
    name: str | None = None
    ref: Ref | UnsetType = UNSET
    speaks: Any = None


class LeaveAll(Struct, frozen=True):
    """Leave every room one is in. There is no answer."""

    ref: Ref | UnsetType = UNSET


class Stats(Struct, frozen=True):
    """How many are in a room one is in; None: in the first of them, nobody where there is none."""

    room: str | None = None
    ref: Ref | UnsetType = UNSET


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


Asked = Command | Connect | LeaveAll | Stats | Invalid
Told = ServerEvent | Counted
