"""When members are told how many watch: with what is said in their room anyway, or alone.

Rules. No clock sends a count to a room. One that changed rides in the frame of the room's next
batch. Where nothing is said it goes alone, once it is a hundredth off, and as long as all that is
sent like that is within a hundredth of the shard's time; whose count was said the longest ago comes
first, of those the smallest. No I/O here, and time is a tick, a second.
"""

from collections.abc import Callable, Sequence
from typing import Final

from chat.counters import ChatCount
from chat.rooms.room import Room
from chat.wire.schema import Online

WRITE_S: Final = 5e-6
"""What a write costs a shard, about: 3 to 5 µs, more where there are very many sockets."""
SHARE: Final = 0.01
"""Of a shard's time, for counts that go alone."""
WRITES_PER_S: Final = round(SHARE / WRITE_S)
FRAME_WRITES: Final = 1
"""What it costs to make a count's frame and begin its fan-out, in writes: 4 µs."""

Announce = Callable[[Room, Sequence[Online]], None]
"""Sends events to all members."""


class WriteBudget:
    """Writes, `per_s` of them. Whoever is served may take more than there are: until that is paid
    off nobody else is served."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._left = per_s
        self._tick = 0

    def refill(self, tick: int) -> None:
        """It is `tick`. What is not taken within a second is not saved."""
        self._left = min(self._per_s, self._left + (tick - self._tick) * self._per_s)
        self._tick = tick

    def take(self, writes: int) -> bool:
        """Whether so many may be written."""
        if self._left <= 0:
            return False
        self._left -= writes
        return True


class Announcer:
    """For one shard's rooms."""

    def __init__(
        self, announce: Announce, counts: "memoryview[int]", per_s: int = WRITES_PER_S
    ) -> None:
        self._announce = announce
        self._counts = counts
        self._budget = WriteBudget(per_s)
        self._changed: set[Room] = set()
        self._tick = 0

    def reported(self, room: Room) -> None:
        """It has just been learnt how many watch a room."""
        if any(kept.online != room.online for kept in room.snapshots.values()):
            room.snapshots.clear()
        if not room.local:
            room.announced = room.online  # who comes is told by `joined`
        if room.online == room.announced:
            self._changed.discard(room)
        else:
            self._changed.add(room)

    def forget(self, room: Room) -> None:
        """The room is closed."""
        self._changed.discard(room)

    def riding(self, room: Room) -> Sequence[Online]:  # hot: once per batch
        """What goes out with a batch of a room."""
        return [self._say(room)] if room in self._changed else ()

    def tick(self, tick: int) -> None:
        """A second has passed: tell the rooms in which nothing was said."""
        self._tick = tick
        self._budget.refill(tick)
        silent = [room for room in self._changed if worth_telling(room)]
        for room in sorted(silent, key=lambda room: (room.announced_at, room.local)):
            if not self._budget.take(room.local + FRAME_WRITES):
                break
            self._counts[ChatCount.COUNTS_WRITTEN] += room.local
            self._announce(room, [self._say(room)])

    def _say(self, room: Room) -> Online:
        self._changed.discard(room)
        room.announced = room.online
        room.announced_at = self._tick
        return Online(room.name, room.online)


def worth_telling(room: Room) -> bool:
    """Whether the count that members of a room know is a hundredth off."""
    off = abs(room.online - room.announced)
    return bool(off and room.local and off * 100 >= room.announced)
