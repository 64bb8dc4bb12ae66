"""Joins that wait, and how they are answered: in turns, so many bytes each.

    queue -> (its room is open, its connection has taken what it was sent) -> lined up by room
          -> (no fan-out is to be overtaken) -> answered
    a room that cannot be had -> turned away

Rules. Those of one connection are answered in order, but for the patient, who may wait for long and
hold up nobody. Rooms go by turns, those who wait for one in order. A crowd that comes back at once
holds up nobody. It shares a read of the history and the writing of each message in it, wherever in
it they come from.

Danger: answers come later than joins. Whoever waits is kept as a Handle. And an answer overtakes
a fan-out under way: who would show twice what both have, waits for the fan-out's end.
"""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from msgspec import UnsetType

from chat.bus.store import Store
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.rooms.answers import Answer
from chat.rooms.members import Members
from chat.rooms.queue import JoinQueue
from chat.rooms.replays import KEPT, Line, Replays
from chat.rooms.room import Room
from chat.tasks import Tasks
from chat.wire.commands import Since
from chat.wire.schema import Error, ErrorCode, Ref
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections
from shard.counters import Count

AGAIN_S: Final = (1.0, 3.0)
"""When to try again what Redis is away for: not everybody at once."""
CATCH_UP_S: Final = 0.02
"""How often to look whether this shard has caught up; it is a flush or two behind, if at all."""
FAN_OUT_S: Final = 0.002
"""How often to look whether a fan-out is over; it announces no end, and takes some ms."""
LINED_UP: Final = 16_384
"""Joins sorted by their rooms, to be served by one read each; the others wait in the queue."""
READS: Final = KEPT
"""Rooms that are answered by turns: what is read and not yet answered is memory."""
TURN_BYTES: Final = 262_144
"""Bytes of answers until the others have their turn: a ms of writing."""
ANSWER_BYTES: Final = 4_096
"""What an answer counts at least: a small one costs as much as the writing of so many bytes."""

Tell = Callable[[int, Room | Answer | Error, Ref | UnsetType], int]
"""Sends a connection an answer: the room as it is, what it missed, why not; how many bytes."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A connection that asked to join and has no answer yet.

    `patient` ones asked by their address when they connected: they have no command to try again,
    so they wait until the room can be had.

    once     whether it shows whatever it is sent: it waits until the room has come as far as it has
    settles  whether it may still be sent something by the room's fan-out, and not twice
    opening  whether it waits in its room, too, until that is open
    """

    turns: "Turns"
    handle: Handle
    room: Room
    since: Since | None
    ref: Ref | UnsetType
    patient: bool = False
    once: bool = False
    settles: bool = False
    opening: bool = False
    notified: bool = False
    left: bool = False

    @property
    def fd(self) -> int:
        return self.handle.fd

    @property
    def gone(self) -> bool:
        return self.turns.is_gone(self)

    @property
    def ready(self) -> bool:
        return not self.opening

    def let_in(self, room: Room) -> None:
        self.turns.let_in(self)

    def turn_away(self, room: Room) -> bool:
        return self.turns.turn_away(room, self) or self.turns.drop(self)


class Turns:
    """Joins of one shard's connections that wait. `tell` sends an answer.

    settled  is told of a connection that a join of which waits no more
    """

    def __init__(
        self,
        connections: Connections,
        members: Members,
        store: Store,
        limits: Limits,
        counts: "memoryview[int]",
        chance: random.Random,
        tell: Tell,
    ) -> None:
        self._connections = connections
        self._members = members
        self._stall_s = limits.stall_s
        self._counts = counts
        self._chance = chance
        self._tell = tell
        self._queue: JoinQueue[Waiting] = JoinQueue(connections.backlog, limits.resume_bytes)
        self._lines: defaultdict[Line, deque[Waiting]] = defaultdict(deque)
        self._lined_up = 0
        self._replays = Replays(store)
        self._tasks = Tasks("joins")
        self._serving = False
        self._turn_bytes = 0
        self.settled: Callable[[int], None] = lambda fd: None
        self.clear = self._queue.clear
        self.length = self._queue.length

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    # --- what the connections do ---------------------------------------------------------------

    def leave(self, fd: int, room: Room) -> list[Waiting]:
        """A connection leaves; its joins that waited here."""
        left = self._queue.leave(fd, lambda waiting: waiting.room is room)
        for waiting in left:
            waiting.room.resuming -= 1
        self.settled(fd)
        self._go_on()
        return left

    def holds(self, fd: int, room: Room) -> bool:
        """Whether a join of a connection to a room waits here."""
        return self._queue.holds(fd, lambda waiting: waiting.room is room)

    def close(self, fd: int) -> None:
        """A connection is over."""
        for waiting in self._queue.close(fd):
            waiting.room.resuming -= 1
        self._go_on()

    def unblocked(self, fd: int) -> None:
        """A connection has taken all that was sent to it."""
        self._queue.unblocked(fd)
        self._go_on()

    def tick(self, tick: int) -> None:
        """Who takes an answer so slowly that others have to wait for it is given up."""
        self._replays.tick()
        for fd in self._queue.hoarders(tick - self._stall_s):
            if self._connections.is_open(fd):  # and not just closed for reading nothing at all
                self._counts[Count.CLOSED_SLOW] += 1
                self._connections.close(fd, CloseCode.SLOW_READER)

    # --- who waits -----------------------------------------------------------------------------

    def is_gone(self, waiting: Waiting) -> bool:
        """Whether who waits has closed its connection, or left the room."""
        return waiting.left or not self._connections.alive(waiting.handle)

    def wait_in(self, room: Room, waiting: Waiting) -> None:
        """The room is not live: this one is told when it is, or when it cannot be had."""
        room.waiting.append(waiting)
        if not waiting.patient:
            waiting.opening = True
            self.queue(waiting)

    def let_in(self, waiting: Waiting) -> None:
        """The room it waited in is live."""
        if not waiting.opening:
            self.queue(waiting)
        elif not self.is_gone(waiting):
            waiting.opening = False
            self._queue.look_at(waiting.fd)
            self._go_on()

    def drop(self, waiting: Waiting) -> bool:
        """It has been turned away by the room it waited in, and waits no more."""
        if self._queue.leave(waiting.fd, lambda one: one is waiting):
            waiting.room.resuming -= 1
            self.settled(waiting.fd)
            self._go_on()
        return False

    def queue(self, waiting: Waiting) -> None:
        """This one is answered when its turn comes."""
        if self.is_gone(waiting):
            return
        waiting.room.resuming += 1  # it must not be closed meanwhile
        self._queue.add(waiting)
        self._go_on()

    def turn_away(self, room: Room, waiting: Waiting) -> bool:
        """Say that a join has to wait; whether it does. It is refused, unless it is patient; then
        it is said once.

        Who is in the room already and asked to be brought up to date stays in it.
        """
        fd = waiting.fd
        if self.is_gone(waiting):
            return False
        if waiting.notified:
            return True
        if waiting.patient:
            waiting.notified = True
            message = f"the room {room.name} cannot be opened now; you are let in when it can"
        else:
            message = f"the room {room.name} cannot be read now; join again"
            if not self._members.has(fd, room):
                self._members.leave(fd, room)
        self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
        self._tell(
            fd,
            Error(ErrorCode.UNAVAILABLE, message, waiting.ref, after_s(self._chance)),
            waiting.ref,
        )
        return waiting.patient

    def _finish(self, waiting: Waiting) -> None:
        """It has its answer, or needs none."""
        waiting.room.resuming -= 1
        self._queue.answered(waiting, self._connections.tick)
        self.settled(waiting.fd)

    def _later(self, waiting: Waiting, delay_s: float) -> None:
        """It is looked at again; what its connection asked for after it waits, too."""
        self._tasks.spawn(self._after(waiting, delay_s))

    async def _after(self, waiting: Waiting, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if self.is_gone(waiting):
            self._finish(waiting)
        else:
            self._queue.put_back([waiting])
        self._go_on()

    # --- answering in turn ---------------------------------------------------------------------

    def _go_on(self) -> None:
        if (self._queue.due or self._lines) and self._queue.affords and not self._serving:
            self._serving = True
            self._tasks.spawn(self._serve())

    async def _serve(self) -> None:
        """Answer those whose turn it is, until nobody's is or no more can be given."""
        try:
            while self._queue.affords:
                self._line_up()
                if not self._lines:
                    break
                await self._visit(list(islice(self._lines, READS)))
        finally:
            self._serving = False

    def _line_up(self) -> None:
        """Those whose turn it is, by what they wait for."""
        for waiting in self._queue.take(LINED_UP - self._lined_up):
            self._lined_up += 1
            epoch = "" if waiting.since is None else waiting.since.epoch
            self._lines[waiting.room, epoch].append(waiting)

    async def _visit(self, lines: Sequence[Line]) -> None:
        """Answer a turn's worth of each line; what has to be read for them is read together."""
        wanted = {line: self._wanted_from(line) for line in lines}
        reads = {line: after for line, after in wanted.items() if after is not None}
        found = await asyncio.gather(*(self._replays.read(*read) for read in reads.items()))
        away = {line for line, replay in zip(reads, found, strict=True) if replay is None}
        for line in lines:
            if line in away:
                await self._turn_line_away(line)
            else:
                self._answer_some(line, line in reads)
            if not self._lines[line]:
                del self._lines[line]
            await self._others()

    async def _others(self) -> None:
        """All else has its turn."""
        self._turn_bytes = 0
        await asyncio.sleep(0)

    def _wanted_from(self, line: Line) -> int | None:
        """The seq behind which a line's room has to be read; None: the next one has its answer."""
        waits = self._lines[line]
        while waits and self._is_settled(waits[0]):
            self._next(waits)
        self._replays.begin()
        if not waits or self._replays.answer(line, waits[0].since, False) is not None:
            return None
        return min(waiting.since.seq for waiting in waits if waiting.since is not None) - 1

    def _next(self, waits: deque[Waiting]) -> Waiting:
        self._lined_up -= 1
        return waits.popleft()

    def _answer_some(self, line: Line, fresh: bool) -> None:
        """Answer those who are first in a line, as many as a turn has room for."""
        room, waits = line[0], self._lines[line]
        self._replays.begin()
        while waits and self._turn_bytes < TURN_BYTES and self._queue.affords:
            waiting = self._next(waits)
            if self._is_settled(waiting):
                continue
            if self._connections.backlog(waiting.fd):
                self._queue.put_back([waiting])
            elif waiting.settles and self._connections.fanning_out_in(room):
                self._later(waiting, FAN_OUT_S)
            elif (found := self._replays.answer(line, waiting.since, fresh)) is None:
                waits.appendleft(waiting)
                self._lined_up += 1
                return
            elif waiting.once and self._replays.is_behind(line, waiting.since):
                self._later(waiting, CATCH_UP_S)
            else:
                self._members.enter(waiting.fd, room, anew=waiting.since is None)
                count(self._counts, found)
                size = self._tell(waiting.fd, found, waiting.ref)
                self._turn_bytes += max(size, ANSWER_BYTES)
                self._finish(waiting)

    def _is_settled(self, waiting: Waiting) -> bool:
        """Whether a join is over, or waits in its room again; nothing else is to be done then."""
        room = waiting.room
        if not self.is_gone(waiting):
            if room.live:
                return False
            room.waiting.append(waiting)
            if not waiting.patient:
                waiting.opening = True
                self._queue.put_back([waiting])
                return True
        self._finish(waiting)
        return True

    async def _turn_line_away(self, line: Line) -> None:
        """The history of a room cannot be read now."""
        waits = self._lines[line]
        for _ in range(len(waits)):
            waiting = self._next(waits)
            if not self._is_settled(waiting):
                self._turn_bytes += ANSWER_BYTES
                if self.turn_away(waiting.room, waiting):
                    self._later(waiting, self._chance.uniform(*AGAIN_S))
                else:
                    self._finish(waiting)
            if self._turn_bytes >= TURN_BYTES:
                await self._others()


def after_s(chance: random.Random) -> float:
    """When to try again."""
    return round(chance.uniform(*AGAIN_S), 2)


def count(counts: "memoryview[int]", found: Room | Answer) -> None:
    """Somebody who said a position is answered."""
    if isinstance(found, Answer):
        recovered = found.event.recovered
        counts[ChatCount.RESUMED if recovered else ChatCount.RESUME_FAILED] += 1
