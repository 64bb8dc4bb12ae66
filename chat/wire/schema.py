"""Everything that crosses the wire, typed: commands in, events out, one schema for all dialects.

Rules. Types only, no behaviour. Field names are the wire's. Optional fields are left out, never
null, unless null means something; in a Message whatever is default is left out too. Limits that are
configurable (text length, room names) are `policy`'s, which answers with their own error codes;
limits that are not are here.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

VERSION = 1
GUEST = "guest"
"""The role of who came without a token, and how its uid begins."""
WHITE = 0xFFFFFF
NORMAL_SIZE = 25

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading bytes may raise: text that is not UTF-8 is a ValueError, deep nesting the last."""

Ref = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]
"""Whatever a client numbers its commands with; the answer carries it back."""
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
Color = Annotated[int, Meta(ge=0, le=0xFFFFFF)]
Size = Annotated[int, Meta(ge=12, le=64)]
Mode = Literal["scroll", "top", "bottom", "reverse"]
SCROLL: Mode = "scroll"
Kind = Literal["system", "gift", "superchat"]
LIKE = "like"
"""The kind of a like that says none."""
MOST_NAMES = 5
"""Names in a join notice: as many as a line has room for."""
CHAT_PRIORITY = 5
"""Of 0 to 9: that of what people type. What is above it is never left out."""
STAFF_PRIORITY = 6
KIND_PRIORITY = 8


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
    FORBIDDEN = "forbidden"
    BANNED = "banned"
    MUTED = "muted"
    SILENCED = "silenced"
    SLOW_MODE = "slow_mode"
    REPEATED = "repeated"
    WORD_REFUSED = "word_refused"
    ROOM_BUSY = "room_busy"
    ID_REUSED = "id_reused"
    UNAVAILABLE = "unavailable"


class Welcome(Struct, tag_field="t", tag="welcome"):
    """`guest` is the key by which a guest comes back as who it is; `ref` and `expires` (seconds
    since 1970, 0 for never) stand where a command introduced the client."""

    conn: str
    uid: str
    name: str
    role: str
    heartbeat: int
    v: int = VERSION
    guest: str | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    expires: int | UnsetType = UNSET


class Authed(Struct, tag_field="t", tag="authed"):
    """Who the connection is from now on; `expires` in seconds since 1970."""

    uid: str
    name: str
    role: str
    expires: int
    ref: Ref | UnsetType = UNSET


class Msg(Struct, tag_field="t", tag="msg"):
    """One message, whole: as HTTP and our clients give it, and as everything here handles it.

    id        "epoch-seq"; ts: milliseconds since 1970 of its publishing
    data      what a backend attached, any JSON
    priority  0 to 9 where it is not that of chat; until: milliseconds since 1970 from which on it
              is not shown any more. Neither is told to viewers
    times     how many said it at once, where these are shown as one
    """

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
    avatar: str | UnsetType = UNSET
    level: int | UnsetType = UNSET
    badges: tuple[str, ...] | UnsetType = UNSET
    data: Any = UNSET
    priority: int | UnsetType = UNSET
    until: int | UnsetType = UNSET
    times: int | UnsetType = UNSET


class Delete(Struct, tag_field="t", tag="delete"):
    """The message `target` is taken back."""

    room: str
    seq: int
    target: int
    ts: int


class Clear(Struct, tag_field="t", tag="clear"):
    """All messages so far are taken back, or all of one user."""

    room: str
    seq: int
    ts: int
    uid: str | UnsetType = UNSET


class State(Struct, tag_field="t", tag="state"):
    """The room's rules, whole, as they are from here on."""

    room: str
    seq: int
    ts: int
    state: dict[str, Any]


class Removed(Struct, tag_field="t", tag="removed"):
    """Where a message stood that was taken back. Its `ts` is not written: clients have 0."""

    room: str
    seq: int
    ts: int = 0


class _Hidden:
    """A message that only its sender is to see. It takes a place like any other, and to all others
    it is a hole in the numbers. No Struct: where one is about to be written, that fails."""

    __slots__ = ("msg", "room", "seq", "ts")

    def __init__(self, msg: Msg) -> None:
        self.msg = msg
        self.room, self.seq, self.ts = msg.room, msg.seq, msg.ts


@final
class Shadowed(_Hidden):
    """Hidden for what it says: nobody else is told that there was something."""

    __slots__ = ()


@final
class LeftOut(_Hidden):
    """Hidden because more is said than can be read: everybody is told how many there were. Only in
    what is given out live; a history has the message."""

    __slots__ = ()


Sequenced = Msg | Delete | Clear | State | Removed | Shadowed | LeftOut
"""What takes a place in a room: numbered without a hole, kept in the history."""
Batched = Msg | Removed | Shadowed | LeftOut
"""What goes out in a batch; anything else is an event of its own."""


class Message(Struct):
    """A place in a room as it is written in a batch or a history: only what cannot be known.

    `seq` is left out where it is one more than that of the place before, `name` where it is the
    uid's default, colour, mode and size where they are those of a Send without. What is no message
    says so in `t`, with the fields of that event. One that was taken back has `seq` and `removed`.
    """

    seq: int | UnsetType = UNSET
    uid: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    color: int | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    ts: int | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    t: str | UnsetType = UNSET
    target: int | UnsetType = UNSET
    state: dict[str, Any] | UnsetType = UNSET
    avatar: str | UnsetType = UNSET
    level: int | UnsetType = UNSET
    badges: tuple[str, ...] | UnsetType = UNSET
    removed: bool | UnsetType = UNSET
    times: int | UnsetType = UNSET
    data: Any = UNSET


class Msgs(Struct, tag_field="t", tag="msgs"):
    """Messages in order: the places `seq` to `to` of a room, as far as they are for this viewer."""

    room: str
    epoch: str
    seq: int
    to: int
    m: list[Message]


class Joined(Struct, tag_field="t", tag="joined"):
    """`seq` is the room's position: all messages with a greater one follow.

    state  the room's rules as of that position, whole; with `muted_until` (milliseconds since 1970,
           0 for good) where this viewer is muted
    ts     that of what stands at `seq`, where it is known
    role   this viewer's in the room, where it is another than everywhere
    likes  how often the room was liked, in all, by kind; where it was
    """

    room: str
    epoch: str
    seq: int
    online: int
    recovered: bool
    history: list[Message]
    ref: Ref | UnsetType = UNSET
    state: dict[str, Any] | UnsetType = UNSET
    ts: int | UnsetType = UNSET
    role: str | UnsetType = UNSET
    likes: dict[str, int] | UnsetType = UNSET


class Paged(Struct, tag_field="t", tag="history"):
    """A page of a room's history, oldest first; `more` stands before it. No position changes."""

    room: str
    epoch: str
    history: list[Message]
    more: bool
    ref: Ref | UnsetType = UNSET


class Left(Struct, tag_field="t", tag="left"):
    """The answer to a leave; with a `reason`, the viewer was sent out."""

    room: str
    ref: Ref | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Muted(Struct, tag_field="t", tag="muted"):
    """This viewer is muted in a room until then, in milliseconds since 1970, 0 for good; without
    `until`, not any more. `uid` is this viewer's."""

    room: str
    until: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    uid: str | UnsetType = UNSET


class Done(Struct, tag_field="t", tag="done"):
    """A moderator's action is done, and holds on every node; a viewer's report is in the queue, its
    like is counted."""

    room: str
    action: str
    ref: Ref | UnsetType = UNSET


class Expiring(Struct, tag_field="t", tag="expiring"):
    """The token ends in so many seconds; a newer one, by `auth`, keeps the connection."""

    in_s: int


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


class Likes(Struct, tag_field="t", tag="likes"):
    """How often a room was liked, in all, by kind."""

    room: str
    counts: dict[str, int]


class Joins(Struct, tag_field="t", tag="joins"):
    """So many came into a room lately; the names of the first few."""

    room: str
    count: int
    names: list[str]
    kind: str = "join"


Aside = Online | Likes | Joins
"""What a room is told beside its messages: it takes no place, and the next one says it all."""


class Gap(Struct, tag_field="t", tag="gap"):
    """`lost` messages could not be recovered (0: nobody knows how many); go on after `seq`."""

    room: str
    epoch: str
    seq: int
    lost: int


class Shed(Struct, tag_field="t", tag="shed"):
    """Up to `seq`, the display budget left out `count` messages of what the frame covers."""

    room: str
    seq: int
    count: int


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


ServerEvent = (
    Welcome
    | Authed
    | Msgs
    | Delete
    | Clear
    | State
    | Joined
    | Paged
    | Left
    | Muted
    | Done
    | Expiring
    | Ack
    | Error
    | Online
    | Likes
    | Joins
    | Gap
    | Shed
    | Notice
    | Pong
    | Bye
)
