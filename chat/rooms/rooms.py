"""The rooms of one shard: opened when the first viewer comes, followed, repaired, closed again.

Rules. Here rooms meet Redis; a Room itself knows nothing of it. Partition streams are read only
while a room here needs them. Whatever is given out goes through `emit`, whoever waits for a room
is told through `ready`; neither connections nor encodings are known here.

Every room is in step by seq. When that cannot be kept from the stream, the room is filled from its
history; when that does not reach back far enough, viewers get a Gap event and it is counted. When
Redis was set back and would give out numbers twice, the room is given a new epoch first.

While Redis does not answer, rooms that are open stay open; who wants into one that is not is told.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from chat.bus.entries import BadEntry, unpack_msg
from chat.bus.names import new_epoch
from chat.bus.reader import Reader
from chat.bus.store import Peek, RoomState, Store, StoreError
from chat.config import sections
from chat.counters import ChatCount
from chat.rooms.room import Arrival, Phase, Room, Taken, in_order
from chat.tasks import end
from chat.wire.schema import Gap, Msg, Online, ServerEvent

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5


class Rooms:
    """Rooms by name.

    emit(room, events)  send events to all members, in order
    ready(room)         the room is live: answer `room.waiting`
    away(room)          the room cannot be had now: tell `room.waiting`
    """

    def __init__(
        self,
        store: Store,
        limits: sections.Rooms,
        shard: str,
        variants: int,
        counts: "memoryview[int]",
        emit: Callable[[Room, Sequence[ServerEvent]], None],
        ready: Callable[[Room], None],
        away: Callable[[Room], None],
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
        self._away = away
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
        await end(self._tasks)

    # --- opening and closing -------------------------------------------------------------------

    async def _open(self, room: Room) -> None:
        state = await self._state_of(room)
        if state is None:
            del self.by_name[room.name]
            return
        self.reader.subscribe(self._store.keys.fanout(room.partition), state.fanout_id)
        room.load(state.epoch, state.seq, state.messages, state.fanout_id)
        self._give(room, room.release())
        await self._refresh_online([room])
        self._ready(room)

    async def _state_of(self, room: Room, renew: bool = False) -> RoomState | None:
        """A room as Redis has it, however long that takes; None when nobody wants it any more."""
        while True:
            try:
                if renew:
                    await self._store.renew_room(room.name, room.epoch, new_epoch())
                state = await self._store.open_room(
                    room.name,
                    new_epoch(),
                    newest=max(1, room.keep),
                    after=room.seq if room.epoch else None,
                    of=room.epoch,
                )
            except StoreError as error:
                log.debug("asking for room %r again in %.1f s: %s", room.name, RETRY_S, error)
                self._away(room)
                if room.phase is Phase.LOADING and not room.waiting:
                    return None
                await asyncio.sleep(RETRY_S)
                continue
            if state.epoch != room.epoch or state.seq >= room.seq:
                return state
            self._counts[ChatCount.REWINDS] += 1
            renew = True

    def tick(self, tick: int) -> None:
        """Close the rooms that have been empty for long, and report viewers when it is time."""
        for room in [room for room in self.by_name.values() if not room.local]:
            if not room.idle:
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
        for entry_id, fields in entries:
            try:
                room = by_name.get(fields[1].decode())
                if room is not None:
                    epoch, _, seq = fields[3].partition(b"-")
                    arrivals[room].append(Arrival(epoch.decode(), int(seq), fields[5], entry_id))
            except (ValueError, IndexError):
                self._counts[ChatCount.BAD_ENTRIES] += 1
        self._counts[ChatCount.ENTRIES_READ] += len(entries)
        for room, batch in arrivals.items():
            self._give(room, room.take(batch))

    def _give(self, room: Room, taken: Taken) -> None:
        """Send what is next; fetch what is missing."""
        self._counts[ChatCount.DUPLICATES_READ] += taken.duplicates
        if taken.ready:
            events = [self._unpacked(room.name, new) for new in taken.ready]
            room.recent.extend(event for event in events if isinstance(event, Msg))
            self._send(room, events)
        if taken.gap:
            self._counts[ChatCount.GAPS] += 1
            self.spawn(self._fill(room, taken.rewound))

    def _unpacked(self, room: str, new: Arrival) -> Msg | Gap:
        """What members get for an arrival: a place with no message in it is one they lost."""
        try:
            return unpack_msg(new.entry, room, new.epoch, new.seq)
        except BadEntry:
            self._counts[ChatCount.BAD_ENTRIES] += 1
            self._counts[ChatCount.GAP_MESSAGES_LOST] += 1
            return Gap(room, new.epoch, new.seq, 1)

    def _send(self, room: Room, events: Sequence[Msg | Gap]) -> None:
        self._counts[ChatCount.FLUSHES] += 1
        self._counts[ChatCount.MESSAGES_DELIVERED] += room.local * sum(
            isinstance(event, Msg) for event in events
        )
        self._emit(room, events)

    async def _fill(self, room: Room, rewound: bool = False) -> None:
        """Bring a room in step from its history; it holds back arrivals meanwhile."""
        self._counts[ChatCount.REWINDS] += rewound
        state = await self._state_of(room, renew=rewound)
        assert state is not None, "a room that was live is wanted until it is closed"
        filled = room.fill(state.epoch, state.seq, state.messages, state.fanout_id, state.base)
        self._counts[ChatCount.GAP_MESSAGES_LOST] += filled.lost
        self._counts[ChatCount.GAP_MESSAGES_FILLED] += len(filled.messages)
        events = in_order(room, filled)
        if events:
            self._send(room, events)
        self._give(room, room.release())
        self._ready(room)

    async def resync(self) -> None:
        """Compare every live room's position with Redis: entries may have been lost unseen."""
        rooms = [room for room in self.by_name.values() if room.phase is Phase.LIVE]
        positions = [(room.name, room.seq) for room in rooms]
        peeks = await self._store.peek_rooms(positions)
        set_back = 0
        for room, (_, seq), peek in zip(rooms, positions, peeks, strict=True):
            if room.phase is not Phase.LIVE or room.seq != seq:
                continue  # it is being filled, or was meanwhile
            rewound = peek is not None and _diverged(room, peek)
            if peek is not None and not rewound and (peek.epoch, peek.seq) == (room.epoch, seq):
                room.mark = peek.fanout_id
                continue
            room.phase = Phase.FILLING
            set_back += rewound
            self.spawn(self._fill(room, rewound))
        if set_back:
            log.warning("Redis was set back: %d rooms get a new epoch", set_back)

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


def _diverged(room: Room, peek: Peek) -> bool:
    """Whether Redis has given the room's numbers to other messages, or is about to."""
    if peek.epoch != room.epoch:
        return False
    known = room.recent[-1] if room.recent else None
    other = (
        known is not None
        and peek.found is not None
        and known.seq == peek.found.seq
        and known != peek.found
    )
    return other or peek.seq < room.seq
