"""Who has come into each room since that was last reported, so that users can be counted.

Rules. A uid once per room and report, as it was when it joined. Joining leaves a mark, of which
the uid is made when it is reported; and so many are reported at a time, because a crowd is very
many. While Redis is away they wait, so many of a shard; where that is too many the room's are
dropped, and it is said how many.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from chat.counters import ChatCount
from chat.rooms.room import Room

MOST: Final = 100_000
"""Marks that wait, about 10 MB: a shard's viewers, several times over."""
TOGETHER: Final = 2_000
"""Of a report: a millisecond of the shard's, and one or two of Redis' one thread."""


class Visitors:
    """Of one shard's rooms. `mark` is of a connection what `uid_of` makes its uid of."""

    def __init__(
        self,
        mark: Callable[[int], Hashable],
        uid_of: Callable[[Any], str],
        counts: "memoryview[int]",
    ) -> None:
        self._mark = mark
        self._uid_of = uid_of
        self._counts = counts
        self._came: dict[Room, set[Hashable]] = defaultdict(set)
        self._waiting = 0

    def came(self, fd: int, room: Room) -> None:  # hot: once per join
        """A connection was let into a room."""
        came = self._came[room]
        before = len(came)
        came.add(self._mark(fd))
        self._waiting += len(came) - before
        if self._waiting > MOST:
            self._drop(room)

    def _drop(self, room: Room) -> None:
        dropped = len(self._came.pop(room, ()))
        self._waiting -= dropped
        self._counts[ChatCount.VISITORS_UNCOUNTED] += dropped

    def waits(self, room: Room) -> bool:
        """Whether somebody came who is not reported yet."""
        return room in self._came

    def many(self, room: Room) -> bool:
        """Whether more came than are reported together."""
        return len(self._came.get(room, ())) >= TOGETHER

    def take(self, room: Room) -> dict[Hashable, str]:
        """Some of who came, TOGETHER at most: uids by their marks. They are being reported."""
        came = self._came.get(room)
        if came is None:
            return {}
        marks = [came.pop() for _ in range(min(TOGETHER, len(came)))]
        if not came:
            del self._came[room]
        self._waiting -= len(marks)
        return {mark: self._uid_of(mark) for mark in marks}

    def give_back(self, room: Room, marks: Iterable[Hashable]) -> None:
        """They could not be reported."""
        came = self._came[room]
        before = len(came)
        came.update(marks)
        self._waiting += len(came) - before
        if self._waiting > MOST or room.closed:
            self._drop(room)

    def forget(self, room: Room) -> None:
        """The room is closed."""
        self._drop(room)
