"""The API's bodies, typed. OpenAPI is made from these, requests are checked against them.

Rules. Types only. A field a message shares with the wire has the wire's type.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from chat.api.formats import Badge, Data, Name, Room, Text, Uid
from chat.policy.claims import AVATAR_PATTERN, MAX_AVATAR, MAX_BADGES, MAX_LEVEL
from chat.wire.schema import NORMAL_SIZE, WHITE, Color, Kind, MessageId, Mode, Msg, Size

MAX_TARGETS = 1000
MAX_PRODUCT = 20_000
"""Messages times rooms of one broadcast: what is published in about a second."""
MAX_NOTICES = 1000

SYSTEM = "system"


class MessageIn(Struct, forbid_unknown_fields=True):
    """A message to publish. The same `id` of the same `uid` is published once in five minutes.

    `priority` is 5 for chat and 8 for what has a `kind`, where none is said. After `ttl_s` seconds
    it is in no history any more. `data` is any JSON of up to 4096 bytes, delivered as it is.
    """

    text: Text
    name: Name = SYSTEM
    uid: Uid = SYSTEM
    color: Color = WHITE
    mode: Mode = "scroll"
    size: Size = NORMAL_SIZE
    kind: Kind | None = None
    id: MessageId | None = None
    avatar: Annotated[str, Meta(max_length=MAX_AVATAR, pattern=AVATAR_PATTERN)] = ""
    level: Annotated[int, Meta(ge=0, le=MAX_LEVEL)] = 0
    badges: Annotated[list[Badge], Meta(max_length=MAX_BADGES)] = []
    priority: Annotated[int, Meta(ge=0, le=9)] | None = None
    ttl_s: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None
    data: Data = None


class BroadcastIn(Struct, forbid_unknown_fields=True):
    """Messages for many rooms, for everyone connected, or for users wherever they are.

    Exactly one of `rooms`, `all`, `users`; exactly one of `message`, `messages`.
    """

    rooms: Annotated[list[Room], Meta(min_length=1, max_length=MAX_TARGETS)] | None = None
    all: bool = False
    users: Annotated[list[Uid], Meta(min_length=1, max_length=MAX_TARGETS)] | None = None
    message: MessageIn | None = None
    messages: Annotated[list[MessageIn], Meta(min_length=1)] | None = None


class Problem(Struct, omit_defaults=True):
    """One thing wrong with a request; `line` counts from 1 in a stream of lines."""

    message: str
    path: str = ""
    line: int | None = None


class Failure(Struct, omit_defaults=True):
    """Why a request was refused, and how much of it had been done before.

    `accepted` messages had been published; of a stream so many `lines` had been dealt with, and
    what stands behind them may be sent again. `retry_after` (seconds) stands where that helps.
    """

    code: str
    message: str
    problems: list[Problem] = []
    accepted: int = 0
    lines: int | None = None
    retry_after: float | None = None


class FailureOut(Struct):
    error: Failure


class PublishedOut(Struct, omit_defaults=True):
    """What was published: seqs `first` to `last` of the room, in `epoch`.

    `rejected` lines of a stream were not; at most a hundred of them are listed.
    """

    accepted: int
    duplicates: int
    epoch: str | None = None
    first: int | None = None
    last: int | None = None
    rejected: int = 0
    problems: list[Problem] = []


class BroadcastOut(Struct, omit_defaults=True):
    """`accepted` messages, or `notices` for everyone or for users, with their IDs."""

    accepted: int = 0
    duplicates: int = 0
    notices: list[str] = []


class RoomOut(Struct):
    """A room's viewers on all nodes, as summed every few seconds.

    `peak` is the most at once, `peak_at` when that was (ms since 1970), `unique` how many users and
    guests have been there, to 1 %. They are kept until `rooms.history_ttl_s` after the last viewer;
    for half a minute where nobody has spoken.
    """

    room: str
    online: int
    peak: int
    peak_at: int | None
    unique: int


class RoomsOut(Struct):
    rooms: list[RoomOut]


class RoomDetailOut(RoomOut):
    """And how far its messages have come; `likes` are all there were, by kind."""

    epoch: str
    seq: int
    likes: dict[str, int]


class RemovedOut(Struct, tag_field="t", tag="removed"):
    """Where a message stood that was taken back."""

    seq: int
    removed: Literal[True] = True


class HistoryOut(Struct):
    """Messages oldest first; `next` is the `after` of the next page, null on the last.

    Of what was taken back there is the place. What is no message is left out, so a page may be
    short or empty and not be the last.
    """

    room: str
    epoch: str
    seq: int
    messages: list[Msg | RemovedOut]
    next: int | None = None
