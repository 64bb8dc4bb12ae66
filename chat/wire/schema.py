"""Everything that crosses the wire, typed: commands in, events out, one schema for both codecs.

Rules. Types only, no behaviour. Field names are the wire's. Optional fields are left out, never
null, unless null means something. Limits that are configurable (text length, room names) are
checked by the hub, which answers with their own error codes; limits that are not are here.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

VERSION = 1
WHITE = 0xFFFFFF
NORMAL_SIZE = 25

Ref = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]
"""Whatever a client numbers its commands with; the answer carries it back."""
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
Color = Annotated[int, Meta(ge=0, le=0xFFFFFF)]
Size = Annotated[int, Meta(ge=12, le=64)]
Mode = Literal["scroll", "top", "bottom", "reverse"]
Kind = Literal["system", "gift", "superchat"]


class ErrorCode(StrEnum):
    """Why a command was refused."""

    BAD_REQUEST = "bad_request"
    UNKNOWN_COMMAND = "unknown_command"
    BAD_ROOM = "bad_room"
    TOO_MANY_ROOMS = "too_many_rooms"
    NOT_JOINED = "not_joined"
    TEXT_EMPTY = "text_empty"
    TEXT_TOO_LONG = "text_too_long"
    RATE_LIMITED = "rate_limited"
    READ_ONLY = "read_only"
    UNAVAILABLE = "unavailable"


# --- client to server ------------------------------------------------------------------------


class Since(Struct, frozen=True):
    """The last message of a room a client has: it wants what came after."""

    epoch: str
    seq: Annotated[int, Meta(ge=0, le=2**53)]


class Join(Struct, tag_field="t", tag="join", frozen=True):
    room: str
    since: Since | None = None
    ref: Ref | UnsetType = UNSET


class Leave(Struct, tag_field="t", tag="leave", frozen=True):
    room: str
    ref: Ref | UnsetType = UNSET


class Send(Struct, tag_field="t", tag="send", frozen=True):
    room: str
    text: str
    color: Color = WHITE
    mode: Mode = "scroll"
    size: Size = NORMAL_SIZE
    id: MessageId | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET


class Ping(Struct, tag_field="t", tag="ping", frozen=True):
    ref: Ref | UnsetType = UNSET


Command = Join | Leave | Send | Ping
COMMANDS = frozenset({"join", "leave", "send", "ping"})


class Head(Struct):
    """What an answer to a command that could not be read needs to know of it."""

    t: msgspec.Raw = msgspec.Raw(b"")
    ref: msgspec.Raw = msgspec.Raw(b"")


# --- server to client ------------------------------------------------------------------------


class Welcome(Struct, tag_field="t", tag="welcome"):
    conn: str
    uid: str
    name: str
    role: str
    heartbeat: int
    v: int = VERSION


class Msg(Struct, tag_field="t", tag="msg"):
    """One message; `id` is "epoch-seq", `ts` milliseconds since 1970 of its publishing."""

    room: str
    seq: int
    id: str
    uid: str
    name: str
    text: str
    color: int
    mode: str
    size: int
    ts: int
    kind: str | UnsetType = UNSET


class State(Struct):
    """A room's rules as far as a viewer must know them."""

    slow: float = 0
    silenced: bool = False
    pinned: Msg | None = None


class Joined(Struct, tag_field="t", tag="joined"):
    """`seq` is the room's position: all messages with a greater one follow."""

    room: str
    epoch: str
    seq: int
    online: int
    recovered: bool
    history: list[Msg]
    state: State
    ref: Ref | UnsetType = UNSET


class Left(Struct, tag_field="t", tag="left"):
    room: str
    ref: Ref | UnsetType = UNSET


class Ack(Struct, tag_field="t", tag="ack"):
    room: str
    seq: int
    id: str
    ts: int
    ref: Ref | UnsetType = UNSET


class Error(Struct, tag_field="t", tag="error"):
    """A command was refused; `retry_after` seconds stands where trying again helps."""

    code: ErrorCode
    message: str
    ref: Ref | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET


class Online(Struct, tag_field="t", tag="online"):
    room: str
    count: int


class Gap(Struct, tag_field="t", tag="gap"):
    """`lost` messages could not be recovered (0: nobody knows how many); go on after `seq`."""

    room: str
    epoch: str
    seq: int
    lost: int


class Notice(Struct, tag_field="t", tag="notice"):
    """To everyone or to one user, in no room."""

    id: str
    scope: str
    name: str
    text: str
    color: int
    ts: int
    kind: str | UnsetType = UNSET


class Pong(Struct, tag_field="t", tag="pong"):
    ref: Ref | UnsetType = UNSET


class Bye(Struct, tag_field="t", tag="bye"):
    reason: str
    reconnect_in: float


ServerEvent = Welcome | Msg | Joined | Left | Ack | Error | Online | Gap | Notice | Pong | Bye
