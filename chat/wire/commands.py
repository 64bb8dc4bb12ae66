"""Commands: what a client may send, typed, one schema for all dialects.

Rules. As in `schema`: types only, names are the wire's, limits that are not configurable are here.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chat.config.sections import LikeKind
from chat.wire.schema import (
    LIKE,
    NORMAL_SIZE,
    SCROLL,
    WHITE,
    Color,
    Kind,
    MessageId,
    Mode,
    Ref,
    Size,
)

Whole = Annotated[int, Meta(ge=0, le=2**53)]


class Since(Struct, frozen=True, order=True, omit_defaults=True):
    """The last message of a room a client has: it wants what came after.

    `ts` is that message's, by which it is told from another one that was given its number; 0 where
    the client does not know it.
    """

    epoch: str
    seq: Whole
    ts: Whole = 0


class Join(Struct, tag_field="t", tag="join", frozen=True):
    room: str
    since: Since | None = None
    ref: Ref | UnsetType = UNSET


class Leave(Struct, tag_field="t", tag="leave", frozen=True):
    room: str
    ref: Ref | UnsetType = UNSET


MAX_PAGE = 100


class History(Struct, tag_field="t", tag="history", frozen=True):
    """What stood in a room before a place, or before what is newest."""

    room: str
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 50
    ref: Ref | UnsetType = UNSET


class Send(Struct, tag_field="t", tag="send", frozen=True):
    room: str
    text: str
    color: Color = WHITE
    mode: Mode = SCROLL
    size: Size = NORMAL_SIZE
    id: MessageId | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET


class Auth(Struct, tag_field="t", tag="auth", frozen=True):
    """By a user's token, or by the key a guest was given; the token counts where both are. `name`
    is one that a guest chooses."""

    token: str | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    guest: str | UnsetType = UNSET
    name: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.token is UNSET and self.guest is UNSET and self.name is UNSET:
            raise ValueError("auth needs a token, a guest's key or a guest's name")


class Ping(Struct, tag_field="t", tag="ping", frozen=True):
    ref: Ref | UnsetType = UNSET


Action = Literal["mute", "unmute", "ban", "unban", "kick", "delete", "clear", "settings"]
Silence = Literal["none", "all", "user", "vip", "moderator", "owner", "admin"]
"""Who may still type: everybody, nobody below the staff, or those of a least role."""


class Moderate(Struct, tag_field="t", tag="moderate", frozen=True, forbid_unknown_fields=True):
    """A moderator's action in a room; which fields it takes, the docs' table of actions says. One
    that is misspelt is not passed over: a mute without its `seconds` is for good."""

    room: str
    action: Action
    ref: Ref | UnsetType = UNSET
    uid: str | UnsetType = UNSET
    seconds: Annotated[int, Meta(ge=1, le=315_360_000)] | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=1, le=2**53)] | UnsetType = UNSET
    slow_s: Annotated[int, Meta(ge=0, le=86_400)] | UnsetType = UNSET
    silence: Silence | UnsetType = UNSET
    no_repeats_s: Annotated[int, Meta(ge=0, le=86_400)] | UnsetType = UNSET
    min_role: Literal["guest", "user", "vip", "moderator"] | UnsetType = UNSET
    pinned: Annotated[int, Meta(ge=1, le=2**53)] | UnsetType | None = UNSET
    announcement: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET
    messages_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    shown_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    merge_duplicates: bool | UnsetType = UNSET
    join_notices: bool | UnsetType = UNSET


class Report(Struct, tag_field="t", tag="report", frozen=True):
    """A viewer asks those who judge it to look at the message at `seq`, of `epoch` if named."""

    room: str
    seq: Annotated[int, Meta(ge=1, le=2**53)]
    reason: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    epoch: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


class Like(Struct, tag_field="t", tag="like", frozen=True):
    """`count` likes of a room, as many as were given since the last: one command a second does."""

    room: str
    kind: LikeKind = LIKE
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    ref: Ref | UnsetType = UNSET


Command = Join | Leave | Send | Auth | Ping | Moderate | Report | History | Like
COMMANDS = frozenset(
    {"join", "leave", "send", "auth", "ping", "moderate", "report", "history", "like"}
)
MEAN_NULL = frozenset({"pinned", "announcement"})
"""Fields of commands in which null is not as good as nothing: it takes away what is there."""
