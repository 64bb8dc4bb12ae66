"""Which rooms a connection is in, and how it gets in: now, later, or with what it missed.

    join -> (room live)    -> joined with the newest messages, or with those after `since`
         -> (room loading) -> waits; joined when it is live, or told that it is away
         -> (`since` further back than the room remembers) -> the history is read, then joined

Rules. Per connection there is one tuple of rooms, shared by all who are in one room only. Every
join gets one answer, `joined` or an error; who leaves or closes first gets none.

Danger: answers come later than joins. Whoever waits is kept as (descriptor, generation).
"""

import random
from typing import Any, Final

from msgspec import UNSET

from chat.bus.names import new_epoch
from chat.bus.store import Store, StoreError
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.policy.text import room_problem
from chat.rooms.room import Phase, Room, Snapshot, Waiting
from chat.rooms.rooms import Rooms
from chat.wire.schema import ErrorCode, Join, Joined, Leave, Left, Msg, Ref, State
from shard.group import ConnectionGroup

AGAIN_S: Final = (1.0, 3.0)
"""When to try again what Redis is away for: not everybody at once."""


class Joins:
    """The memberships of one shard's connections. `rooms` tells it which are live or away."""

    rooms: Rooms

    def __init__(
        self,
        group: ConnectionGroup,
        replies: Replies,
        store: Store,
        limits: Limits,
        counts: "memoryview[int]",
        rows: int,
        chance: random.Random,
    ) -> None:
        self._group = group
        self._replies = replies
        self._store = store
        self._limits = limits
        self._counts = counts
        self._chance = chance
        self._of: list[tuple[Room, ...]] = [()] * rows

    def joined(self, fd: int, name: str) -> Room | None:
        """The room called `name`, if the connection has joined it."""
        room = self.rooms.by_name.get(name)
        return room if room is not None and room in self._of[fd] else None

    def rooms_of(self, fd: int) -> tuple[Room, ...]:
        """The rooms the connection has joined."""
        return self._of[fd]

    def close(self, fd: int) -> None:
        """The connection is over."""
        variant = self._group.table.variant[fd]
        for room in self._of[fd]:
            room.members[variant].discard(fd)
        self._of[fd] = ()

    def join(self, fd: int, join: Join, patient: bool = False) -> bytes | None:
        """The encoded answer, or None when it comes later.

        The `patient` wait for a room that is away, the others are refused.
        """
        name = join.room
        fault = room_problem(name, self._limits.room_chars)
        if fault is not None:
            return self._replies.error(fd, ErrorCode.BAD_ROOM, fault, join.ref)
        rooms = self._of[fd]
        most = self._limits.rooms_per_connection
        if len(rooms) >= most and self.rooms.by_name.get(name) not in rooms:
            return self._replies.error(
                fd, ErrorCode.TOO_MANY_ROOMS, f"at most {most} rooms at once", join.ref
            )
        room = self.rooms.enter(name)
        if room not in rooms:
            self._of[fd] = (*rooms, room) if rooms else room.alone
        self._counts[ChatCount.JOINS] += 1
        since = None if join.since is None else (join.since.epoch, join.since.seq)
        if room.phase is Phase.LIVE:
            if since is None:
                self._enter(fd, room)
                return self._snapshot(fd, room, join.ref)
            missed = room.missed(since)
            if missed is not None or since[0] != room.epoch:
                self._enter(fd, room)
                return self._replies.one(fd, self._joined(room, since, missed, join.ref))
        generation = self._group.table.generation[fd]
        waiting = Waiting(fd, generation, since, join.ref, patient)
        if room.phase is Phase.LIVE:
            self._begin_resume(room, waiting)
        else:
            room.waiting.append(waiting)
        return None

    def _enter(self, fd: int, room: Room) -> None:
        room.empty_since = 0
        room.members[self._group.table.variant[fd]].add(fd)

    def _snapshot(self, fd: int, room: Room, ref: Ref | Any) -> bytes:
        """A `joined` with the newest messages; those without a ref share one encoding."""
        if ref is not UNSET:
            return self._replies.one(fd, self._joined(room, None, None, ref))
        variant = self._group.table.variant[fd]
        kept = room.snapshots[variant]
        online = room.online
        # In a large room a count that is 1 % old does.
        if kept is None or kept.seq != room.seq or abs(kept.online - online) * 100 > online:
            encoded = self._replies.one(fd, self._joined(room, None, None, UNSET))
            kept = room.snapshots[variant] = Snapshot(room.seq, online, encoded)
        return kept.encoded

    def _joined(
        self,
        room: Room,
        since: tuple[str, int] | None,
        missed: list[Msg] | None,
        ref: Ref | Any,
    ) -> Joined:
        """The answer to a join; `missed` None is a position that cannot be resumed."""
        recovered = since is not None and missed is not None
        if since is not None:
            self._counts[ChatCount.RESUMED if recovered else ChatCount.RESUME_FAILED] += 1
        seq = room.seq
        if recovered and since is not None:
            # The client may be ahead of this shard by what is on its way here.
            seq = max(seq, since[1])
        history = room.newest if missed is None else missed
        return Joined(room.name, room.epoch, seq, room.online, recovered, history, State(), ref)

    def _begin_resume(self, room: Room, waiting: Waiting) -> None:
        room.resuming += 1  # it must not be closed meanwhile
        self.rooms.spawn(self._resume(room, waiting))

    async def _resume(self, room: Room, waiting: Waiting) -> None:
        """Answer a join whose `since` the room cannot judge from what it remembers."""
        assert waiting.since is not None
        epoch, after = waiting.since
        try:
            state = await self._store.open_room(room.name, new_epoch(), after=after, of=epoch)
        except StoreError:
            self._turn_away(room, waiting)
            return
        finally:
            room.resuming -= 1
        if not self._group.alive(waiting.fd, waiting.generation):
            return
        if room.phase is not Phase.LIVE:
            room.waiting.append(waiting)
            return
        # What was read may be ahead of this shard, or behind it by now. And a position that not
        # even Redis has reached was reached before it was set back.
        missed = [message for message in state.messages if after < message.seq <= room.seq]
        last = missed[-1].seq if missed else after
        missed += [message for message in room.recent if message.seq > last]
        whole = (
            epoch == room.epoch == state.epoch
            and after <= state.seq
            and len(missed) == max(0, room.seq - after)
        )
        self._answer(room, waiting, missed if whole else None)

    def answer_waiting(self, room: Room) -> None:
        """The room is live: answer those who came before it was."""
        waiting, room.waiting = room.waiting, []
        for one in waiting:
            if not self._group.alive(one.fd, one.generation):
                continue
            missed = None if one.since is None else room.missed(one.since)
            if one.since is not None and missed is None and one.since[0] == room.epoch:
                self._begin_resume(room, one)
            else:
                self._answer(room, one, missed)

    def turn_away_waiting(self, room: Room) -> None:
        """The room cannot be had now: refuse those who wait for it, but for the patient."""
        waiting, room.waiting = room.waiting, []
        for one in waiting:
            self._turn_away(room, one)
            if one.patient and self._group.alive(one.fd, one.generation):
                room.waiting.append(one)

    def _turn_away(self, room: Room, waiting: Waiting) -> None:
        """Say that a join has to wait. It is refused, unless it is patient; then it is said once.

        Who is in the room already and asked to be brought up to date stays in it.
        """
        fd = waiting.fd
        if waiting.told or not self._group.alive(fd, waiting.generation):
            return
        if waiting.patient:
            waiting.told = True
            message = f"the room {room.name} cannot be opened now; you are let in when it can"
        else:
            message = f"the room {room.name} cannot be read now; join again"
            if fd not in room.members[self._group.table.variant[fd]]:
                self._forget(fd, room)
        self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
        after = self._chance.uniform(*AGAIN_S)
        refusal = self._replies.error(fd, ErrorCode.UNAVAILABLE, message, waiting.ref, after)
        self._replies.send(fd, [refusal])

    def _forget(self, fd: int, room: Room) -> None:
        left = tuple(other for other in self._of[fd] if other is not room)
        self._of[fd] = left[0].alone if len(left) == 1 else left

    def _answer(self, room: Room, waiting: Waiting, missed: list[Msg] | None) -> None:
        fd = waiting.fd
        if room not in self._of[fd]:
            return  # it left before it was let in
        self._enter(fd, room)
        joined = self._joined(room, waiting.since, missed, waiting.ref)
        self._replies.send(fd, [self._replies.one(fd, joined)])

    def leave(self, fd: int, leave: Leave) -> bytes:
        """The encoded answer."""
        room = self.joined(fd, leave.room)
        if room is None:
            return self._replies.error(fd, ErrorCode.NOT_JOINED, "not in this room", leave.ref)
        self._forget(fd, room)
        room.members[self._group.table.variant[fd]].discard(fd)
        if room.waiting:
            room.waiting = [waiting for waiting in room.waiting if waiting.fd != fd]
        return self._replies.one(fd, Left(leave.room, leave.ref))
