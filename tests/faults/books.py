"""What both sides write down while a fault is under way: the producers' book, a viewer's log.

Rules. Records only. A message is its producer number, a whole number that is used once in a run;
what takes a place and is no message has the number NOTHING. Times are seconds of one monotonic
clock, the harness'. A log is one viewer's in one room and is in the order in which things happened
to it; it is written by the viewer and read by `ledger`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

NOTHING: Final = -1
UNSPOKEN: Final = ""

Places = list[tuple[int, int]]
"""(seq, producer number), as they came."""


class Place(NamedTuple):
    """Where something stands in a room. One that nobody has spoken in is at seq 0 of UNSPOKEN."""

    epoch: str
    seq: int

    def in_epoch(self, epoch: str) -> "Place":
        """The same position as `epoch` counts it, if that is the first of an unspoken room."""
        return Place(epoch, self.seq) if self.epoch == UNSPOKEN else self


class Ack(NamedTuple):
    """A message was acknowledged: where it is, when it was first sent, when the answer came."""

    number: int
    place: Place
    sent: float
    at: float


class Line(NamedTuple):
    """What a message is beside its number: who says it, whether it is more than chat, and what it
    says where many say the same ("": it is merged with nothing)."""

    uid: str
    above: bool = False
    chant: str = ""


class Taking(NamedTuple):
    """Messages were to be taken back: the one at `place`, or all so far of `uid`. When that was
    done; infinite where nobody said so."""

    place: Place | None
    uid: str
    done: float


class Refusal(NamedTuple):
    """A message that was sent once was refused: when it was sent, when the answer came."""

    sent: float
    at: float


@dataclass
class Book:
    """What its producers know of one room.

    sent     every number that was ever sent
    resent   those that were sent more than once, under one message id
    acks     acknowledgements, in the order they came; one number may have several
    refused  numbers that were sent once, and refused
    in_turn  numbers by producer, each sent after the one before it was acknowledged
    lines    what is known of a number beside that
    takings  what was to be taken back

    budget   the room shows only so many a second; merges: and as one what many say alike
    """

    sent: set[int] = field(default_factory=set)
    resent: set[int] = field(default_factory=set)
    acks: list[Ack] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)
    in_turn: dict[str, list[int]] = field(default_factory=dict)
    lines: dict[int, Line] = field(default_factory=dict)
    takings: list[Taking] = field(default_factory=list)
    budget: bool = False
    merges: bool = False

    @property
    def crowded(self) -> bool:
        """Whether viewers may be shown less than there is."""
        return self.budget or self.merges

    @property
    def set_back(self) -> set[str]:
        """Epochs in which a place was given to more than one message."""
        given: dict[Place, int] = {}
        return {
            ack.place.epoch
            for ack in self.acks
            if given.setdefault(ack.place, ack.number) != ack.number
        }

    def takings_of(self, ack: Ack) -> Iterator[Taking]:
        """Those that a message was to be taken back by."""
        line = self.lines.get(ack.number)
        for taking in self.takings:
            theirs = taking.place is None and line is not None and line.uid == taking.uid
            if taking.place == ack.place or (theirs and ack.sent < taking.done):
                yield taking


class Joined(NamedTuple):
    """A `joined`, and the position the viewer had asked from."""

    at: float
    place: Place
    since: Place | None
    recovered: bool
    history: Places


class Live(NamedTuple):
    """A batch, or an event that takes a place of its own: the places `seq` to `to`. `merged` has
    the seqs of those that stand for more than one, with how many; `at` is when it came, where
    nothing else says so."""

    epoch: str
    seq: int
    to: int
    places: Places
    merged: Sequence[tuple[int, int]] = ()
    at: float = 0.0


class Shed(NamedTuple):
    """A frame is over: what it said of this room's batches in it, that up to `seq` so many messages
    were left out; 0, 0 where it said nothing."""

    at: float
    seq: int
    left_out: int


class Gap(NamedTuple):
    """A `gap`: `lost` messages up to `place` are gone (0: nobody knows how many)."""

    at: float
    place: Place
    lost: int


class Hole(NamedTuple):
    """What came did not follow, and nobody had said so: it was not taken, and the viewer asked."""

    at: float
    place: Place


class Stalled(NamedTuple):
    """From here on the viewer reads too slowly, until this connection ends."""

    at: float


class Cut(NamedTuple):
    """The connection is over."""

    at: float


class Odd(NamedTuple):
    """Something a server must never do, in words."""

    at: float
    what: str


Item = Joined | Live | Shed | Gap | Hole | Stalled | Cut | Odd
Log = list[Item]
