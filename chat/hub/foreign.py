"""What only dialects that are not ours ask for: subscriptions, counts, pieces of history.

Rules. As the hub's: every command gets its answer, or gets it later. A token for a room, where one
comes, has to be for this room and this very user; no room asks for one, and nothing is kept of it.

Danger: an answer overtakes a fan-out under way. Who subscribes again to a room, and is still to be
sent something by one of its fan-outs, would be sent it behind an answer that has it, and would show
it twice: so that join settles first.
"""

from msgspec import UnsetType

from chat.counters import ChatCount
from chat.hub.users import Users
from chat.policy.identity import Refused
from chat.rooms.members import Members
from chat.rooms.paging import Paging
from chat.rooms.resume import Resume
from chat.rooms.room import Room
from chat.wire.commands import Join
from chat.wire.foreign import (
    Alive,
    Counted,
    Declined,
    Fault,
    LeaveAll,
    Move,
    Read,
    Renew,
    Renewed,
    Stats,
    Subscribe,
    Told,
    Unheard,
    Unsubscribe,
)
from chat.wire.schema import Error, ErrorCode, Left, Pong, Ref
from shard.closecodes import CloseCode
from shard.connections import Connections

Only = Alive | Unheard | LeaveAll | Renew | Read | Stats | Unsubscribe


class Foreign:
    """Those of one shard's viewers."""

    def __init__(
        self,
        connections: Connections,
        users: Users,
        members: Members,
        resume: Resume,
        paging: Paging,
        counts: "memoryview[int]",
    ) -> None:
        self._connections = connections
        self._users = users
        self._members = members
        self._resume = resume
        self._paging = paging
        self._counts = counts
        self._left: dict[int, set[Room]] = {}

    def close(self, fd: int) -> None:
        """A connection is over."""
        if self._left:
            self._left.pop(fd, None)

    def obey(self, fd: int, command: Only) -> Told | None:
        """The answer to a command; None when it comes later, or there is none."""
        match command:
            case Alive():
                self._hear(fd)
                return None
            case Unheard():
                return None
            case Unsubscribe(room, ref):
                found = self._members.named(fd, room)
                if found is not None:
                    if self._connections.fanning_out_in(found):
                        self._left.setdefault(fd, set()).add(found)
                    self._resume.leave(fd, found)
                return Left(room, ref)
            case LeaveAll():
                self._leave_all(fd)
                return Pong(command.ref)
            case Renew(room, token, ref):
                if self._members.named(fd, room) is None:
                    return self._not_joined(ref)
                return self._vouched(fd, room, token, ref)
            case Stats():
                return self._count(fd, command)
            case Read():
                return self._paging.ask(fd, command)

    def _leave_all(self, fd: int) -> None:
        """Out of every room."""
        for room in self._members.of(fd):
            self._resume.leave(fd, room)

    def bars(self, fd: int, subscribe: Subscribe) -> Told | None:
        """Why a connection may not subscribe, before anything else is asked."""
        room, ref = subscribe.room, subscribe.ref
        if subscribe.since is None and self._members.named(fd, room) is not None:
            return Declined(Fault.JOINED_ALREADY, "already subscribed", ref)
        if subscribe.token is None:
            return None
        found = self._vouched(fd, room, subscribe.token, ref)
        return None if isinstance(found, Renewed) else found

    def prepare(self, fd: int, join: Join) -> bool:
        """Leave the other rooms, where that is asked for. Whether the connection may be in one of
        the room's fan-outs."""
        if isinstance(join, Move):
            self._leave_all(fd)
        name = join.room
        if self._members.named(fd, name) is not None:
            return True
        left = self._left.get(fd)
        room = left and next((room for room in left if room.name == name), None)
        if not left or not room:
            return False
        left.discard(room)
        if not left:
            del self._left[fd]
        return True

    def _hear(self, fd: int) -> None:
        """An answer to a ping; who was never asked has none to give."""
        if not self._connections.was_pinged(fd):
            self._connections.close(fd, CloseCode.PROTOCOL_ERROR, "nobody asked for a pong")

    def _vouched(self, fd: int, room: str, token: str, ref: Ref | UnsetType) -> Told:
        try:
            self._users.vouch(fd, token, room)
        except Refused as refused:
            if refused.code is CloseCode.TOKEN_EXPIRED:
                return Declined(Fault.TOKEN_EXPIRED, "the token has expired", ref)
            return Error(ErrorCode.FORBIDDEN, str(refused), ref)
        return Renewed(room, ref)

    def _count(self, fd: int, stats: Stats) -> Told:
        if stats.room is None:
            room = next(iter(self._members.of(fd)), None)
            if room is None:
                return Counted(ref=stats.ref)
        else:
            room = self._members.named(fd, stats.room)
            if room is None:
                return self._not_joined(stats.ref)
        return Counted(room.name, room.online, stats.ref)

    def _not_joined(self, ref: Ref | UnsetType) -> Error:
        self._counts[ChatCount.REFUSED_NOT_JOINED] += 1
        return Error(ErrorCode.NOT_JOINED, "not in this room", ref)
