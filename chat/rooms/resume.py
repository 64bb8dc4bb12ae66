"""How a join is answered: now, later, or with what was missed.

    join -> (the room is live, the connection waits for nothing) -> in, with the newest messages
                                                                or those after `since`
         -> (the room is loading) -> waits in the room until it is live, or told that it is away
         -> (a join before it has no answer, or what was sent is not taken) -> waits in the queue
         -> (`since` is further back than the room remembers) -> the queue; the history is read

Rules. Every join gets one answer, `joined` or an error; who leaves or closes first gets none. What
comes later, and whose turn it is then, is `turns`'.

Danger: answers come later than joins. Whoever waits is kept as a Handle.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from msgspec import UnsetType

from chat.bus.store import Store
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.policy.text import room_problem
from chat.rooms.answers import Answer, remembered
from chat.rooms.members import Members
from chat.rooms.position import written
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.rooms.turns import Tell, Turns, Waiting, after_s, count
from chat.wire.commands import Join
from chat.wire.foreign import Subscribe
from chat.wire.schema import Error, ErrorCode, Ref
from shard.connections import Connections

JOINS: Final = ChatCount.JOINS  # looked up once: it takes 50 ns
OPENED_WITHIN_S: Final = 5.0
"""A join by a command that would wait longer for its room is refused: our clients wait for 10 s."""
AT_ONCE: Final = 64
"""Joins with a position that are answered in a turn of the loop without waiting in the queue."""


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
        self._turns = Turns(connections, members, store, limits, counts, chance, tell)
        self._at_once = AT_ONCE
        self.stop = self._turns.stop
        self.unblocked = self._turns.unblocked
        self.close = self._turns.close
        self.tick = self._turns.tick

    def on_settled(self, settled: Callable[[int], None]) -> None:
        """Have `settled` told of connections a join of which waits no more."""
        self._turns.settled = settled

    # --- what the connections do ---------------------------------------------------------------

    def join(
        self,
        fd: int,
        join: Join,
        patient: bool = False,
        at_once: bool = True,
        settles: bool = False,
    ) -> Room | Answer | Error | None:
        """The answer; the Room when that is only what the room is; None when it comes later.

        The `patient` wait for a room that is away, the others are refused. Who is not to be
        answered `at_once` waits for its turn. Who `settles` is not answered before the end of a
        fan-out under way in the room.
        """
        room = self._rooms.by_name.get(join.room)
        if room is None and (fault := room_problem(join.room, self._limits.room_chars)) is not None:
            self._counts[ChatCount.REFUSED_BAD_ROOM] += 1
            return Error(ErrorCode.BAD_ROOM, fault, join.ref)
        if room is None or self._members.of(fd):  # else it has room for one that is open
            refusal = self._refusal(fd, room, join.ref, patient)
            if refusal is not None:
                return refusal
            room = room or self._rooms.enter(join.room)
        self._members.ask(fd, room)
        self._counts[JOINS] += 1
        since = join.since
        if settles and self._connections.fanning_out_in(room):
            at_once = False
        if room.live and at_once and self._turns.clear(fd) and (since is None or self._may_now()):
            found = room if since is None else remembered(room, since)
            if found is not None:
                self._members.enter(fd, room, anew=since is None)
                if found is not room:
                    count(self._counts, found)
                return found
        if since is not None:
            self._members.wait(fd, room, written(since.epoch, since.seq, since.ts))
        waiting = Waiting(self._turns, self._connections.handle(fd), room, since, join.ref, patient)
        waiting.once, waiting.settles = patient or type(join) is Subscribe, settles
        if room.live:
            self._turns.queue(waiting)
        else:
            self._turns.wait_in(room, waiting)
        return None

    def waits(self, fd: int, room: Room) -> bool:
        """Whether a join of a connection waits there for its answer; not of the patient."""
        return self._turns.holds(fd, room)

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
            self._counts[ChatCount.REFUSED_TOO_MANY_ROOMS] += 1
            return Error(ErrorCode.TOO_MANY_ROOMS, f"at most {most} rooms at once", ref)
        if room is None and self._rooms.full:
            self._counts[ChatCount.REFUSED_TOO_MANY_ROOMS] += 1
            message = "too many rooms are open here; try again"
            return Error(ErrorCode.TOO_MANY_ROOMS, message, ref, after_s(self._chance))
        if room is None and not patient and self._rooms.wait_s > OPENED_WITHIN_S:
            self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
            message = "too many rooms are being opened here; try again"
            return Error(ErrorCode.RATE_LIMITED, message, ref, round(self._rooms.wait_s, 2))
        if self._turns.length(fd) >= most:
            self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
            message = f"{most} joins wait for you to read their answers"
            return Error(ErrorCode.RATE_LIMITED, message, ref, after_s(self._chance))
        return None

    def leave(self, fd: int, room: Room) -> list[Ref | UnsetType]:
        """A connection leaves, also one that waits; the refs of its joins that get no answer."""
        self._members.leave(fd, room)
        gone = [waiting for waiting in room.waiting if waiting.fd == fd]
        if gone:
            room.waiting = [waiting for waiting in room.waiting if waiting.fd != fd]
        left = dict.fromkeys((*gone, *self._turns.leave(fd, room)))  # some waited in both
        return [waiting.ref for waiting in left if isinstance(waiting, Waiting)]
