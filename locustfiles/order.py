"""What a viewer may expect of a room's messages, checked by arithmetic.

Rule: pure; no sockets, no Locust, time passed in. Within one epoch every seq is the one before
plus 1. `Position` finds gaps and repeats between messages; `Ledger` finds what arithmetic alone
cannot: a message that was acknowledged to its author but never came after the viewer's last one.
"""

from collections import deque
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
    """Acknowledged seqs of all rooms, kept for `keep_s`, shared by all viewers of one process."""

    grace_s: float = 2.0
    keep_s: float = 10.0
    _acks: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)

    def acked(self, room: str, seq: int, now: float) -> None:
        acks = self._acks.setdefault(room, deque())
        acks.append((now, seq))
        while acks[0][0] < now - self.keep_s:
            acks.popleft()

    def missing(self, room: str, seq: int, now: float) -> int:
        """How many messages after `seq` were acknowledged more than `grace_s` ago."""
        acks = self._acks.get(room, ())
        return sum(1 for when, acked in acks if acked > seq and when < now - self.grace_s)
