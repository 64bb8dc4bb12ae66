"""The rooms of one shard: opened when the first viewer comes, followed, repaired, closed again.

Rules. Here rooms meet Redis; a Room itself knows nothing of it. Partition streams are read only
while a room here needs them. Whatever is given out goes through `emit`, whoever waits for a room
is told through `ready`; neither connections nor encodings are known here.

Every room is in step by seq. When that cannot be kept from the stream, the room is filled from its
history; when that does not reach back far enough, viewers get a Gap event and it is counted.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from chat import config
from chat.counters import ChatCount
from chat.entries import unpack_msg
from chat.publisher import new_epoch
from chat.reader import Reader
from chat.room import Arrival, Phase, Room, Taken
from chat.schema import Gap, Msg, Online, ServerEvent
from chat.store import Store, StoreError

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5


class Rooms:
    """Rooms by name.

    emit(room, events)  send events to all members, in order
    ready(room)         the room is live: answer `room.waiting`
    """

    def __init__(
        self,
        store: Store,
        limits: config.Rooms,
        shard: str,
        variants: int,
        counts: "memoryview[int]",
        emit: Callable[[Room, Sequence[ServerEvent]], None],
        ready: Callable[[Room], None],
    ) -> None:
        self.by_name: dict[str, Room] = {}
        self.reader: Reader
        self._store = store
        self._limits = limits
        self._shard = shard
        self._variants = variants
        self._counts = counts
        self._emit = emit
        self._ready = ready
        self._tasks: set[asyncio.Task[None]] = set()
        self._reporting = False
        self._next_report = 0

    def enter(self, name: str) -> Room:
        """The room called `name`, being opened if it is not open here."""
        room = self.by_name.get(name)
        if room is None:
            partition = self._store.keys.partition(name)
            room = Room(name, partition, self._variants, self._limits.history_on_join)
            self.by_name[name] = room
            self.spawn(self._open(room))
        return room

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the connections; it ends with the shard at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the rooms failed", exc_info=task.exception())

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- opening and closing -------------------------------------------------------------------

    async def _open(self, room: Room) -> None:
        stream = self._store.keys.fanout(room.partition)
        while True:
            try:
                state = await self._store.open_room(
                    room.name, new_epoch(), newest=self._limits.history_on_join
                )
                break
            except StoreError as error:
                log.warning("opening room %r again in %.1f s: %s", room.name, RETRY_S, error)
                await asyncio.sleep(RETRY_S)
        self.reader.subscribe(stream, state.fanout_id)
        room.load(state.epoch, state.seq, state.messages)
        await self._refresh_online([room])
        self._give(room, room.release())
        self._ready(room)

    def tick(self, tick: int) -> None:
        """Close the rooms that have been empty for long, and report viewers when it is time."""
        for room in [room for room in self.by_name.values() if not room.local]:
            if room.waiting or room.phase is not Phase.LIVE:
                continue
            if not room.empty_since:
                room.empty_since = tick
            elif tick - room.empty_since >= self._limits.linger_s:
                self._close(room)
        self._counts[ChatCount.ROOMS] = len(self.by_name)
        self._counts[ChatCount.STREAMS] = self.reader.streams
        self._counts[ChatCount.BUS_CONNECTED] = self.reader.connected
        self._counts[ChatCount.BUS_ERRORS] = self.reader.errors
        if tick >= self._next_report and not self._reporting:
            self._next_report = tick + self._limits.online_interval_s
            self.spawn(self._report())

    def _close(self, room: Room) -> None:
        del self.by_name[room.name]
        self.reader.unsubscribe(self._store.keys.fanout(room.partition))

    # --- following -----------------------------------------------------------------------------

    def deliver(self, stream: str, entries: Sequence[Any]) -> None:
        """Entries of a partition stream: give each room its own, as one batch."""
        arrivals: dict[Room, list[Arrival]] = defaultdict(list)
        by_name = self.by_name
        for _, fields in entries:
            room = by_name.get(fields[1].decode())
            if room is not None:
                epoch, _, seq = fields[3].partition(b"-")
                arrivals[room].append(Arrival(epoch.decode(), int(seq), fields[5]))
        self._counts[ChatCount.ENTRIES_READ] += len(entries)
        for room, batch in arrivals.items():
            filling = room.phase is Phase.FILLING
            self._give(room, room.take(batch), filling)

    def _give(self, room: Room, taken: Taken, filling: bool = False) -> None:
        """Send what is next; fetch what is missing, unless that is under way."""
        self._counts[ChatCount.DUPLICATES_READ] += taken.duplicates
        if taken.ready:
            name = room.name
            messages = [unpack_msg(new.entry, name, new.epoch, new.seq) for new in taken.ready]
            room.recent.extend(messages)
            self._send(room, messages)
        if taken.gap and not filling:
            self._counts[ChatCount.GAPS] += 1
            self.spawn(self._fill(room))

    def _send(self, room: Room, messages: list[Msg]) -> None:
        self._counts[ChatCount.FLUSHES] += 1
        self._counts[ChatCount.MESSAGES_DELIVERED] += len(messages) * room.local
        self._emit(room, messages)

    async def _fill(self, room: Room) -> None:
        """Bring a room in step from its history; it holds back arrivals meanwhile."""
        while True:
            try:
                state = await self._store.open_room(room.name, new_epoch(), after=room.seq)
                if state.epoch != room.epoch:
                    state = await self._store.open_room(room.name, new_epoch(), after=0)
                break
            except StoreError as error:
                log.warning("filling room %r again in %.1f s: %s", room.name, RETRY_S, error)
                await asyncio.sleep(RETRY_S)
        filled = room.fill(state.epoch, state.seq, state.messages)
        if filled.lost or filled.new_epoch:
            self._counts[ChatCount.GAP_MESSAGES_LOST] += filled.lost
            after = filled.messages[0].seq - 1 if filled.messages else room.seq
            self._emit(room, [Gap(room.name, room.epoch, after, filled.lost)])
        if filled.messages:
            self._counts[ChatCount.GAP_MESSAGES_FILLED] += len(filled.messages)
            self._send(room, filled.messages)
        self._give(room, room.release())
        self._ready(room)

    async def resync(self) -> None:
        """Compare every live room's position with Redis: entries may have been lost unseen."""
        for room in [room for room in self.by_name.values() if room.phase is Phase.LIVE]:
            head = await self._store.peek_room(room.name)
            if room.phase is Phase.LIVE and head != (room.epoch, room.seq):
                room.phase = Phase.FILLING
                self.spawn(self._fill(room))

    # --- who is online -------------------------------------------------------------------------

    async def _report(self) -> None:
        self._reporting = True
        try:
            await self._refresh_online(list(self.by_name.values()))
        finally:
            self._reporting = False

    async def _refresh_online(self, rooms: Sequence[Room]) -> None:
        """Tell Redis how many viewers are here, learn how many are elsewhere."""
        by_partition: dict[int, list[Room]] = defaultdict(list)
        for room in rooms:
            by_partition[room.partition].append(room)
        stale_ms = 3000 * self._limits.online_interval_s
        for partition, part in by_partition.items():
            counts = [(room.name, room.local) for room in part]
            try:
                sums = await self._store.report_online(partition, self._shard, counts, stale_ms)
            except StoreError as error:
                log.debug("viewers are not reported: %s", error)
                return
            for room, (_, reported), total in zip(part, counts, sums, strict=True):
                room.elsewhere = total - reported
                self._announce(room)

    def _announce(self, room: Room) -> None:
        if room.online != room.announced:
            room.announced = room.online
            self._emit(room, [Online(room.name, room.online)])
