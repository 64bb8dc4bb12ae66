"""How far a room's messages have come: order, duplicates, gaps, and numbers given out twice.

Rules. Pure: no I/O, no clock, no room. A position takes places in any state of disorder and gives
them out once, in order. What is missing is said, not guessed: `take` stops at a gap, the owner
fetches what lies in it from the history and calls `fill`.

    LOADING --load--> LIVE --gap--> FILLING --fill--> LIVE

A position is (epoch, seq). The seq of an epoch counts 1, 2, 3...; another epoch means that the
room's state was lost and counting began again. Where nobody has spoken it is ("", 0): the first
epoch goes on from there, with nothing lost.

Danger: Redis may come back with the same epoch and a smaller seq (a failover loses what was not
yet replicated), and then numbers are given out twice. `mark`, the ID in the partition's stream
that belongs to the position, tells the second place of a number from a repetition of the first:
up to the mark everything is known, whatever lies behind it is new. Where nobody has a mark, the
time of a place tells it from another at the same number: see `vouch`. Of what was lost before it
was read a shard knows if it published that: then the number is acknowledged to it twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from msgspec import Struct, UnsetType

from chat.bus.entries import id_order
from chat.wire.schema import Gap, Sequenced

START: Final = b"0-0"
UNSPOKEN: Final = ""
"""The epoch of a room that nobody has spoken in; Redis keeps nothing of it."""
NOWHERE: Final = UNSPOKEN, 0


def vouch(places: Iterable[Sequenced], seq: int, ts: int) -> bool | None:
    """Whether what stands at `seq` is what was published at `ts`; None when no place is there.

    It is not when the number was given out again: places are compared by their time.
    """
    known = [place.ts == ts for place in places if place.seq == seq]
    return all(known) if known else None


def written(epoch: str, seq: int, ts: int | UnsetType) -> str:
    """A position as an event stream's id has it; without a time where that is not known."""
    return f"{epoch}-{seq}-{ts}" if ts else f"{epoch}-{seq}"


class Sync(Enum):
    """Whether a room is in step with Redis, so that its messages can be given out."""

    LOADING = auto()
    LIVE = auto()
    FILLING = auto()


class Arrival(Struct, gc=False):
    """An entry from the stream, before it is known to be next. `at` is the ID of its entry."""

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
    """What a fill gave: places in order, how many are lost for good, and what it spanned."""

    places: list[Sequenced]
    lost: int
    epoch: str
    new_epoch: bool
    after: int
    seq: int


def in_order(room: str, filled: Filled) -> list[Sequenced | Gap]:
    """What a fill means to members: its places, and a Gap wherever some are lost for good.

    A new epoch begins with a Gap even when nothing of it is lost: what is lost of the old one
    nobody knows. The first one of a room does not.
    """
    events: list[Sequenced | Gap] = []
    epoch, seq = filled.epoch, filled.after
    for place in filled.places:
        if place.seq > seq + 1:
            events.append(Gap(room, epoch, place.seq - 1, place.seq - seq - 1))
        events.append(place)
        seq = place.seq
    if filled.seq > seq:
        events.append(Gap(room, epoch, filled.seq, filled.seq - seq))
    if filled.new_epoch and not (events and isinstance(events[0], Gap)):
        events.insert(0, Gap(room, epoch, filled.after, 0))
    return events


class Position:
    """One room's, on one shard."""

    __slots__ = ("_acked", "_held", "_unread", "epoch", "mark", "seq", "sync")

    def __init__(self) -> None:
        self.sync = Sync.LOADING
        self.epoch = UNSPOKEN
        self.seq = 0
        self.mark = START
        self._acked = NOWHERE
        self._unread: set[int] = set()
        self._held: list[Arrival] = []

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @property
    def held_from(self) -> int:
        """The seq of what is held back first; 0 for nothing."""
        return self._held[0].seq if self._held else 0

    def load(self, epoch: str, seq: int, mark: bytes) -> Taken:
        """The room's state has come: it is live. `mark` is where its stream ended just then."""
        self.epoch, self.seq, self.mark = epoch, seq, mark
        return self._go_on()

    def acked(self, epoch: str, seq: int) -> bool:  # hot: once per message from this shard
        """A place to come was acknowledged: if Redis does not know it any more, it is lost. Whether
        another message's was, of the same number: the room has to be filled, with a new epoch."""
        if seq <= self.seq or self.sync is not Sync.LIVE:
            return False
        if epoch != self.epoch and not self._goes_on_in(epoch):
            return False
        if seq in self._unread:
            self.sync = Sync.FILLING
            return True
        self._unread.add(seq)
        if seq > self._acked[1]:
            self._acked = epoch, seq
        return False

    def take(self, arrivals: Sequence[Arrival]) -> Taken:
        """Sort out what came from the stream; advances over what is ready.

        At a gap, or in any phase but LIVE, the rest is held back until `load` or `fill`.
        """
        taken = Taken([], 0)
        for i, arrival in enumerate(arrivals):
            if self.sync is not Sync.LIVE:
                self._held.extend(arrivals[i:])
                break
            if arrival.seq == self.seq + 1 and arrival.epoch == self.epoch:
                self.seq, self.mark = arrival.seq, arrival.at
                taken.ready.append(arrival)
                if self._unread:
                    self._unread.discard(arrival.seq)
            elif id_order(arrival.at) <= id_order(self.mark):
                taken.duplicates += 1
            elif self.epoch == UNSPOKEN and arrival.seq == 1 and self._goes_on_in(arrival.epoch):
                self.epoch, self.seq, self.mark = arrival.epoch, 1, arrival.at
                taken.ready.append(arrival)
                self._unread.discard(1)
            else:
                taken.gap = True
                taken.rewound = arrival.epoch == self.epoch and arrival.seq <= self.seq
                self.sync = Sync.FILLING
                self._held.extend(arrivals[i:])
                break
        return taken

    def fill(
        self, epoch: str, seq: int, places: Sequence[Sequenced], mark: bytes, base: int = 0
    ) -> tuple[Filled, Taken]:
        """What the history has after the position, and what of the held comes behind that.

        The history's end is (epoch, seq), `mark` is as in `load`. `base` is the seq the epoch began
        at; what lies before it belonged to earlier ones. To who has seen nothing all of it is new.
        """
        first = self.epoch == UNSPOKEN
        new_epoch = not self._goes_on_in(epoch) or (first and base > 0)
        after = base if new_epoch and not first else self.seq
        missing = [place for place in places if place.seq > after]
        lost = max(0, seq - after - len(missing))
        self.epoch, self.seq, self.mark = epoch, max(after, seq), mark
        self._acked = NOWHERE
        self._unread.clear()
        filled = Filled(missing, lost, epoch, new_epoch, after, self.seq)
        return filled, self._go_on()

    def _goes_on_in(self, epoch: str) -> bool:
        """Whether nothing is lost when `epoch` comes next."""
        return self.known in (epoch, UNSPOKEN)

    def set_back(self, epoch: str, seq: int) -> bool:
        """Whether Redis, being at (epoch, seq), has fewer places of our epoch than there were."""
        return epoch == self.known != UNSPOKEN and seq < max(self.seq, self._acked[1])

    @property
    def known(self) -> str:
        """The room's epoch, which of one that is unspoken here an acknowledgement may have told."""
        return self._acked[0] if self.epoch == UNSPOKEN else self.epoch

    def _go_on(self) -> Taken:
        """Live, and take again what was held back."""
        self.sync = Sync.LIVE
        held, self._held = self._held, []
        return self.take(held)

    def confirm(
        self, epoch: str, seq: int, mark: bytes, ours: Sequenced | None, theirs: Sequenced | None
    ) -> bool | None:
        """Compare with where Redis says the room is, and with the place it has at our seq.

        None: all is well. Else the room has to be filled; True, with a new epoch, because Redis has
        given our numbers to other places, or is about to. A room that Redis does not know is at
        ("", 0).
        """
        if epoch == self.epoch:
            other = ours and theirs and vouch([theirs], ours.seq, ours.ts) is False
            if other or seq < self.seq:
                self.sync = Sync.FILLING
                return True
            if seq == self.seq and self._acked <= (epoch, seq):
                self.mark = mark
                return None
        self.sync = Sync.FILLING
        return False
