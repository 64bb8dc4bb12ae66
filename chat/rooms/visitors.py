"""Who has come into each room since that was last reported, so that users can be counted.

Rules. As they were when they joined, a user once per room and report, a guest as often as it came:
whoever counts does not mind. Joining leaves a mark, of which the uid is made when it is reported;
a guest's is a number, eight bytes of an array, because a crowd is very many. So many are reported
at a time. While Redis is away they wait, so many of a shard; where that is too many the room's are
dropped, and it is said how many.
"""

from array import array
from collections.abc import Callable, Iterable
from typing import Final

from chat.counters import ChatCount
from chat.rooms.room import Room

MOST: Final = 100_000
"""Marks that wait: a shard's viewers, several times over."""
TOGETHER: Final = 500
"""Of a report: half a millisecond of Redis' one thread. They are strings as long as it takes, and
memory the process keeps: for 2,000 that is 0.9 MB, 60 bytes for each of 15,000 viewers."""

Mark = int | str
"""A guest's number below 2 ** 64, anybody else's uid."""


class Came:
    """Those of one room."""

    __slots__ = ("guests", "users")

    def __init__(self) -> None:
        self.guests = array("Q")
        self.users: set[str] = set()

    def __len__(self) -> int:
        return len(self.guests) + len(self.users)

    def add(self, mark: Mark) -> int:
        """One more; 0 where that is nobody new, else 1."""
        if type(mark) is int:
            self.guests.append(mark)
            return 1
        before = len(self.users)
        self.users.add(str(mark))
        return len(self.users) - before

    def take(self, most: int) -> list[Mark]:
        """So many of them, at most."""
        at = max(0, len(self.guests) - most)
        taken: list[Mark] = list(self.guests[at:])
        del self.guests[at:]
        return taken + [self.users.pop() for _ in range(min(most - len(taken), len(self.users)))]


class Visitors:
    """Of one shard's rooms. `mark` is of a connection what `uid_of` makes its uid of."""

    def __init__(
        self,
        mark: Callable[[int], Mark],
        uid_of: Callable[[Mark], str],
        counts: "memoryview[int]",
    ) -> None:
        self._mark = mark
        self._uid_of = uid_of
        self._counts = counts
        self._came: dict[Room, Came] = {}
        self._waiting = 0

    def came(self, fd: int, room: Room) -> None:  # hot: once per join
        """A connection was let into a room."""
        came = self._came.get(room)
        if came is None:
            came = self._came[room] = Came()
        mark = self._mark(fd)
        if type(mark) is int:
            came.guests.append(mark)
            self._waiting += 1
        else:
            self._waiting += came.add(mark)
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

    def take(self, room: Room) -> dict[Mark, str]:
        """Some of who came, TOGETHER at most: uids by their marks. They are being reported."""
        came = self._came.get(room)
        if came is None:
            return {}
        marks = came.take(TOGETHER)
        if not len(came):
            del self._came[room]
        self._waiting -= len(marks)
        return {mark: self._uid_of(mark) for mark in marks}

    def give_back(self, room: Room, marks: Iterable[Mark]) -> None:
        """They could not be reported."""
        came = self._came.setdefault(room, Came())
        self._waiting += sum(map(came.add, marks))
        if self._waiting > MOST or room.closed:
            self._drop(room)

    def forget(self, room: Room) -> None:
        """The room is closed."""
        self._drop(room)
