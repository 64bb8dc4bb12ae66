"""A room on one shard: who of this shard is in it, and how far its messages have come.

Rules. No I/O, no clock, no sockets: members are numbers, time is not needed. A room takes messages
in any state of disorder and gives them out once, in order. What is missing is said, not guessed:
`take` stops at a gap, the owner fetches what lies in it from the history and calls `fill`.

    LOADING --load--> LIVE --gap--> FILLING --fill--> LIVE

Position = (epoch, seq). The seq of an epoch counts 1, 2, 3...; another epoch means that the room's
state was lost and counting began again.

Danger: Redis may come back with the same epoch and a smaller seq (a failover loses what was not
yet replicated), and then numbers are given out twice. `mark`, the place in the partition's stream
that belongs to the position, tells the second message of a number from a repetition of the first:
up to the mark everything is known, whatever lies behind it is new.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from msgspec import UnsetType

from chat.bus.entries import id_order
from chat.wire.schema import Gap, Msg, Ref

START: Final = b"0-0"


class Phase(Enum):
    """Whether a room's messages can be given out."""

    LOADING = auto()
    LIVE = auto()
    FILLING = auto()


@dataclass(slots=True)
class Arrival:
    """A message from the stream, before its place in the room is known to be next.

    `at` is the ID of its stream entry.
    """

    epoch: str
    seq: int
    entry: bytes
    at: bytes


@dataclass(slots=True)
class Taken:
    """What became of arrivals: those that are next, and how many were seen before.

    gap      something is missing that was not missing before: fetch it, then `fill`
    rewound  Redis counts again what it had counted: the room needs a new epoch first
    """

    ready: list[Arrival]
    duplicates: int
    gap: bool = False
    rewound: bool = False


@dataclass(slots=True)
class Filled:
    """What a fill gave: messages in order, how many are lost for good, and from where it began."""

    messages: list[Msg]
    lost: int
    new_epoch: bool
    after: int


@dataclass(slots=True)
class Waiting:
    """A connection that asked to join and has no answer yet.

    `patient` ones asked by their address when they connected: they have no command to try again,
    so they wait until the room can be had.
    """

    fd: int
    generation: int
    since: tuple[str, int] | None
    ref: Ref | UnsetType
    patient: bool = False
    told: bool = False


@dataclass(slots=True)
class Snapshot:
    """An encoded `joined` event that many joins share."""

    seq: int
    online: int
    encoded: bytes


@dataclass(slots=True, eq=False)
class Room:
    """`members` are descriptors by variant; `recent` the newest messages, oldest first.

    keep      how many messages those who join are shown
    resuming  joins for which the history is being read
    """

    name: str
    partition: int
    variants: int
    keep: int
    phase: Phase = Phase.LOADING
    epoch: str = ""
    seq: int = 0
    mark: bytes = START
    members: tuple[set[int], ...] = ()
    recent: deque[Msg] = field(default_factory=deque)
    waiting: list[Waiting] = field(default_factory=list)
    held: list[Arrival] = field(default_factory=list)
    snapshots: list[Snapshot | None] = field(default_factory=list)
    resuming: int = 0
    elsewhere: int = 0
    announced: int = 0
    empty_since: int = 0
    alone: tuple["Room", ...] = ()

    def __post_init__(self) -> None:
        self.members = tuple(set() for _ in range(self.variants))
        # One at least: it is what Redis' idea of the position is compared with.
        self.recent = deque(maxlen=max(1, self.keep))
        self.snapshots = [None] * self.variants
        # What a connection in this room only is listed under: shared, so it costs nothing.
        self.alone = (self,)

    @property
    def local(self) -> int:
        """Members on this shard."""
        return sum(map(len, self.members))

    @property
    def online(self) -> int:
        """Members on all shards, the others' as last reported."""
        return self.elsewhere + self.local

    @property
    def idle(self) -> bool:
        """Whether nobody is here and nothing is under way."""
        return not (self.local or self.waiting or self.resuming or self.phase is not Phase.LIVE)

    @property
    def newest(self) -> list[Msg]:
        """What those who join are shown."""
        return list(self.recent) if self.keep else []

    def load(self, epoch: str, seq: int, messages: Sequence[Msg], mark: bytes) -> None:
        """The room's state has come: it is live. `mark` is where its stream ended just then."""
        self.epoch, self.seq, self.mark = epoch, seq, mark
        self._remember_only(messages)
        self.phase = Phase.LIVE

    def take(self, arrivals: Sequence[Arrival]) -> Taken:
        """Sort out what came from the stream; advances the position over what is ready.

        At a gap, or in any phase but LIVE, the rest is held back until `load` or `fill`.
        """
        taken = Taken([], 0)
        for i, arrival in enumerate(arrivals):
            if self.phase is not Phase.LIVE:
                self.held.extend(arrivals[i:])
                break
            if arrival.seq == self.seq + 1 and arrival.epoch == self.epoch:
                self.seq, self.mark = arrival.seq, arrival.at
                taken.ready.append(arrival)
            elif id_order(arrival.at) <= id_order(self.mark):
                taken.duplicates += 1
            else:
                taken.gap = True
                taken.rewound = arrival.epoch == self.epoch and arrival.seq <= self.seq
                self.phase = Phase.FILLING
                self.held.extend(arrivals[i:])
                break
        return taken

    def fill(
        self, epoch: str, seq: int, messages: Sequence[Msg], mark: bytes, base: int = 0
    ) -> Filled:
        """What the history has after the position, and at least its `keep` newest messages.

        Its end is (epoch, seq), `mark` is as in `load`. `base` is the seq the epoch began at; what
        lies before it belonged to earlier ones.
        """
        new_epoch = epoch != self.epoch
        after = base if new_epoch else self.seq
        missing = [message for message in messages if message.seq > after]
        lost = max(0, seq - after - len(missing))
        self.epoch, self.seq, self.mark = epoch, max(after, seq), mark
        self._remember_only(messages)
        self.phase = Phase.LIVE
        return Filled(missing, lost, new_epoch, after)

    def release(self) -> Taken:
        """Take again what was held back while the room was loading or filling."""
        held, self.held = self.held, []
        return self.take(held)

    def missed(self, since: tuple[str, int]) -> list[Msg] | None:
        """The messages after `since`, or None when they are not all among the recent ones.

        None, too, for a position ahead of this one: this shard may be late, or Redis set back.
        """
        epoch, seq = since
        if epoch != self.epoch:
            return None
        found = [message for message in self.recent if message.seq > seq]
        return found if len(found) == self.seq - seq else None

    def _remember_only(self, messages: Sequence[Msg]) -> None:
        self.recent.clear()
        self.recent.extend(messages)
        self.snapshots = [None] * self.variants


def in_order(room: Room, filled: Filled) -> list[Msg | Gap]:
    """What a fill means to members: its messages, and a Gap wherever some are lost for good.

    A new epoch begins with a Gap even when nothing of it is lost: what is lost of the old one
    nobody knows.
    """
    events: list[Msg | Gap] = []
    seq = filled.after
    for message in filled.messages:
        if message.seq > seq + 1:
            events.append(Gap(room.name, room.epoch, message.seq - 1, message.seq - seq - 1))
        events.append(message)
        seq = message.seq
    if room.seq > seq:
        events.append(Gap(room.name, room.epoch, room.seq, room.seq - seq))
    if filled.new_epoch and not (events and isinstance(events[0], Gap)):
        events.insert(0, Gap(room.name, room.epoch, filled.after, 0))
    return events
