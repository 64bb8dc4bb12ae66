"""The bodies of moderation, typed: what is ordered, and what is true afterwards.

Rules. As in `models`: types only. A field a moderator's command has too has the command's type.
Times are milliseconds since 1970; `until` is 0 for what holds for good.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chat.api.formats import Uid
from chat.policy.words import Kind, WordList
from chat.wire.commands import Silence
from chat.wire.schema import Msg

Seconds = Annotated[int, Meta(ge=1, le=315_360_000)]
Reason = Annotated[str, Meta(max_length=200)]
Wait = Annotated[int, Meta(ge=0, le=86_400)]
PerSecond = Annotated[int, Meta(ge=0, le=1_000_000)]
MAX_OWNERS = 100
WordsIn = Annotated[
    dict[str, Any], Meta(extra_json_schema={"allOf": [{"$ref": "#/components/schemas/WordList"}]})
]
"""Lists of words, each of which `wording` looks at."""


class SanctionIn(Struct, forbid_unknown_fields=True):
    """For how long, and why; without `seconds` for good."""

    seconds: Seconds | None = None
    reason: Reason | None = None


class KickIn(Struct, forbid_unknown_fields=True):
    """Whom, and why."""

    uid: Uid
    reason: Reason | None = None


class SettingsIn(Struct, forbid_unknown_fields=True):
    """What is to change. `null` takes the pinned message or the announcement down.

    pinned  the seq of a message; owners: all of them; words: all lists; reason: for the audit
    """

    slow_s: Wait | UnsetType = UNSET
    silence: Silence | UnsetType = UNSET
    no_repeats_s: Wait | UnsetType = UNSET
    min_role: Literal["guest", "user", "vip", "moderator"] | UnsetType = UNSET
    pinned: Annotated[int, Meta(ge=1, le=2**53)] | UnsetType | None = UNSET
    announcement: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET
    messages_per_s: PerSecond | UnsetType = UNSET
    shown_per_s: PerSecond | UnsetType = UNSET
    merge_duplicates: bool | UnsetType = UNSET
    join_notices: bool | UnsetType = UNSET
    owners: Annotated[list[Uid], Meta(max_length=MAX_OWNERS)] | UnsetType = UNSET
    words: WordsIn | UnsetType = UNSET
    reason: Reason | UnsetType | None = UNSET


class SettingsOut(Struct):
    """A room's settings, whole. `pinned` is the message as it was pinned; `words` are told to who
    may moderate."""

    room: str
    slow_s: int
    silence: str
    no_repeats_s: int
    min_role: str
    pinned: dict[str, Any] | None
    announcement: str | None
    messages_per_s: int
    shown_per_s: int
    merge_duplicates: bool
    join_notices: bool
    owners: list[str]
    words: WordList | UnsetType = UNSET


class MuteOut(Struct, omit_defaults=True):
    """Whether a user is muted now, in a room or everywhere, and until when."""

    uid: str
    muted: bool
    room: str | None = None
    until: int | None = None


class BanOut(Struct, omit_defaults=True):
    """Likewise of bans."""

    uid: str
    banned: bool
    room: str | None = None
    until: int | None = None


class AddressBanOut(Struct, omit_defaults=True):
    """Likewise of an address or network."""

    address: str
    banned: bool
    until: int | None = None


class Sanctioned(Struct, omit_defaults=True):
    """A mute or ban that holds, and by whom it was made."""

    uid: str
    until: int
    reason: str = ""
    by: str = ""


class AddressBanned(Struct, omit_defaults=True):
    """Likewise of an address or network."""

    address: str
    until: int
    reason: str = ""
    by: str = ""


class MutesOut(Struct):
    """Who is muted, by uid. `next` is the `after` of the next page, null on the last.

    What has ended is left out, so a page may be short or empty and not be the last.
    """

    mutes: list[Sanctioned]
    next: str | None = None


class BansOut(Struct):
    """Who is banned; otherwise like mutes."""

    bans: list[Sanctioned]
    next: str | None = None


class AddressBansOut(Struct):
    """Which addresses and networks are banned; otherwise like mutes."""

    bans: list[AddressBanned]
    next: str | None = None


class KickOut(Struct):
    """The user is out of the room, on every node, and may come back in a while."""

    room: str
    uid: str
    kicked: bool


class TakenBackOut(Struct):
    """The message is gone from every history."""

    room: str
    seq: int
    removed: bool


class ClearedOut(Struct, omit_defaults=True):
    """The messages so far are gone from every history: all, or those of one user."""

    room: str
    cleared: bool
    uid: str | None = None


class ConnectionOut(Struct, omit_defaults=True):
    """One connection: its name, as its `welcome` said it, the shard it is on, its rooms.

    `address` is the viewer's, where it was asked for.
    """

    conn: str
    shard: str
    role: str
    rooms: list[str]
    address: str | None = None


class RoomSanction(Struct, omit_defaults=True):
    """A mute or ban of a user; without a room, everywhere."""

    until: int
    room: str | None = None
    reason: str = ""
    by: str = ""


class UserOut(Struct):
    """A user, on all nodes. Of many connections not all are listed; `count` has them all.

    `rooms` are those of all listed connections. `answered` of the `known` shards have said what
    they have of the user; `complete` when all have. Mutes and bans are those of everywhere and of
    the rooms the user is in.
    """

    uid: str
    count: int
    connections: list[ConnectionOut]
    rooms: list[str]
    mutes: list[RoomSanction]
    bans: list[RoomSanction]
    complete: bool
    answered: int
    known: int


class DisconnectedOut(Struct):
    """The user's connections are closed, on every node; `count` is how many were found just before,
    by `answered` of the `known` shards."""

    uid: str
    count: int
    complete: bool
    answered: int
    known: int


class ListChange(Struct):
    """What became of a list of words: how many of them are new, are gone, are on it now."""

    added: int
    removed: int
    now: int


class AuditEntryOut(Struct, omit_defaults=True):
    """Something a moderator did, to whom or what, and why.

    `actor` is a uid, or the key by which it was done; `name` who was behind it. `via` is socket or
    api, `request` the latter's X-Request-Id. `settings` are those that were given.
    """

    id: str
    ts: int
    action: str
    actor: str = ""
    name: str = ""
    role: str = ""
    via: str = ""
    request: str = ""
    room: str | None = None
    uid: str | None = None
    address: str | None = None
    seq: int | None = None
    seconds: int | None = None
    reason: str | None = None
    settings: dict[str, Any] | None = None
    owners: list[str] | None = None
    words: dict[Kind, ListChange] | None = None


class AuditOut(Struct):
    """What moderators did, newest last; with `before` newest first. `next` is the `after`, or the
    `before`, of the next page."""

    entries: list[AuditEntryOut]
    next: str | None = None


class ReportOut(Struct, omit_defaults=True):
    """A message as it was when `reporter` reported it."""

    id: str
    ts: int
    reporter: str
    room: str
    seq: int
    message: Msg
    reason: str | None = None


class ReportsOut(Struct):
    """Reports nobody has dealt with, newest last. `next` is the `after` of the next page."""

    reports: list[ReportOut]
    next: str | None = None


class DealtOut(Struct):
    """The report is out of the queue; `found` is whether it was there."""

    id: str
    found: bool
