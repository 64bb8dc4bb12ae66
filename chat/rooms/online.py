"""How many watch a room: this shard's viewers are reported, the others' are learnt.

Rules. Summed in Redis every few seconds, never once per join; who has come since goes with it, so
that users are counted. While Redis is away the last sums stand. Whether members are told is not
decided here.

A shard reports under a name that its next life has, too. One that drains reports that it has
nobody; what one that was killed has reported, its next life takes back where it is not true.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.crowds import Crowds
from chat.bus.servers import Server
from chat.bus.store import Store
from chat.rooms.room import Room
from chat.rooms.visitors import Visitors
from chat.tasks import Tasks, end

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
LEAVE_S: Final = 2.0
"""How long Redis may take to hear that nobody is here any more."""
ROOMS_AT_ONCE: Final = 250
"""In one call: Redis does nothing else meanwhile, for some 3 ms."""


class Online:
    """One report, under the name `shard`. `learnt(room)`: how many watch it was just learnt.
    `visitors` are reported with their rooms."""

    def __init__(
        self,
        store: Store,
        shard: str,
        interval_s: int,
        learnt: Callable[[Room], None],
        visitors: Visitors,
    ) -> None:
        self._store = store
        self._shard = shard
        self._interval_s = interval_s
        self._crowds = Crowds(store, interval_s)
        self._visitors = visitors
        self._learnt = learnt
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
        rooms = await self._crowds.reported(partition, self._shard)
        gone = [(room, 0) for room in rooms if room not in here]
        for start in range(0, len(gone), ROOMS_AT_ONCE):
            part = gone[start : start + ROOMS_AT_ONCE]
            await self._crowds.report(partition, self._shard, part)

    def tick(self, tick: int, rooms: Sequence[Room]) -> None:
        """Report when it is time."""
        if tick >= self._next_report and self._report_soon(rooms):
            self._next_report = tick + self._interval_s

    def settled(self, room: Room) -> bool:
        """Whether Redis knows that nobody is in a room, and who has been."""
        return not (room.reported or self._visitors.waits(room))

    def settle(self, rooms: Sequence[Room]) -> None:
        """Report rooms before it is time: they are to be closed."""
        self._report_soon(rooms)

    def _report_soon(self, rooms: Sequence[Room]) -> bool:
        """Report, unless a report is under way."""
        if self._reporting or self._leaving is not None:
            return False
        self._reporting = True
        self._tasks.spawn(self._report(rooms))
        return True

    async def _report(self, rooms: Sequence[Room]) -> None:
        try:
            await self.refresh(rooms)
        finally:
            self._reporting = False

    async def refresh(self, rooms: Sequence[Room]) -> None:
        """Tell Redis how many viewers are here, learn how many are elsewhere. A server that does
        not answer is not asked again this time."""
        away: set[Server | None] = set()
        for partition, part in self._parts(rooms):
            server = self._store.servers.of(self._store.keys.top(partition))
            if server in away:
                continue
            try:
                await self._refresh(partition, part)
                while any(map(self._visitors.many, part)):
                    await self._refresh(partition, part)
            except StoreError as error:
                log.debug("viewers are not reported: %s", error)
                away.add(server)

    def _parts(self, rooms: Sequence[Room]) -> Iterator[tuple[int, Sequence[Room]]]:
        """Rooms of one partition, some at a time."""
        by_partition: dict[int, list[Room]] = defaultdict(list)
        for room in rooms:
            by_partition[room.partition].append(room)
        for partition, part in by_partition.items():
            for start in range(0, len(part), ROOMS_AT_ONCE):
                yield partition, part[start : start + ROOMS_AT_ONCE]

    async def _refresh(self, partition: int, rooms: Sequence[Room]) -> None:
        left = self._leaving is not None
        counts = [(room.name, 0 if left else room.local) for room in rooms]
        came = {room: uids for room in rooms if (uids := self._visitors.take(room))}
        try:
            sums = await self._crowds.report(
                *(partition, self._shard, counts),
                {room.name: list(uids.values()) for room, uids in came.items()},
            )
        except BaseException:
            for room, uids in came.items():
                self._visitors.give_back(room, uids)
            raise
        for room, (_, reported), total in zip(rooms, counts, sums, strict=True):
            room.reported = reported
            room.elsewhere = total - reported
            if not left:
                self._learnt(room)
