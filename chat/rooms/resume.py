"""How a join is answered: now, later, or with what was missed.

    join -> (the room is live, the connection waits for nothing) -> in, with the newest messages
                                                                or those after `since`
         -> (the room is loading) -> waits in the room until it is live, or told that it is away
         -> (the connection has not taken what it was sent) -> waits in the queue
         -> (`since` is further back than the room remembers) -> the queue; the history is read

Rules. Every join gets one answer, `joined` or an error; who leaves or closes first gets none. What
comes later goes out through `tell`: rooms by turns, those of one in order, so many bytes a turn. A
crowd that comes back at once holds up nobody. It shares a read of the history and the writing of
each message in it, wherever in it they come from.

Danger: answers come later than joins. Whoever waits is kept as a Handle.
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
from chat.policy.text import room_problem
from chat.rooms.answers import Answer, remembered
from chat.rooms.members import Members
from chat.rooms.position import written
from chat.rooms.queue import JoinQueue
from chat.rooms.replays import KEPT, Line, Replays
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.tasks import Tasks
from chat.wire.commands import Join, Since
from chat.wire.schema import Error, ErrorCode, Ref
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections
from shard.counters import Count

JOINS: Final = ChatCount.JOINS  # looked up once: it takes 50 ns
AGAIN_S: Final = (1.0, 3.0)
"""When to try again what Redis is away for: not everybody at once."""
OPENED_WITHIN_S: Final = 5.0
"""A join by a command that would wait longer for its room is refused: our clients wait for 10 s."""
CATCH_UP_S: Final = 0.02
"""How often to look whether this shard has caught up; it is a flush or two behind, if at all."""
LINED_UP: Final = 16_384
"""Joins sorted by their rooms, to be served by one read each; the others wait in the queue."""
READS: Final = KEPT
"""Rooms that are answered by turns: what is read and not yet answered is memory."""
TURN_BYTES: Final = 262_144
"""Bytes of answers until the others have their turn: a ms of writing."""
ANSWER_BYTES: Final = 4_096
"""What an answer counts at least: a small one costs as much as the writing of so many bytes."""
AT_ONCE: Final = 64
"""Joins with a position that are answered in a turn of the loop without waiting in the queue."""

Tell = Callable[[int, Room | Answer | Error, Ref | UnsetType], int]
"""Sends a connection an answer: the room as it is, what it missed, why not; how many bytes."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A connection that asked to join and has no answer yet.

    `patient` ones asked by their address when they connected: they have no command to try again,
    so they wait until the room can be had, and has come as far as they have.
    """

    resume: "Resume"
    handle: Handle
    room: Room
    since: Since | None
    ref: Ref | UnsetType
    patient: bool = False
    notified: bool = False
    left: bool = False

    @property
    def fd(self) -> int:
        return self.handle.fd

    @property
    def gone(self) -> bool:
        return self.resume.is_gone(self)

    def let_in(self, room: Room) -> None:
        self.resume.queue(self)

    def turn_away(self, room: Room) -> bool:
        return self.resume.turn_away(room, self)


class Resume:
    """Joins of one shard's connections. `tell` sends an answer that comes later."""

    def __init__(
        self,
        connections: Connections,
        rooms: Rooms,
        members: Members,
        store: Store,
        limits: Limits,
        counts: "memoryview[int]",
        chance: random.Random,
        tell: Tell,
    ) -> None:
        self._connections = connections
        self._rooms = rooms
        self._members = members
        self._limits = limits
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
        self._at_once = AT_ONCE

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    # --- what the connections do ---------------------------------------------------------------

    def join(
        self, fd: int, join: Join, patient: bool = False, at_once: bool = True
    ) -> Room | Answer | Error | None:
        """The answer; the Room when that is only what the room is; None when it comes later.

        The `patient` wait for a room that is away, the others are refused. Who is not to be
        answered `at_once` waits for its turn.
        """
        room = self._rooms.by_name.get(join.room)
        if room is None and (fault := room_problem(join.room, self._limits.room_chars)) is not None:
            return Error(ErrorCode.BAD_ROOM, fault, join.ref)
        if room is None or self._members.of(fd):  # else it has room for one that is open
            refusal = self._refusal(fd, room, join.ref, patient)
            if refusal is not None:
                return refusal
            room = room or self._rooms.enter(join.room)
        self._members.ask(fd, room)
        self._counts[JOINS] += 1
        since = join.since
        if room.live and at_once and self._queue.clear(fd) and (since is None or self._may_now()):
            found = room if since is None else remembered(room, since)
            if found is not None:
                self._members.enter(fd, room, anew=since is None)
                if found is not room:
                    self._count(found)
                return found
        if since is not None:
            self._members.wait(fd, room, written(since.epoch, since.seq, since.ts))
        waiting = Waiting(self, self._connections.handle(fd), room, since, join.ref, patient)
        if room.live:
            self.queue(waiting)
        else:
            room.waiting.append(waiting)
        return None

    def _may_now(self) -> bool:
        """Whether one more may be answered at once, in this turn of the loop."""
        if self._at_once == AT_ONCE:
            asyncio.get_running_loop().call_soon(self._new_turn)
        self._at_once -= 1
        return self._at_once >= 0

    def _new_turn(self) -> None:
        self._at_once = AT_ONCE

    def _refusal(
        self, fd: int, room: Room | None, ref: Ref | UnsetType, patient: bool
    ) -> Error | None:
        """Why a connection may not join one more room."""
        rooms = self._members.of(fd)
        most = self._limits.rooms_per_connection
        if len(rooms) >= most and room not in rooms:
            return Error(ErrorCode.TOO_MANY_ROOMS, f"at most {most} rooms at once", ref)
        if room is None and self._rooms.full:
            self._counts[ChatCount.REFUSED_TOO_MANY_ROOMS] += 1
            message = "too many rooms are open here; try again"
            return Error(ErrorCode.TOO_MANY_ROOMS, message, ref, self._after_s())
        if room is None and not patient and self._rooms.wait_s > OPENED_WITHIN_S:
            self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
            message = "too many rooms are being opened here; try again"
            return Error(ErrorCode.RATE_LIMITED, message, ref, round(self._rooms.wait_s, 2))
        if self._queue.length(fd) >= most:
            self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
            message = f"{most} joins wait for you to read their answers"
            return Error(ErrorCode.RATE_LIMITED, message, ref, self._after_s())
        return None

    def leave(self, fd: int, room: Room) -> list[Ref | UnsetType]:
        """A connection leaves, also one that waits; the refs of its joins that get no answer."""
        self._members.leave(fd, room)
        gone = [waiting for waiting in room.waiting if waiting.fd == fd]
        if gone:
            room.waiting = [waiting for waiting in room.waiting if waiting.fd != fd]
        left = self._queue.leave(fd, lambda waiting: waiting.room is room)
        for waiting in left:
            waiting.room.resuming -= 1
        return [waiting.ref for waiting in (*gone, *left) if isinstance(waiting, Waiting)]

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
        for fd in self._queue.hoarders(tick - self._limits.stall_s):
            if self._connections.is_open(fd):  # and not just closed for reading nothing at all
                self._counts[Count.CLOSED_SLOW] += 1
                self._connections.close(fd, CloseCode.SLOW_READER)

    # --- who waits -----------------------------------------------------------------------------

    def is_gone(self, waiting: Waiting) -> bool:
        """Whether who waits has closed its connection, or left the room."""
        return waiting.left or not self._connections.alive(waiting.handle)

    def queue(self, waiting: Waiting) -> None:
        """The room is live: this one is answered when its turn comes."""
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
            fd, Error(ErrorCode.UNAVAILABLE, message, waiting.ref, self._after_s()), waiting.ref
        )
        return waiting.patient

    def _after_s(self) -> float:
        return round(self._chance.uniform(*AGAIN_S), 2)

    def _finish(self, waiting: Waiting) -> None:
        """It has its answer, or needs none."""
        waiting.room.resuming -= 1
        self._queue.answered(waiting, self._connections.tick)

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
            elif (found := self._replays.answer(line, waiting.since, fresh)) is None:
                waits.appendleft(waiting)
                self._lined_up += 1
                return
            elif waiting.patient and self._replays.is_behind(line, waiting.since):
                # Only the patient may not know a message that comes twice.
                self._later(waiting, CATCH_UP_S)
            else:
                self._members.enter(waiting.fd, room, anew=waiting.since is None)
                self._count(found)
                size = self._tell(waiting.fd, found, waiting.ref)
                self._turn_bytes += max(size, ANSWER_BYTES)
                self._finish(waiting)

    def _is_settled(self, waiting: Waiting) -> bool:
        """Whether a join is over, or waits in its room again; nothing else is to be done then."""
        if not self.is_gone(waiting):
            if waiting.room.live:
                return False
            waiting.room.waiting.append(waiting)
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

    def _count(self, found: Room | Answer) -> None:
        if isinstance(found, Answer):
            recovered = found.event.recovered
            self._counts[ChatCount.RESUMED if recovered else ChatCount.RESUME_FAILED] += 1
