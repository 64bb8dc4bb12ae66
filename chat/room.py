"""A room on one shard: who of this shard is in it, and how far its messages have come.

Rules. No I/O, no clock, no sockets: members are numbers, time is not needed. A room takes messages
in any state of disorder and gives them out once, in order. What is missing is said, not guessed:
`take` stops at a gap, the owner fetches what lies in it from the history and calls `fill`.

    LOADING --load--> LIVE --gap--> FILLING --fill--> LIVE

Position = (epoch, seq). The seq of an epoch counts 1, 2, 3...; another epoch means that the room's
state was lost and counting began again.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from msgspec import UnsetType

from chat.schema import Msg, Ref


class Phase(Enum):
    """Whether a room's messages can be given out."""

    LOADING = auto()
    LIVE = auto()
    FILLING = auto()


@dataclass(slots=True)
class Arrival:
    """A message from the stream, before its place in the room is known to be next."""

    epoch: str
    seq: int
    entry: bytes


@dataclass(slots=True)
class Taken:
    """What became of arrivals: those that are next, and how many were seen before."""

    ready: list[Arrival]
    duplicates: int
    gap: bool


@dataclass(slots=True)
class Filled:
    """What a fill gave: messages in order, and how many are lost for good (before them)."""

    messages: list[Msg]
    lost: int
    new_epoch: bool


@dataclass(slots=True)
class Waiting:
    """A connection that asked to join and has no answer yet."""

    fd: int
    generation: int
    since: tuple[str, int] | None
    ref: Ref | UnsetType


@dataclass(slots=True)
class Snapshot:
    """An encoded `joined` event that many joins share."""

    seq: int
    online: int
    encoded: bytes


@dataclass(slots=True, eq=False)
class Room:
    """`members` are descriptors by variant; `recent` the newest messages, oldest first."""

    name: str
    partition: int
    variants: int
    keep: int
    phase: Phase = Phase.LOADING
    epoch: str = ""
    seq: int = 0
    members: tuple[set[int], ...] = ()
    recent: deque[Msg] = field(default_factory=deque)
    waiting: list[Waiting] = field(default_factory=list)
    held: list[Arrival] = field(default_factory=list)
    snapshots: list[Snapshot | None] = field(default_factory=list)
    elsewhere: int = 0
    announced: int = 0
    empty_since: int = 0
    alone: tuple["Room", ...] = ()

    def __post_init__(self) -> None:
        self.members = tuple(set() for _ in range(self.variants))
        self.recent = deque(maxlen=self.keep)
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

    def load(self, epoch: str, seq: int, messages: Sequence[Msg]) -> None:
        """The room's state has come: it is live."""
        self.epoch, self.seq = epoch, seq
        self.recent.clear()
        self.recent.extend(messages)
        self.phase = Phase.LIVE

    def take(self, arrivals: Sequence[Arrival]) -> Taken:
        """Sort out what came from the stream; advances the position over what is ready.

        At a gap, or in any phase but LIVE, the rest is held back until `load` or `fill`.
        """
        ready: list[Arrival] = []
        duplicates = 0
        for i, arrival in enumerate(arrivals):
            if self.phase is not Phase.LIVE:
                self.held.extend(arrivals[i:])
                break
            if arrival.epoch == self.epoch and arrival.seq <= self.seq:
                duplicates += 1
            elif arrival.epoch == self.epoch and arrival.seq == self.seq + 1:
                self.seq = arrival.seq
                ready.append(arrival)
            else:
                self.phase = Phase.FILLING
                self.held.extend(arrivals[i:])
                break
        return Taken(ready, duplicates, self.phase is Phase.FILLING and bool(self.held))

    def fill(self, epoch: str, seq: int, messages: Sequence[Msg]) -> Filled:
        """Messages after the position, fetched from the history, whose end is (epoch, seq)."""
        new_epoch = epoch != self.epoch
        after = 0 if new_epoch else self.seq
        missing = [message for message in messages if message.seq > after]
        first = missing[0].seq if missing else seq + 1
        lost = max(0, first - after - 1)
        self.epoch = epoch
        self.seq = max(after, seq)
        if lost or new_epoch:
            self.recent.clear()
        self.recent.extend(missing)
        self.phase = Phase.LIVE
        return Filled(missing, lost, new_epoch)

    def release(self) -> Taken:
        """Take again what was held back while the room was loading or filling."""
        held, self.held = self.held, []
        # What came from another epoch before the room's own state was read is history.
        return self.take([arrival for arrival in held if arrival.epoch == self.epoch])

    def missed(self, since: tuple[str, int]) -> list[Msg] | None:
        """The messages after `since`, or None when the recent ones do not reach back so far."""
        epoch, seq = since
        if epoch != self.epoch:
            return None
        if seq >= self.seq:
            return []
        if not self.recent or self.recent[0].seq > seq + 1:
            return None
        return [message for message in self.recent if message.seq > seq]
