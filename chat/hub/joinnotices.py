"""Join notices: who came into a room, where its moderators want that told.

Rules. Those of a second are one control, whoever and however many they are: a count, and the first
names. Who comes back to its position has not been away, and who is here by another connection is
here. Who is muted is counted and not named. A room that has grown has none: there they would be
noise, and all that is said. What Redis does not take is not told, and counted.
"""

from collections.abc import Callable
from typing import Final

from chat.bus.controls import tell_rooms
from chat.bus.entries import Arrived
from chat.bus.store import Store
from chat.counters import ChatCount
from chat.hub.users import Users
from chat.rooms.members import Members
from chat.rooms.room import Room
from chat.tasks import Tasks
from chat.wire.schema import MOST_NAMES

MOST_MEMBERS: Final = 500
"""Viewers of a room beyond which nobody's coming is told."""


class JoinNotices:
    """Those of one shard's viewers. `muted` tells who may not be named in a room."""

    def __init__(
        self,
        users: Users,
        members: Members,
        muted: Callable[[int, str], bool],
        store: Store,
        counts: "memoryview[int]",
    ) -> None:
        self._users = users
        self._members = members
        self._muted = muted
        self._store = store
        self._counts = counts
        self._arrived: dict[str, dict[str, str]] = {}
        self._tasks = Tasks("join notices")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def arrived(self, fd: int, room: Room) -> None:
        """A connection came into a room that wants it told."""
        if room.online >= MOST_MEMBERS:
            return
        who = self._users.of(fd)
        others = (one for one in self._users.find(who.uid) if one != fd)
        if any(self._members.has(one, room) for one in others):
            return
        shown = "" if self._muted(fd, room.name) else who.name
        self._arrived.setdefault(room.name, {})[who.uid] = shown

    def tick(self) -> None:
        """Tell all shards who came since the last one."""
        if self._arrived and not self._tasks.busy:
            arrived, self._arrived = self._arrived, {}
            self._tasks.spawn(self._tell(arrived))

    async def _tell(self, arrived: dict[str, dict[str, str]]) -> None:
        controls = {
            room: Arrived(len(who), list(filter(None, who.values()))[:MOST_NAMES])
            for room, who in arrived.items()
        }
        for room in await tell_rooms(self._store, controls):
            self._counts[ChatCount.JOIN_NOTICES_DROPPED] += controls[room].count
