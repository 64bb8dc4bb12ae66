"""What travels in a stream entry: a place in a room without its number, a notice, or a control that
is for shards; packed small.

Rules. MessagePack arrays, the kind first, then fields by position; a new field goes at the end with
a default, older entries lack it and newer ones may have more. Each kind is packed and read here and
nowhere else. The place (room, epoch, seq) is not in an entry, because the publish script assigns
that and does not look inside.

Danger: anybody who reaches Redis can append to a stream. Whatever is not one of our entries raises
BadEntry, here, before it gets among messages that are written together.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final
from unicodedata import normalize

import msgspec
from msgspec import UNSET, Struct

from chat.wire.data import data_problem
from chat.wire.schema import (
    CHAT_PRIORITY,
    UNREADABLE,
    Clear,
    Delete,
    Msg,
    Notice,
    Sequenced,
    Shadowed,
    State,
)


class BadEntry(Exception):
    """Bytes that are no entry of ours."""


class Said(Struct, array_like=True, tag="m", gc=False, frozen=True):
    """A message. `ts`, here and below, is milliseconds since 1970, as is `until`, from which on it
    is not shown any more (0: for ever). `data` None is none."""

    uid: str
    name: str
    text: str
    color: int
    mode: str
    size: int
    ts: int
    kind: str | None = None
    avatar: str = ""
    level: int = 0
    badges: tuple[str, ...] = ()
    shadowed: bool = False
    priority: int = CHAT_PRIORITY
    until: int = 0
    data: Any = None

    def at(self, room: str, epoch: str, seq: int) -> Msg | Shadowed:
        """The event it is at its place; likewise below."""
        if self.data is not None and (problem := data_problem(self.data)) is not None:
            raise ValueError(problem)
        msg = Msg(
            room,
            seq,
            f"{epoch}-{seq}",
            self.uid,
            self.name,
            self.text,
            self.color,
            self.mode,
            self.size,
            self.ts,
            UNSET if self.kind is None else self.kind,
            self.avatar or UNSET,
            self.level or UNSET,
            self.badges or UNSET,
            UNSET if self.data is None else self.data,
            UNSET if self.priority == CHAT_PRIORITY else self.priority,
            self.until or UNSET,
        )
        return Shadowed(msg) if self.shadowed else msg

    def content(self) -> tuple[Any, ...]:
        """What was sent: not who, nor when; likewise below."""
        said = self.text, self.color, self.mode, self.size, self.kind
        return said if self.data is None else (*said, self.data)


class Deleted(Struct, array_like=True, tag="d", gc=False, frozen=True):
    """The message at `target` is taken back."""

    target: int
    ts: int

    def at(self, room: str, epoch: str, seq: int) -> Delete:
        return Delete(room, seq, self.target, self.ts)

    def content(self) -> tuple[Any, ...]:
        return (self.target,)


class Cleared(Struct, array_like=True, tag="c", gc=False, frozen=True):
    """All messages before this place are taken back, or those of one user."""

    uid: str | None
    ts: int

    def at(self, room: str, epoch: str, seq: int) -> Clear:
        return Clear(room, seq, self.ts, UNSET if self.uid is None else self.uid)

    def content(self) -> tuple[Any, ...]:
        return (self.uid,)


class Ruled(Struct, array_like=True, tag="s", frozen=True):
    """The room's rules from here on, whole."""

    state: dict[str, Any]
    ts: int

    def at(self, room: str, epoch: str, seq: int) -> State:
        # MessagePack can say more than every dialect can write; of that some is a TypeError here.
        if msgspec.json.decode(msgspec.json.encode(self.state)) != self.state:
            raise ValueError("rules that are no JSON")
        return State(room, seq, self.ts, self.state)

    def content(self) -> tuple[Any, ...]:
        return (self.state,)


Entry = Said | Deleted | Cleared | Ruled
"""What takes a place in a room."""


class Noticed(Struct, array_like=True, tag="n", gc=False, frozen=True):
    """A notice for `users`, or for everyone; in no room."""

    users: list[str] | None
    name: str
    text: str
    color: int
    ts: int
    kind: str | None = None

    def event(self, notice_id: str) -> Notice:
        """The event it is; a notice has its stream entry's ID."""
        scope = "all" if self.users is None else "user"
        kind = UNSET if self.kind is None else self.kind
        return Notice(notice_id, scope, self.name, self.text, self.color, self.ts, kind)


class Changed(Struct, array_like=True, tag="r", gc=False, frozen=True):
    """Rules have changed: fields of their hash as they are now, None for one that is gone.

    fetch  fields that are too large to be said here
    """

    fields: dict[str, bytes | None]
    fetch: list[str] = []


class Disconnected(Struct, array_like=True, tag="k", gc=False, frozen=True):
    """All connections of a user are to be closed, to come back after so many seconds."""

    uid: str
    reason: str
    reconnect_in: float


class Inquired(Struct, array_like=True, tag="q", gc=False, frozen=True):
    """Every shard is to say which connections of a user it has; `inquiry` is where.

    addresses  whether it is to say from where they came
    room       where their roles are asked about; "" everywhere
    like       instead: which users it has with this in uid or name, in any case; `uid` is "" then
    """

    inquiry: str
    uid: str
    addresses: bool = False
    room: str = ""
    like: str = ""


class Replaced(Struct, array_like=True, tag="o", gc=False, frozen=True):
    """Newer connections have the users of these, by their names."""

    conns: list[str]


class Liked(Struct, array_like=True, tag="l", gc=False, frozen=True):
    """How often a room was liked by now, by kind. `lua/likes.lua` packs it, which has the sums."""

    totals: dict[str, int]


class Arrived(Struct, array_like=True, tag="j", gc=False, frozen=True):
    """So many viewers of one shard came into a room in a second; the names of the first few."""

    count: int
    names: list[str]


Control = Changed | Disconnected | Inquired | Replaced | Liked | Arrived
"""What is for shards, not for viewers: it takes no place, and is in no history."""


_encode: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder().encode
pack: Final[Callable[[Entry | Noticed | Control], bytes]] = _encode
"""An entry as bytes for a stream."""

_entry: Final[Callable[[bytes], Entry]] = msgspec.msgpack.Decoder(Entry).decode
_broadcast: Final[Callable[[bytes], Noticed | Control]] = msgspec.msgpack.Decoder(
    Noticed | Control
).decode


def read(packed: bytes, room: str, epoch: str, seq: int) -> Sequenced:
    """An entry at its place. Raises BadEntry."""
    try:
        return _entry(packed).at(room, epoch, seq)
    except (TypeError, *UNREADABLE) as error:
        raise BadEntry(str(error)) from None


def digest(packed: bytes) -> str:
    """16 digits that are the same for entries of the same content. Raises BadEntry."""
    try:
        content = _entry(packed).content()
    except UNREADABLE as error:
        raise BadEntry(str(error)) from None
    return blake2b(_encode(content), digest_size=8).hexdigest()


def likeness(packed: bytes) -> str:
    """16 digits that are the same for messages which a reader takes for the same text: in any case,
    width and spacing. "" for what is no message of any text. Raises BadEntry."""
    try:
        entry = _entry(packed)
    except UNREADABLE as error:
        raise BadEntry(str(error)) from None
    if not isinstance(entry, Said) or not entry.text:
        return ""
    return blake2b(folded(entry.text).encode(), digest_size=8).hexdigest()


def folded(text: str) -> str:
    """What is the same for texts that a reader takes for the same, as above."""
    return "".join(normalize("NFKC", normalize("NFKC", text).casefold()).split())


def read_broadcast(packed: bytes) -> Noticed | Control:
    """An entry that takes no place, of everywhere or of a room. Raises BadEntry."""
    try:
        return _broadcast(packed)
    except UNREADABLE as error:
        raise BadEntry(str(error)) from None


def id_order(entry_id: bytes) -> tuple[int, int]:
    """A stream entry's ID as something that can be compared."""
    ms, _, serial = entry_id.partition(b"-")
    return int(ms), int(serial)
