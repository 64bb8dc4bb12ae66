"""Fan-outs that are not finished, and whose turn it is to be written.

Rules. Pure: who is left and with what; nothing is written here. A lane is what must stay in order:
a room, or what is said to everyone. Within a lane fan-outs are done one after the other; between
lanes they take turns, a quantum of writes each (deficit round robin). So a large room, or a flood
from one source, costs the others a quantum of waiting and no more, and whoever has few to write to
is done in one go.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final

from shard.backlog import Keep

QUANTUM: Final = 512
"""Writes of a lane before the next lane's turn: one full system call of the ring, 3 ms."""


@dataclass(slots=True)
class FanOut:
    """A fan-out that is not finished: who is left, and with what."""

    fds: Iterator[int]
    left: int
    data: bytes
    keep: Keep
    tick: int


class Lanes:
    """The unfinished fan-outs of one group; `left` is how many writes they come to."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Hashable, deque[FanOut]] = OrderedDict()
        self._quantum = QUANTUM
        self.left = 0

    def __len__(self) -> int:
        """How many lanes have something unfinished."""
        return len(self._lanes)

    def __contains__(self, lane: Hashable) -> bool:
        """Whether a lane has something unfinished."""
        return lane in self._lanes

    @property
    def oldest_tick(self) -> int | None:
        """When the oldest fan-out began."""
        return min((line[0].tick for line in self._lanes.values()), default=None)

    def left_beside(self, lane: Hashable) -> int:
        """Writes of all other lanes."""
        return self.left - sum(one.left for one in self._lanes.get(lane, ()))

    def add(self, lane: Hashable, fan_out: FanOut) -> None:
        """One more, behind those of its lane."""
        self._lanes.setdefault(lane, deque()).append(fan_out)
        self.left += fan_out.left

    def next(self, most: int) -> tuple[FanOut, int]:
        """What to write next, and to how many of those left, `most` at the most."""
        lane, line = next(iter(self._lanes.items()))
        fan_out = line[0]
        size = min(most, fan_out.left)
        if len(self._lanes) > 1:
            size = min(size, self._quantum)
            self._quantum -= size
        fan_out.left -= size
        self.left -= size
        if not fan_out.left:
            line.popleft()
        if not line:
            del self._lanes[lane]
            self._quantum = QUANTUM
        elif not self._quantum:
            self._lanes.move_to_end(lane)
            self._quantum = QUANTUM
        return fan_out, size

    def clear(self) -> None:
        """Forget them all."""
        self._lanes.clear()
        self.left = 0
