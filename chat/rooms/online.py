"""How many watch a room: this shard's viewers are reported, the others' are learnt.

Rules. Summed in Redis every few seconds, never a broadcast per join; members are told when the sum
has changed. While Redis is away the last sums stand.

A shard reports under a name that its next life has, too. One that drains reports that it has
nobody; what one that was killed has reported, its next life takes back where it is not true.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.store import Store
from chat.rooms.room import Room
from chat.tasks import Tasks, end
from chat.wire.schema import Online as OnlineEvent

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
LEAVE_S: Final = 2.0
"""How long Redis may take to hear that nobody is here any more."""


class Online:
    """One report, under the name `shard`. `announce(room, event)` tells a room's members."""

    def __init__(
        self,
        store: Store,
        shard: str,
        interval_s: int,
        announce: Callable[[Room, OnlineEvent], object],
    ) -> None:
        self._store = store
        self._shard = shard
        self._interval_s = interval_s
        self._stale_ms = 3000 * interval_s
        self._announce = announce
        self._tasks = Tasks("online report")
        self._inheriting = Tasks("inherited online report")
        self._leaving: asyncio.Task[None] | None = None
        self._reporting = False
        self._next_report = 0

    async def stop(self) -> None:
        """End what is under way, but for saying that nobody is here any more."""
        await self._inheriting.stop()
        if self._leaving is not None:
            await asyncio.wait([self._leaving], timeout=LEAVE_S)
            await end([self._leaving])
        await self._tasks.stop()

    def leave(self, rooms: Sequence[Room]) -> None:
        """Report that nobody is in `rooms`, nor in any from here on."""
        self._leaving = asyncio.get_running_loop().create_task(self._leave(rooms))

    async def _leave(self, rooms: Sequence[Room]) -> None:
        await self._inheriting.stop()
        await self._tasks.stop()  # or it might overtake this one
        await self.refresh(rooms)

    def inherit(self, here: Mapping[str, Room]) -> None:
        """Take back what an earlier life reported of rooms that are not `here`."""
        self._inheriting.spawn(self._inherit(here))

    async def _inherit(self, here: Mapping[str, Room]) -> None:
        left = list(range(self._store.keys.partitions))
        while left:
            try:
                await self._take_back(left[-1], here)
                left.pop()
            except StoreError as error:
                log.debug("what the last life reported stands for now: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _take_back(self, partition: int, here: Mapping[str, Room]) -> None:
        rooms = await self._store.rooms_reported(partition, self._shard)
        gone = [(room, 0) for room in rooms if room not in here]
        if gone:
            await self._store.report_online(partition, self._shard, gone, self._stale_ms)

    def tick(self, tick: int, rooms: Sequence[Room]) -> None:
        """Report when it is time."""
        if tick >= self._next_report and not self._reporting and self._leaving is None:
            self._next_report = tick + self._interval_s
            self._tasks.spawn(self._report(rooms))

    async def _report(self, rooms: Sequence[Room]) -> None:
        self._reporting = True
        try:
            await self.refresh(rooms)
        finally:
            self._reporting = False

    async def refresh(self, rooms: Sequence[Room]) -> None:
        """Tell Redis how many viewers are here, learn how many are elsewhere."""
        by_partition: dict[int, list[Room]] = defaultdict(list)
        for room in rooms:
            by_partition[room.partition].append(room)
        for partition, part in by_partition.items():
            left = self._leaving is not None
            counts = [(room.name, 0 if left else room.local) for room in part]
            try:
                sums = await self._store.report_online(
                    partition, self._shard, counts, self._stale_ms
                )
            except StoreError as error:
                log.debug("viewers are not reported: %s", error)
                return
            for room, (_, reported), total in zip(part, counts, sums, strict=True):
                room.elsewhere = total - reported
                if room.online != room.announced and not left:
                    room.announced = room.online
                    self._announce(room, OnlineEvent(room.name, room.online))
