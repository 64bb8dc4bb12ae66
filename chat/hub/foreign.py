"""What only clients of foreign dialects ask for, in the rooms they are in.

Rules. As in Hub, which these are parts of: synchronous, and every command gets its answer.
"""

from chat.rooms.members import Members
from chat.rooms.resume import Resume
from chat.wire.foreign import Counted, Stats
from chat.wire.schema import Error, ErrorCode


def count(members: Members, fd: int, stats: Stats) -> Counted | Error:
    """How many are in a room of a connection's."""
    if stats.room is None:
        room = next(iter(members.of(fd)), None)
        if room is None:
            return Counted(ref=stats.ref)
    else:
        room = members.named(fd, stats.room)
        if room is None:
            return Error(ErrorCode.NOT_JOINED, "not in this room", stats.ref)
    return Counted(room.name, room.online, stats.ref)


def leave_all(members: Members, resume: Resume, fd: int) -> None:
    """A connection leaves its rooms, also those it waits for."""
    for room in members.of(fd):
        resume.leave(fd, room)
