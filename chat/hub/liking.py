"""Likes: gathered here for a second, then added to the sums that all nodes share.

Rules. A like is an addition in a dict and nothing else. Who is muted, banned or a guest where
guests only read may not like; a room's silence and slow mode are for words. What was gathered of
a partition is one call, and until its answer has come there is no other: while Redis is away
likes are gathered on, within a bound, and are added when it is back. Beyond it one is told
`unavailable`. Only a shard that is killed takes its last second's likes with it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from msgspec import UNSET

from chat.bus.connect import StoreError
from chat.bus.keys import Retention
from chat.bus.likes import LikeCounts
from chat.config.sections import MOST_LIKE_KINDS, Auth
from chat.counters import ChatCount
from chat.hub.acks import error
from chat.hub.speech import REFUSED
from chat.hub.users import Users
from chat.policy.gate import Attempt, Gate, Refusal, membership, rights, unsanctioned
from chat.policy.rules import Rulebook
from chat.rooms.members import Members
from chat.rooms.room import Room
from chat.tasks import Tasks
from chat.wire.commands import Like
from chat.wire.schema import Done, Error, ErrorCode

log = logging.getLogger(__name__)

MOST_GATHERED: Final = 50_000
"""Sums that wait to be added, one for each room and kind: some 10 MB."""
MOST_ROOMS: Final = 200
"""Of a call: a few ms of Redis' one thread."""
LAST_S: Final = 2.0
"""How long Redis may take to hear of the last ones."""
ACTION: Final = "like"
"""What is `done`."""

Gathered = dict[str, dict[str, int]]
"""Likes by room and kind."""


class Liking:
    """The likes of one shard's viewers.

    kinds  that there may be; none: as many as a room can have, whatever they are called
    wall   seconds since 1970
    """

    def __init__(
        self,
        users: Users,
        members: Members,
        book: Rulebook,
        auth: Auth,
        likes: LikeCounts,
        kinds: tuple[str, ...],
        counts: "memoryview[int]",
        wall: Callable[[], float],
    ) -> None:
        self._users = users
        self._members = members
        self._gate = Gate(membership(members.named), rights(auth), unsanctioned(book, wall))
        self._likes = likes
        self._kinds = frozenset(kinds)
        self._counts = counts
        self._gathered: dict[int, Gathered] = {}
        self._calls: dict[int, tuple[int, Gathered]] = {}
        self._number = 0
        self._waiting = 0
        self._under_way: set[int] = set()
        self._tasks = Tasks("likes")

    async def stop(self) -> None:
        """Have counted what was gathered; what Redis does not take now is lost."""
        await self._tasks.stop()
        self._under_way.clear()
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(LAST_S):
                while partitions := self._next():
                    await asyncio.gather(*map(self._call, partitions))
        left = [*self._gathered.values(), *(rooms for _, rooms in self._calls.values())]
        self._counts[ChatCount.LIKES_DROPPED] += sum(map(_sum, left))

    def set(self, kinds: Collection[str], retention: Retention) -> None:
        """What holds from now on; what was gathered of other kinds is added yet."""
        self._kinds = frozenset(kinds)
        self._likes.retention = retention

    # --- what viewers ask for ------------------------------------------------------------------

    def like(self, fd: int, command: Like) -> Done | Error | None:
        """Count likes; why not, or the answer where one was asked for."""
        who = self._users.of(fd)
        refusal = self._gate.passes(Attempt(command.room, "", who, fd))
        room = self._members.named(fd, command.room)
        if refusal is None and room is not None:
            refusal = self._gather(room, command)
        if refusal is not None:
            self._counts[REFUSED[refusal.code]] += 1
            return error(refusal, command.ref)
        self._counts[ChatCount.LIKES] += command.count
        return None if command.ref is UNSET else Done(command.room, ACTION, command.ref)

    def _gather(self, room: Room, command: Like) -> Refusal | None:
        kinds = self._gathered.setdefault(room.partition, {}).setdefault(room.name, {})
        kind = command.kind
        if kind not in kinds:
            refusal = self._new_kind(room, kinds, kind)
            if refusal is not None:
                return refusal
            self._waiting += 1
            kinds[kind] = 0
        kinds[kind] += command.count
        return None

    def _new_kind(self, room: Room, gathered: dict[str, int], kind: str) -> Refusal | None:
        """Why nothing of a kind may be gathered that nothing is of yet."""
        if self._kinds and kind not in self._kinds:
            known = ", ".join(sorted(self._kinds))
            return Refusal(ErrorCode.BAD_REQUEST, f"kind: there is none but {known}")
        if len({kind, *gathered, *room.likes}) > MOST_LIKE_KINDS:
            return Refusal(ErrorCode.BAD_REQUEST, f"kind: a room has {MOST_LIKE_KINDS} at most")
        if self._waiting >= MOST_GATHERED:
            message = "likes are not counted now; try again"
            return Refusal(ErrorCode.UNAVAILABLE, message, 1.0)
        return None

    # --- what is added -------------------------------------------------------------------------

    def tick(self) -> None:
        """Add what was gathered since the last one, and what could not be added then."""
        for partition in self._next():
            self._under_way.add(partition)
            self._tasks.spawn(self._add(partition))

    def _next(self) -> list[int]:
        """Partitions there is a call for."""
        for partition in [one for one in self._gathered if one not in self._calls]:
            rooms = self._gathered.pop(partition)
            for name in list(rooms)[MOST_ROOMS:]:
                self._gathered.setdefault(partition, {})[name] = rooms.pop(name)
            self._number += 1
            self._calls[partition] = self._number, rooms
        return [partition for partition in self._calls if partition not in self._under_way]

    async def _add(self, partition: int) -> None:
        try:
            for name in await self._call(partition):
                self._gathered.setdefault(partition, {}).setdefault(name, {})
        except StoreError as error:
            log.debug("likes are added later: %s", error)
        finally:
            self._under_way.discard(partition)

    async def _call(self, partition: int) -> list[str]:
        """Of which rooms shards are yet to be told."""
        number, rooms = self._calls[partition]
        lost, later = await self._likes.add(partition, number, rooms)
        del self._calls[partition]
        self._waiting -= sum(map(len, rooms.values()))
        self._counts[ChatCount.LIKES_DROPPED] += lost
        return later


def _sum(rooms: Gathered) -> int:
    return sum(sum(kinds.values()) for kinds in rooms.values())
