"""When members are told how many watch: with what is said in their room anyway, or alone.

Rules. No clock sends a count to a room. One that changed rides in the frame of the room's next
batch. Where nothing is said it goes alone, once it is a hundredth off, as far as the budget of such
writes reaches; whose count was said the longest ago comes first, of those the smallest. No I/O,
and time is a tick, a second.
"""

from collections.abc import Callable, Sequence

from chat.counters import ChatCount
from chat.rooms.budget import WriteBudget
from chat.rooms.room import Room
from chat.wire.schema import Online

Announce = Callable[[Room, Sequence[Online]], object]
"""Sends events to all members."""


class Announcer:
    """For one shard's rooms."""

    def __init__(self, announce: Announce, counts: "memoryview[int]", budget: WriteBudget) -> None:
        self._announce = announce
        self._counts = counts
        self._budget = budget
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
        silent = [room for room in self._changed if worth_telling(room)]
        for room in sorted(silent, key=lambda room: (room.announced_at, room.local)):
            if not self._budget.take(room.local):
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
