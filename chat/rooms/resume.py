"""How a join is answered: now, later, or with what was missed.

    join -> (room live)    -> in, with the newest messages or those after `since`
         -> (room loading) -> waits; in when it is live, or told that it is away
         -> (`since` further back than the room remembers) -> the history is read, then in

Rules. Every join gets one answer, `joined` or an error; who leaves or closes first gets none. What
comes later goes out through `tell`.

Danger: answers come later than joins. Whoever waits is kept as a Handle.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET, UnsetType

from chat.bus.connect import StoreError
from chat.bus.store import RoomState, Store
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.policy.text import room_problem
from chat.rooms.members import Members
from chat.rooms.position import UNSPOKEN, continues
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.tasks import Tasks
from chat.wire.batch import shorten
from chat.wire.schema import Error, ErrorCode, Join, Joined, Ref, Sequenced
from pool.handle import Handle
from shard.connections import Connections

AGAIN_S: Final = (1.0, 3.0)
"""When to try again what Redis is away for: not everybody at once."""
CATCH_UP_S: Final = 0.02
"""How often to look whether this shard has caught up; it is a flush or two behind, if at all."""

Tell = Callable[[int, Joined | Error], None]


@dataclass(slots=True)
class Waiting:
    """A connection that asked to join and has no answer yet.

    `patient` ones asked by their address when they connected: they have no command to try again,
    so they wait until the room can be had, and has come as far as they have.
    """

    resume: "Resume"
    handle: Handle
    since: tuple[str, int] | None
    ref: Ref | UnsetType
    patient: bool = False
    notified: bool = False

    @property
    def fd(self) -> int:
        return self.handle.fd

    @property
    def gone(self) -> bool:
        return self.resume.is_gone(self)

    def let_in(self, room: Room) -> None:
        self.resume.answer_waiting(room, self)

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
        self._store = store
        self._limits = limits
        self._counts = counts
        self._chance = chance
        self._tell = tell
        self._tasks = Tasks("joins")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def join(self, fd: int, join: Join, patient: bool = False) -> Room | Joined | Error | None:
        """The answer; the Room when that is only what the room is; None when it comes later.

        The `patient` wait for a room that is away, the others are refused.
        """
        room = self._rooms.by_name.get(join.room)
        if room is None and (fault := room_problem(join.room, self._limits.room_chars)) is not None:
            return Error(ErrorCode.BAD_ROOM, fault, join.ref)
        rooms = self._members.of(fd)
        most = self._limits.rooms_per_connection
        if len(rooms) >= most and room not in rooms:
            return Error(ErrorCode.TOO_MANY_ROOMS, f"at most {most} rooms at once", join.ref)
        if room is None:
            if self._rooms.full:
                self._counts[ChatCount.REFUSED_TOO_MANY_ROOMS] += 1
                after = round(self._chance.uniform(*AGAIN_S), 2)
                message = "too many rooms are open here; try again"
                return Error(ErrorCode.TOO_MANY_ROOMS, message, join.ref, after)
            room = self._rooms.enter(join.room)
        self._members.ask(fd, room)
        self._counts[ChatCount.JOINS] += 1
        since = None if join.since is None else (join.since.epoch, join.since.seq)
        if room.live:
            if since is None:
                self._members.enter(fd, room)
                return room
            missed = room.missed(since)
            if missed is not None or room.is_over(since):
                self._members.enter(fd, room)
                return self._joined(room, since, missed, join.ref)
        waiting = Waiting(self, self._connections.handle(fd), since, join.ref, patient)
        if room.live:
            self._begin_reading(room, waiting)
        else:
            room.waiting.append(waiting)
        return None

    def leave(self, fd: int, room: Room) -> None:
        """A connection leaves, also one that waits."""
        self._members.leave(fd, room)
        if room.waiting:
            room.waiting = [waiting for waiting in room.waiting if waiting.fd != fd]

    def is_gone(self, waiting: Waiting) -> bool:
        """Whether who waits has closed its connection."""
        return not self._connections.alive(waiting.handle)

    def answer_waiting(self, room: Room, waiting: Waiting) -> None:
        """The room is live: answer who came before it was."""
        if not self._connections.alive(waiting.handle):
            return
        since = waiting.since
        missed = None if since is None else room.missed(since)
        if since is not None and missed is None and not room.is_over(since):
            self._begin_reading(room, waiting)
        else:
            self._answer(room, waiting, missed)

    def turn_away(self, room: Room, waiting: Waiting) -> bool:
        """Say that a join has to wait; whether it does. It is refused, unless it is patient; then
        it is said once.

        Who is in the room already and asked to be brought up to date stays in it.
        """
        fd = waiting.fd
        if not self._connections.alive(waiting.handle):
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
        after = round(self._chance.uniform(*AGAIN_S), 2)
        self._tell(fd, Error(ErrorCode.UNAVAILABLE, message, waiting.ref, after))
        return waiting.patient

    def _begin_reading(self, room: Room, waiting: Waiting) -> None:
        room.resuming += 1  # it must not be closed meanwhile
        self._tasks.spawn(self._read(room, waiting))

    async def _read(self, room: Room, waiting: Waiting) -> None:
        """Answer a join whose `since` the room cannot judge from what it remembers."""
        assert waiting.since is not None
        epoch, after = waiting.since
        try:
            state = await self._history(room, waiting)
            if state is not None and await self._catches_up(room, waiting, state):
                state = await self._history(room, waiting)
        finally:
            room.resuming -= 1
        if state is None or not self._connections.alive(waiting.handle):
            return
        if not room.live:
            room.waiting.append(waiting)
            return
        # What was read may be ahead of this shard, or behind it by now. And a position that not
        # even Redis has reached was reached before it was set back.
        here = room.position
        missed = [place for place in state.places if after < place.seq <= here.seq]
        last = missed[-1].seq if missed else after
        missed += [place for place in room.recent if place.seq > last]
        epochs = {epoch, here.epoch, state.epoch} - {UNSPOKEN}
        whole = (
            len(epochs) <= 1
            and (epoch == UNSPOKEN or state.epoch != UNSPOKEN)
            and after <= state.seq
            and len(missed) == max(0, here.seq - after)
        )
        self._answer(room, waiting, missed if whole else None)

    async def _catches_up(self, room: Room, waiting: Waiting, state: RoomState) -> bool:
        """Wait until this shard has read as far as the one that a client comes from; whether it
        was behind. Only for the patient: they may not know a message that comes twice.
        """
        assert waiting.since is not None
        epoch, after = waiting.since
        behind = False
        while (
            waiting.patient
            and self._connections.alive(waiting.handle)
            and room.live
            and continues(state.epoch, room.position.epoch)
            and room.position.seq < after <= state.seq
            and state.epoch == epoch
        ):
            behind = True
            await asyncio.sleep(CATCH_UP_S)
        return behind

    async def _history(self, room: Room, waiting: Waiting) -> RoomState | None:
        """What the room has after `since`; None for one who was turned away."""
        assert waiting.since is not None
        epoch, after = waiting.since
        while True:
            try:
                return await self._store.open_room(room.name, after=after, of=epoch)
            except StoreError:
                if not self.turn_away(room, waiting):
                    return None
                await asyncio.sleep(self._chance.uniform(*AGAIN_S))

    def _answer(self, room: Room, waiting: Waiting, missed: list[Sequenced] | None) -> None:
        fd = waiting.fd
        if room not in self._members.of(fd):
            return  # it left before it was let in
        self._members.enter(fd, room)
        self._tell(fd, self._joined(room, waiting.since, missed, waiting.ref))

    def _joined(
        self,
        room: Room,
        since: tuple[str, int] | None,
        missed: list[Sequenced] | None,
        ref: Ref | Any,
    ) -> Joined:
        """The answer to a join; `missed` None is a position that cannot be resumed."""
        recovered = since is not None and missed is not None
        if since is not None:
            self._counts[ChatCount.RESUMED if recovered else ChatCount.RESUME_FAILED] += 1
        answer = joined(room, missed, ref)
        if recovered and since is not None:
            answer.recovered = True
            # The client may be ahead of this shard by what is on its way here, the first even.
            answer.epoch = answer.epoch or since[0]
            answer.seq = max(answer.seq, since[1])
        return answer


def joined(room: Room, missed: list[Sequenced] | None = None, ref: Ref | Any = UNSET) -> Joined:
    """A room as who joins it is shown it: its newest places, unless there is what it missed."""
    here = room.position
    history = shorten(room.newest if missed is None else missed, None)
    return Joined(room.name, here.epoch, here.seq, room.online, False, history, ref)
