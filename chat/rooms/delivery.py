"""What a room's members are sent: its messages as far as they are shown, and what rides along.

    choose (display budget) -> merge (duplicates) -> with counts, likes and who came -> emit

Rules. Whatever is given out goes through `emit`, in order. A room without a budget and without
merging pays nothing for either. What shows nobody anything is not worth a write to each: it is
held, and goes with what comes next, or with the tick. What is told beside messages rides with them,
or goes alone within one budget of writes for all rooms.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from chat.counters import DELIVERY_MS, FLUSH_MESSAGES, ChatCount
from chat.rooms.announcer import Announcer
from chat.rooms.asides import Asides
from chat.rooms.budget import WriteBudget
from chat.rooms.merge import merged
from chat.rooms.position import Arrival
from chat.rooms.room import Room
from chat.rooms.shed import Display
from chat.wire.schema import Aside, Gap, LeftOut, Msg, Sequenced
from pool.histogram import Histogram

Emit = Callable[[Room, Sequence[Sequenced | Gap | Aside]], int]
"""Sends events to all members, in order; how often a sender got what others are not shown."""


class Delivery:
    """For one shard's rooms.

    shown_per_s  messages a second that a room shows where its rules do not say; 0: all
    clock        seconds, monotonic
    """

    def __init__(
        self,
        emit: Emit,
        counts: "memoryview[int]",
        shown_per_s: int,
        clock: Callable[[], float],
    ) -> None:
        self._emit = emit
        self._counts = counts
        self._sizes = Histogram(FLUSH_MESSAGES, counts)
        self._ages = Histogram(DELIVERY_MS, counts)
        self._said_ms: list[int] = []
        self._shown_per_s = shown_per_s
        self._budget = WriteBudget()
        self.announcer = Announcer(emit, counts, self._budget)
        self.asides = Asides(emit, clock, self._budget)
        self._tellers = [self.announcer.tick, self.asides.tick]
        self._holding: set[Room] = set()

    def show(self, shown_per_s: int, rooms: Iterable[Room]) -> None:
        """What is shown where a room's rules do not say; `rooms` are those there are."""
        self._shown_per_s = shown_per_s
        for room in rooms:
            self.ruled(room)

    def ruled(self, room: Room) -> None:
        """A room's rules changed."""
        shown_per_s = room.rules.settings.shown_per_s or self._shown_per_s
        if shown_per_s != (room.display.per_s if room.display else 0):
            room.display = Display(shown_per_s) if shown_per_s else None

    def forget(self, room: Room) -> None:
        """The room is closed."""
        self.announcer.forget(room)
        self.asides.forget(room)
        self._holding.discard(room)

    def tick(self, tick: int) -> None:
        """A second has passed."""
        for room in list(self._holding):
            self.release(room)
        self._budget.refill(tick)
        had = not self._budget.spent
        for tell in self._tellers:
            tell(tick)
        if had and self._budget.spent:  # whoever comes first when that ends is next last
            self._tellers.reverse()

    def send_next(
        self, room: Room, arrivals: Sequence[Arrival], events: Sequence[Sequenced | Gap]
    ) -> int:
        """Give out what has come, as far as the room shows it; how many messages it is."""
        if type(oldest := events[0]) is Msg:
            self._said_ms.append(oldest.ts)
        if room.display is None and not room.held:
            return self.send(room, events)
        if room.display is not None:
            events = room.display.choose(arrivals, events)
        kinds = [type(event) for event in events]
        left_out, messages = kinds.count(LeftOut), kinds.count(Msg)
        held, _ = self._merged(room, events, messages)
        room.held += held
        if left_out == len(events):
            self._holding.add(room)
        else:
            self.release(room)
        return left_out + messages

    def written(self, now_ms: int) -> None:
        """All that has come is written: so old were the oldest messages of the rooms' batches."""
        for said_ms in self._said_ms:
            self._ages.observe(now_ms - said_ms)
        self._said_ms.clear()

    def send(self, room: Room, events: Sequence[Sequenced | Gap]) -> int:
        """Give out all of some events; how many messages they are."""
        messages = [type(event) for event in events].count(Msg)
        self._give_out(room, *self._merged(room, events, messages))
        return messages

    def release(self, room: Room) -> None:
        """Give out what is held."""
        self._holding.discard(room)
        held, room.held = room.held, []
        if held:
            kinds = [type(event) for event in held]
            had = _had(room, [one.seq for one in held if type(one) is LeftOut])
            own = self._give_out(room, held, kinds.count(Msg))
            room.ahead.clear()
            left_out = kinds.count(LeftOut)
            self._counts[ChatCount.MESSAGES_DELIVERED] += own
            self._counts[ChatCount.MESSAGES_SHED] += room.local * left_out - had - own

    def _give_out(  # hot: once per batch of a room
        self, room: Room, events: Sequence[Sequenced | Gap], shown: int
    ) -> int:
        self._counts[ChatCount.FLUSHES] += 1
        self._sizes.observe(shown)
        self._counts[ChatCount.MESSAGES_DELIVERED] += room.local * shown
        online, asides = self.announcer.riding(room), self.asides.riding(room)
        return self._emit(room, [*events, *online, *asides] if online or asides else events)

    def _merged(
        self, room: Room, events: Sequence[Sequenced | Gap], messages: int
    ) -> tuple[Sequence[Sequenced | Gap], int]:
        """Events as they go out, so many of them `messages`; how many still are."""
        if messages < 2 or not room.rules.settings.merge_duplicates:
            return events, messages
        events = merged(events)
        shown = [type(event) for event in events].count(Msg)
        self._counts[ChatCount.MERGED] += messages - shown
        return events, shown


def _had(room: Room, left_out: Sequence[int]) -> int:
    """How many deliveries of what is left out, by seq, have been made in answers to joins."""
    return sum(
        bisect_right(left_out, seq)
        for fd, seq in room.ahead.items()
        if any(fd in members for members in room.members)
    )
