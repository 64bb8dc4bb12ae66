"""Which rooms each connection of a shard is in.

Rules. Per connection there is one tuple of rooms, shared by all who are in one room only. It lists
a room from the moment a connection asks for it; a member, who is sent what is said, it becomes when
it is let in.
"""

from collections.abc import Callable

from chat.rooms.room import Room
from shard.connections import Connections


class Members:
    """Memberships, for `rows` connections. `came` is told who is let in where; `arrived` who came
    anew into a room that has join notices, before it is a member."""

    def __init__(
        self,
        connections: Connections,
        rows: int,
        came: Callable[[int, Room], None] = lambda fd, room: None,
    ) -> None:
        self._connections = connections
        self._came = came
        self._of: list[tuple[Room, ...]] = [()] * rows
        self._came_from: dict[int, dict[Room, str]] = {}
        self._vacant: dict[int, tuple[int, ...]] = {}
        self.arrived: Callable[[int, Room], None] = lambda fd, room: None

    def of(self, fd: int) -> tuple[Room, ...]:
        """The rooms a connection has joined, or asked to join."""
        return self._of[fd]

    def named(self, fd: int, name: str) -> Room | None:
        """The room of that name, if a connection has joined it or asked to."""
        for room in self._of[fd]:
            if room.name == name:
                return room
        return None

    def has(self, fd: int, room: Room) -> bool:
        """Whether a connection is sent what is said in a room."""
        return fd in room.members[self._connections.variant(fd)]

    def lately_sent(self, fd: int, since: int) -> bool:
        """Whether anything was sent to all of one of its rooms after the tick `since`, or it was
        let in there later."""
        for room in self._of[fd]:  # noqa: SIM110 - a generator costs more than all the rest
            if room.sent_at > since and self.has(fd, room):
                return True
        return False

    def ask(self, fd: int, room: Room) -> None:
        """A connection wants in."""
        rooms = self._of[fd]
        if room not in rooms:
            self._of[fd] = (*rooms, room) if rooms else room.alone

    def wait(self, fd: int, room: Room, since: str) -> None:
        """A connection that asked has to wait, and has the room up to the position `since`."""
        self._came_from.setdefault(fd, {})[room] = since

    def waiting_from(self, fd: int) -> tuple[str | None, ...]:
        """For each of its rooms: the position it came with, "" for none, if it still waits there;
        None where it is let in and where the room is, another where it has not got so far."""
        came_from = self._came_from.get(fd, {})
        return tuple(
            (room.place_of(fd) if room.held else None)
            if self.has(fd, room)
            else came_from.get(room, "")
            for room in self._of[fd]
        )

    def enter(self, fd: int, room: Room, anew: bool = False) -> None:
        """A connection that asked is let in; `anew`: it does not come back to a position."""
        if self._came_from:
            self._waits_no_more(fd, room)
        room.empty_since = 0
        if room.held:
            room.ahead[fd] = room.position.seq
        members = room.members[self._connections.variant(fd)]
        if anew and room.rules.settings.join_notices and fd not in members:
            self.arrived(fd, room)
        members.add(fd)
        self._came(fd, room)

    def _waits_no_more(self, fd: int, room: Room) -> None:
        if fd in self._came_from:
            self._came_from[fd].pop(room, None)
            if not self._came_from[fd]:
                del self._came_from[fd]

    def leave(self, fd: int, room: Room) -> None:
        """A connection wants out, whether it was in or only asked."""
        self._waits_no_more(fd, room)
        room.members[self._connections.variant(fd)].discard(fd)
        left = tuple(other for other in self._of[fd] if other is not room)
        self._of[fd] = left[0].alone if len(left) == 1 else left

    def vacate(self, fd: int, room: Room) -> None:
        """A connection that is told its position in the order of its rooms is about to be sent out
        of one: its place there stays, and stays empty."""
        places: list[Room | None] = list(self._of[fd])
        for at in self.vacant(fd):
            places.insert(at, None)
        self._vacant[fd] = tuple(sorted((*self.vacant(fd), places.index(room))))

    def vacant(self, fd: int) -> tuple[int, ...]:
        """Where among its rooms' places those are that it was sent out of."""
        return self._vacant.get(fd, ())

    def close(self, fd: int) -> None:
        """A connection is over."""
        variant = self._connections.variant(fd)
        for room in self._of[fd]:
            room.members[variant].discard(fd)
        self._of[fd] = ()
        if self._came_from:
            self._came_from.pop(fd, None)
        if self._vacant:
            self._vacant.pop(fd, None)
