"""How many watch a room: this shard's viewers are reported, the others' are learnt.

Rules. Summed in Redis every few seconds, never a broadcast per join; members are told when the sum
has changed. While Redis is away the last sums stand.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from chat.bus.connect import StoreError
from chat.bus.store import Store
from chat.rooms.room import Room
from chat.tasks import Tasks
from chat.wire.schema import Online as OnlineEvent

log = logging.getLogger(__name__)


class Online:
    """One shard's report. `announce(room, event)` tells a room's members."""

    def __init__(
        self,
        store: Store,
        shard: str,
        interval_s: int,
        announce: Callable[[Room, OnlineEvent], None],
    ) -> None:
        self._store = store
        self._shard = shard
        self._interval_s = interval_s
        self._announce = announce
        self._tasks = Tasks("online report")
        self._reporting = False
        self._next_report = 0

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def tick(self, tick: int, rooms: Sequence[Room]) -> None:
        """Report when it is time."""
        if tick >= self._next_report and not self._reporting:
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
            counts = [(room.name, room.local) for room in part]
            try:
                sums = await self._store.report_online(
                    partition, self._shard, counts, 3000 * self._interval_s
                )
            except StoreError as error:
                log.debug("viewers are not reported: %s", error)
                return
            for room, (_, reported), total in zip(part, counts, sums, strict=True):
                room.elsewhere = total - reported
                if room.online != room.announced:
                    room.announced = room.online
                    self._announce(room, OnlineEvent(room.name, room.online))
