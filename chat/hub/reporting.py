"""What viewers report: a message of a room they are in, put in the queue of those who judge it.

Rules. The message is put there as this shard knows it, never as the viewer tells it. It is answered
when the queue has it; a viewer that repeats itself is answered alike and changes nothing. Reports
are rare, so each costs a look-up and a round trip; how many, is bounded for a user by a rate, and
for the shard by how many are under way.
"""

from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from chat.bus.connect import StoreError
from chat.bus.reports import Report as Reported
from chat.bus.reports import Reports
from chat.bus.store import Store
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.policy.rates import RatesByName
from chat.policy.text import clean_text
from chat.rooms.members import Members
from chat.rooms.room import Room
from chat.tasks import Tasks
from chat.wire.commands import Report
from chat.wire.schema import Done, Error, ErrorCode, Msg, ServerEvent
from pool.handle import Handle
from shard.connections import Connections

PER_MINUTE: Final = 6
AT_ONCE: Final = 5
"""Of one user. Nobody reads and judges faster; whom a raid annoys may report a few of it."""
MOST_REPORTERS: Final = 10_000
"""Whose reports of the last minute are remembered."""
MOST_UNDER_WAY: Final = 64
"""Of the shard."""
ACTION: Final = "report"
"""What is `done`."""


class Reporting:
    """The reports of one shard's viewers.

    clock  seconds, monotonic; wall seconds since 1970
    """

    def __init__(
        self,
        connections: Connections,
        users: Users,
        members: Members,
        replies: Replies,
        store: Store,
        counts: "memoryview[int]",
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._users = users
        self._members = members
        self._replies = replies
        self._store = store
        self._queue = Reports(store)
        self._rates = RatesByName(PER_MINUTE / 60, AT_ONCE, MOST_REPORTERS)
        self._counts = counts
        self._clock = clock
        self._wall = wall
        self._under_way = 0
        self._tasks = Tasks("reports")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def report(self, fd: int, command: Report) -> Error | None:
        """Put a report in the queue; why not, or None and it is answered later."""
        room = self._members.named(fd, command.room)
        if room is None or not self._members.has(fd, room):
            self._counts[ChatCount.REFUSED_NOT_JOINED] += 1
            return Error(ErrorCode.NOT_JOINED, "join the room first", command.ref)
        reporter = self._users.of(fd).uid
        wait = self._rates.wait(reporter, self._clock())
        if wait or self._under_way >= MOST_UNDER_WAY:
            self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
            after = round(wait or 1.0, 2)
            words = f"at most {PER_MINUTE} reports a minute"
            return Error(ErrorCode.RATE_LIMITED, words, command.ref, after)
        self._under_way += 1
        self._tasks.spawn(self._add(self._connections.handle(fd), reporter, room, command))
        return None

    async def _add(self, handle: Handle, reporter: str, room: Room, command: Report) -> None:
        try:
            answer = await self._added(reporter, room, command)
        except StoreError:
            self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
            words = "the report was not taken; try again"
            answer = Error(ErrorCode.UNAVAILABLE, words, command.ref, 1.0)
        finally:
            self._under_way -= 1
        if self._connections.alive(handle):
            self._replies.send(handle.fd, [answer])

    async def _added(self, reporter: str, room: Room, command: Report) -> ServerEvent:
        message = await self._message(room, command.seq)
        of = message and message.id.removesuffix(f"-{command.seq}")
        if message is None or command.epoch not in (UNSET, of):
            self._counts[ChatCount.REFUSED_BAD_REQUEST] += 1
            return _no_message(command)
        reason = UNSET if command.reason is UNSET else clean_text(command.reason) or UNSET
        reported = Reported(int(self._wall() * 1000), reporter, message, reason)
        queued, gone = await self._queue.add(reported)
        self._counts[ChatCount.REPORTS if queued else ChatCount.REPORTS_REPEATED] += 1
        self._counts[ChatCount.REPORTS_DROPPED] += gone
        return Done(room.name, ACTION, command.ref)

    async def _message(self, room: Room, seq: int) -> Msg | None:
        """The message at a place, if one is there; this shard may not have read so far yet."""
        for place in room.recent:
            if place.seq == seq:
                return place if isinstance(place, Msg) else None
        epoch, _ = await self._store.peek_room(room.name) or ("", 0)
        places = await self._store.history(room.name, epoch, seq - 1, 1)
        first = places[0] if places else None
        return first if isinstance(first, Msg) and first.seq == seq else None


def _no_message(command: Report) -> Error:
    words = "there is no message of this seq, or none any more"
    return Error(ErrorCode.BAD_REQUEST, words, command.ref)
