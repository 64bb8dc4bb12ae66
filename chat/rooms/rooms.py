"""The rooms of one shard: opened when the first viewer comes, followed, repaired, closed again.

Rules. Here rooms meet Redis; a Room itself knows nothing of it. Partition streams are read only
while a room here needs them. Whatever is given out goes through `emit`, whoever waits for a room
waits in it; neither connections nor encodings are known here.

Every room is in step by seq. When that cannot be kept from the stream, the room is filled from its
history; when that does not reach back far enough, viewers get a Gap event and it is counted. When
Redis was set back and would give out numbers twice, the room is given a new epoch first.

While Redis does not answer, rooms that are open stay open; who wants into one that is not is told.

Anyone may ask for any room, so there are at most so many, and only so many are opened in a second.
One that nobody spoke in has nothing to keep, and is closed soon after it is empty.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from chat.bus.connect import StoreError
from chat.bus.entries import Arrived, BadEntry, Liked, id_order, read, read_broadcast
from chat.bus.kept import kept
from chat.bus.names import new_epoch
from chat.bus.reader import Reader
from chat.bus.rules import Rules
from chat.bus.store import RoomState, Store
from chat.config import sections
from chat.counters import ChatCount
from chat.policy.rates import Rates
from chat.policy.rules import Rulebook
from chat.rooms.delivery import Delivery, Emit
from chat.rooms.online import Online
from chat.rooms.position import START, UNSPOKEN, Arrival, Sync, Taken, in_order
from chat.rooms.room import Room
from chat.rooms.rulefeed import RuleFeed
from chat.rooms.visitors import Visitors
from chat.tasks import Tasks
from chat.wire.redaction import unlapsed
from chat.wire.schema import Clear, Delete, Gap, Msg, Removed, Sequenced
from shard.logids import about

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
SETTLE_S: Final = 5
"""How long a room stays open for Redis to hear that it is empty."""
OPENED_AT_ONCE_S: Final = 10
"""Rooms opened without a wait after a pause: as many as in so many seconds."""


class Rooms:
    """Rooms by name; `variants` is how many kinds of members there are, and viewers are reported
    under the name `shard`. `rules` are opened and closed with the rooms, `visitors` reported;
    `clock` is seconds, monotonic, `wall` since 1970."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        limits: sections.Rooms,
        shard: str,
        variants: int,
        counts: "memoryview[int]",
        emit: Emit,
        bounds: sections.Limits | None = None,
        rules: RuleFeed | None = None,
        visitors: Visitors | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.by_name: dict[str, Room] = {}
        self._store = store
        self._reader = reader
        self._limits = limits
        self._bounds = bounds or sections.Limits()
        per_s = self._bounds.rooms_opened_per_s
        self._opened = Rates(1, per_s, OPENED_AT_ONCE_S * per_s)
        self._unopened: deque[Room] = deque()
        self._variants = variants
        self._counts = counts
        self._delivery = Delivery(emit, counts, limits.shown_per_s, clock)
        self._visitors = visitors or Visitors(str, str, counts)
        self._wall = wall
        self._lapsing: set[Room] = set()
        self._online = Online(
            *(
                store,
                shard,
                limits.online_interval_s,
                self._delivery.announcer.reported,
                self._visitors,
            )
        )
        self._rules = rules or RuleFeed(Rules(store), Rulebook(), counts)
        self._rules.listeners.append(self._ruled)
        self._tasks = Tasks("rooms")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()
        await self._rules.stop()
        await self._online.stop()

    def apply(self) -> None:
        """The limits have changed; open rooms stay open."""
        per_s = self._bounds.rooms_opened_per_s
        self._opened.set(per_s, OPENED_AT_ONCE_S * per_s)
        self._delivery.show(self._limits.shown_per_s, self.by_name.values())

    def inherit(self) -> None:
        """An earlier life of this shard may have reported viewers who are not here."""
        self._online.inherit(self.by_name)

    def drain(self) -> None:
        """Everybody was let go: report nobody any more."""
        self._online.leave(list(self.by_name.values()))

    # --- opening and closing -------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether no more rooms are opened here."""
        return len(self.by_name) >= self._bounds.rooms

    @property
    def wait_s(self) -> float:
        """About how long one more has to wait until it is opened."""
        return len(self._unopened) / self._bounds.rooms_opened_per_s

    def enter(self, name: str) -> Room:
        """The room called `name`; being opened, in its turn, if it is not open here."""
        room = self.by_name.get(name)
        if room is None:
            partition = self._store.keys.partition(name)
            keep, lives = self._limits.history_on_join, self._store.lives
            room = Room(name, partition, self._variants, keep, lives.of)
            self.by_name[name] = room
            if self._unopened:
                self._unopened.append(room)
            elif wait := self._wait_to_open():
                self._unopened.append(room)
                self._tasks.spawn(self._open_in_turn(wait))
            else:
                self._tasks.spawn(self._open(room))
        return room

    def _wait_to_open(self) -> float:
        """0.0 and one more may be opened, or in how many seconds it may."""
        return self._opened.wait(0, asyncio.get_running_loop().time())

    async def _open_in_turn(self, wait: float) -> None:
        """Open those that had to wait, but for those that nobody wants any more."""
        while self._unopened:
            if not self._unopened[0].wanted:
                self._forget(self._unopened.popleft())
            elif wait:
                await asyncio.sleep(wait)
                wait = self._wait_to_open()
            else:
                self._tasks.spawn(self._open(self._unopened.popleft()))
                wait = self._wait_to_open()

    async def _open(self, room: Room) -> None:
        state = await self._state_of(room)
        if state is None:
            self._forget(room)
            return
        self._reader.subscribe(self._store.keys.fanout(room.partition), state.fanout_id)
        self._remember_only(room, state.places)
        self._delivery.asides.liked(room, state.likes, id_order(state.fanout_id))
        self._rules.load(room.name, kept(state.rules))
        self._give(room, room.position.load(state.epoch, state.seq, state.fanout_id))
        await self._online.refresh([room])
        room.let_in_waiting()

    async def _state_of(self, room: Room, renew: bool = False) -> RoomState | None:
        """A room as Redis has it, however long that takes; None when nobody wants it any more."""
        here = room.position
        old = here.known
        while True:
            try:
                if renew:
                    await self._store.renew_room(room.name, old, new_epoch())
                state = await self._store.open_room(
                    room.name,
                    newest=max(1, room.keep),
                    after=None if here.sync is Sync.LOADING else here.seq,
                    of=here.epoch,
                    rules=True,
                )
            except StoreError as error:
                log.debug(
                    "asking for room %r again in %.1f s: %s",
                    room.name,
                    RETRY_S,
                    error,
                    extra=about(room.name),
                )
                room.turn_away_waiting()
                if here.sync is Sync.LOADING and not room.waiting:
                    return None
                await asyncio.sleep(RETRY_S)
                continue
            if not here.set_back(state.epoch, state.seq):
                return state
            self._counts[ChatCount.REWINDS] += 1
            renew, old = True, state.epoch

    def tick(self, tick: int) -> None:
        """Close the rooms that have been empty for long; tell counts, and report them when due.
        What has had its time is forgotten."""
        if self._lapsing:
            now_ms = self._now_ms()
            self._lapsing = {room for room in self._lapsing if room.lapse(now_ms)}
        unsettled = []
        for room in [room for room in self.by_name.values() if not any(room.members)]:
            if not room.idle:
                continue
            if not room.empty_since:
                room.empty_since = tick
            over_s = tick - room.empty_since - self._linger_s(room)
            if -1 <= over_s < SETTLE_S and not self._online.settled(room):
                unsettled.append(room)
            elif over_s >= 0 and tick > room.empty_since:
                self._reader.unsubscribe(self._store.keys.fanout(room.partition))
                self._forget(room)
        if unsettled:
            self._online.settle(unsettled)
        self._counts[ChatCount.ROOMS] = len(self.by_name)
        self._counts[ChatCount.STREAMS] = self._reader.streams
        self._delivery.tick(tick)
        self._online.tick(tick, list(self.by_name.values()))

    def _linger_s(self, room: Room) -> int:
        """How long an empty room stays. One that nobody spoke in has nothing to keep: until it has
        been reported that it is empty."""
        linger_s = self._limits.linger_s
        unspoken = room.position.epoch == UNSPOKEN
        return min(linger_s, self._limits.online_interval_s + 1) if unspoken else linger_s

    def _ruled(self, name: str | None, fields: Collection[str] | None) -> None:
        """A room's rules changed: who joins from now on is told those."""
        room = None if name is None else self.by_name.get(name)
        if room is None:
            return
        room.rules = self._rules.book.of(room.name)
        room.snapshots.clear()
        self._delivery.ruled(room)

    def _forget(self, room: Room) -> None:
        del self.by_name[room.name]
        self._delivery.forget(room)
        self._visitors.forget(room)
        self._rules.forget(room.name)
        self._lapsing.discard(room)
        room.alone = ()  # it names the room itself: a cycle, which only the collector would free

    # --- following -----------------------------------------------------------------------------

    def acked(self, name: str, epoch: str, seq: int) -> None:  # hot: once per message from here
        """A message was acknowledged at a place: a loss if that never comes, or is given again."""
        room = self.by_name.get(name)
        if room is not None and room.position.acked(epoch, seq):
            self._tasks.spawn(self._fill(room, rewound=True))

    def deliver(self, entries: Sequence[Any]) -> None:
        """Entries of a partition stream: give each room its own, as one batch."""
        arrivals: dict[Room, list[Arrival]] = defaultdict(list)
        by_name = self.by_name
        for entry_id, fields in entries:
            try:
                room = by_name.get(fields[1].decode())
                if room is not None and not fields[3]:
                    if self._is_aside(room, fields, entry_id):
                        continue
                    if room in arrivals:  # they were said before the rules changed
                        self._give(room, room.position.take(arrivals.pop(room)))
                    self._rules.take(room.name, fields)
                elif room is not None:
                    epoch, _, seq = fields[3].partition(b"-")
                    arrivals[room].append(Arrival(epoch.decode(), int(seq), fields[5], entry_id))
            except (ValueError, IndexError):
                self._counts[ChatCount.BAD_ENTRIES] += 1
        self._counts[ChatCount.ENTRIES_READ] += len(entries)
        if entries:
            added_ms, _ = id_order(entries[0][0])
            self._counts[ChatCount.STREAM_LAG_MS] = max(0, self._now_ms() - added_ms)
        for room, batch in arrivals.items():
            self._give(room, room.position.take(batch))

    def written(self) -> None:
        """What was delivered is written out."""
        self._delivery.written(self._now_ms())

    def _is_aside(self, room: Room, fields: Sequence[bytes], entry_id: bytes) -> bool:
        """Whether an entry that takes no place is what a room is told beside its messages."""
        with suppress(BadEntry):
            control = read_broadcast(fields[5])
            if isinstance(control, Liked | Arrived):
                self._delivery.asides.take(room, control, id_order(entry_id))
                return True
        return False

    def _give(self, room: Room, taken: Taken) -> None:
        """Send what is next; fetch what is missing."""
        self._counts[ChatCount.DUPLICATES_READ] += taken.duplicates
        if taken.ready:
            events = [self._event(room, new) for new in taken.ready]
            room.recent.extend([event for event in events if not isinstance(event, Gap)])
            if self._delivery.send_next(room, taken.ready, events) < len(events):
                for event in events:
                    if isinstance(event, Delete | Clear):
                        room.forget(event)
        if taken.gap:
            self._tasks.spawn(self._fill(room, taken.rewound, room.position.held_from))

    def _remember_only(self, room: Room, places: Sequence[Sequenced]) -> None:
        room.remember_only(places)
        if any(type(place) is Msg and place.until for place in places):
            self._lapsing.add(room)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _event(self, room: Room, new: Arrival) -> Sequenced | Gap:
        """What members get for an arrival: a place with nothing of ours in it is one they lost."""
        try:
            event = read(new.entry, room.name, new.epoch, new.seq)
        except BadEntry:
            self._counts[ChatCount.BAD_ENTRIES] += 1
            self._counts[ChatCount.GAP_MESSAGES_LOST] += 1
            return Gap(room.name, new.epoch, new.seq, 1)
        if type(event) is Msg and event.until:
            self._lapsing.add(room)
            return unlapsed([event], self._now_ms())[0]
        return event

    async def _fill(self, room: Room, rewound: bool = False, gap_to: int = 0) -> None:
        """Bring a room in step from its history; it holds back arrivals meanwhile. What is missing
        before `gap_to` is a gap, unless it was only taken back before this shard had read it."""
        self._counts[ChatCount.REWINDS] += rewound
        state = await self._state_of(room, renew=rewound)
        assert state is not None, "a room that was live is wanted until it is closed"
        self._delivery.release(room)  # of the epoch that may end here
        self._remember_only(room, state.places)
        self._delivery.asides.liked(room, state.likes, id_order(state.fanout_id))
        self._rules.load(room.name, kept(state.rules))  # where messages were missed, others were
        filled, taken = room.position.fill(
            state.epoch, state.seq, state.places, state.fanout_id, state.base
        )
        missing = [place for place in filled.places if place.seq < gap_to]
        if gap_to and (filled.lost or filled.new_epoch or {*map(type, missing)} != {Removed}):
            self._counts[ChatCount.GAPS] += 1
        self._counts[ChatCount.GAP_MESSAGES_LOST] += filled.lost
        self._counts[ChatCount.GAP_MESSAGES_FILLED] += len(filled.places)
        room.redacted_at = filled.seq  # something may have been: older reads are not to be shown
        events = in_order(room.name, filled)
        if events:
            self._delivery.send(room, events)
        self._give(room, taken)
        if room.live:
            room.let_in_waiting()

    async def resync(self, streams: Collection[str] | None = None) -> None:
        """Compare every live room's position with Redis, or that of those which come by some
        streams: entries may have been lost unseen."""
        fanout = self._store.keys.fanout
        rooms = [
            room
            for room in self.by_name.values()
            if room.live and (streams is None or fanout(room.partition) in streams)
        ]
        positions = [(room.name, room.position.seq) for room in rooms]
        peeks = await self._store.peek_rooms(positions)
        set_back = 0
        for room, (_, seq), peek in zip(rooms, positions, peeks, strict=True):
            if not room.live or room.position.seq != seq:
                continue  # it is being filled, or was meanwhile
            if room.position.epoch == UNSPOKEN:
                room.snapshots.clear()  # its life may be another one
            last = room.recent[-1] if room.recent else None
            if peek is not None:
                self._delivery.asides.liked(room, peek.likes, id_order(peek.fanout_id))
            if peek is None:
                rewound = room.position.confirm(UNSPOKEN, 0, START, None, None)
            else:
                rewound = room.position.confirm(
                    peek.epoch, peek.seq, peek.fanout_id, last, peek.found
                )
            if rewound is not None:
                set_back += rewound
                self._tasks.spawn(self._fill(room, rewound))
        await self._rules.resync([room.name for room in rooms])
        if set_back:
            log.warning("Redis was set back: %d rooms get a new epoch", set_back)
