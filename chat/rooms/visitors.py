"""Who has come into each room since that was last reported, so that users can be counted.

Rules. A uid once per room and report, as it was when it joined. While Redis is away they wait, so
many of a shard; where that is too many the room's are dropped, and it is said how many.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from chat.counters import ChatCount
from chat.rooms.room import Room

MOST: Final = 100_000
"""Uids that wait, about 10 MB: a shard's viewers, several times over."""


class Visitors:
    """Of one shard's rooms. `uid` tells who a connection is."""

    def __init__(self, uid: Callable[[int], str], counts: "memoryview[int]") -> None:
        self._uid = uid
        self._counts = counts
        self._came: dict[Room, set[str]] = defaultdict(set)
        self._waiting = 0

    def came(self, fd: int, room: Room) -> None:  # hot: once per join
        """A connection was let into a room."""
        came = self._came[room]
        before = len(came)
        came.add(self._uid(fd))
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

    def take(self, room: Room) -> list[str]:
        """Who came; they are being reported."""
        uids = self._came.pop(room, None)
        if uids is None:
            return []
        self._waiting -= len(uids)
        return list(uids)

    def give_back(self, room: Room, uids: Iterable[str]) -> None:
        """They could not be reported."""
        came = self._came[room]
        before = len(came)
        came.update(uids)
        self._waiting += len(came) - before
        if self._waiting > MOST or room.closed:
            self._drop(room)

    def forget(self, room: Room) -> None:
        """The room is closed."""
        self._drop(room)
