"""What a viewer may expect of a room's messages, checked by arithmetic.

Rules. Pure; no sockets, no Locust, no time. Within one epoch every seq is the one before plus 1.
`Position` finds gaps and repeats between messages. `Ledger` finds what arithmetic alone cannot: a
place that an answer or another viewer vouched for and that never came, and a place that is one
message to one viewer and another to the next.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

UNSPOKEN = ""
"""The epoch of a room until somebody speaks in it; the first real one goes on from there."""


@dataclass
class Position:
    """How far one viewer has come in one room.

    ts     that of the message it stands on, milliseconds; 0 where nobody said
    again  up to here places may come once more, until a newer one does: who comes back to a shard
           that has not read them yet is sent them when it has
    """

    epoch: str
    seq: int
    again: int = 0
    ts: int = 0

    def come_back(self) -> None:
        """The viewer joins again, with this position."""
        self.again = self.seq

    def jumps(self, epoch: str, seq: int) -> bool:
        """Whether the place `seq` of `epoch` is not what follows, so that something is missing."""
        return self.epoch not in (epoch, UNSPOKEN) or seq > self.seq + 1

    def see(self, epoch: str, seq: int, to: int = 0) -> str | None:
        """Move over places `seq` to `to` (0: that one) of `epoch`; what was wrong with them, if
        anything."""
        if self.epoch not in (epoch, UNSPOKEN):
            return f"of epoch {epoch}, which nobody told of"
        self.epoch = epoch
        last = to or seq
        if last <= self.again:
            return None
        first, self.again = max(seq, self.again + 1), 0
        expected, self.seq = self.seq + 1, max(self.seq, last)
        if first > expected:
            return f"gap of {first - expected}"
        return "repeated or out of order" if first < expected else None


@dataclass
class Ledger:
    """What is known of rooms, shared by all viewers of one process.

    keep  places of a room whose messages are compared, the newest
    """

    keep: int = 10_000
    _newest: dict[tuple[str, str], int] = field(default_factory=dict)
    _said: dict[tuple[str, str], dict[int, Hashable]] = field(default_factory=dict)

    def reached(self, room: str, epoch: str, seq: int) -> None:
        """Somebody was told of the place `seq`: everybody in the room is owed it."""
        if seq > self._newest.get((room, epoch), 0):
            self._newest[room, epoch] = seq

    def newest(self, room: str, epoch: str) -> int:
        """The newest place anybody was told of; 0 where nobody was."""
        return self._newest.get((room, epoch), 0)

    def said(self, room: str, epoch: str, seq: int, what: Hashable) -> str | None:
        """`what` stands at a place; what is wrong when something else was said to stand there."""
        places = self._said.setdefault((room, epoch), {})
        known = places.setdefault(seq, what)
        if len(places) > self.keep:
            del places[next(iter(places))]
        return None if known == what else "another message than was told before"

    def clear(self) -> None:
        """Nothing is known: another run begins."""
        self._newest.clear()
        self._said.clear()
