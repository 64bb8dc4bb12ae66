"""What a room is told beside its messages: likes, and who came. Once a second at most.

Rules. This is the one place that decides when. An aside rides with the room's next batch, which
costs no write. Where none comes it goes alone, at the next tick, all rooms' together within a
budget of writes: what is sent to very many has the next ones wait for it. Nothing is queued: what
is true then is what is told. Pure: what it says goes through `emit`, and time is passed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chat.bus.entries import Arrived, Liked
from chat.rooms.budget import WriteBudget
from chat.rooms.room import Room
from chat.wire.schema import MOST_NAMES, Aside, Joins, Likes

SPACING_S: Final = 1.0
"""Between two times that a room is told something."""


@dataclass(slots=True)
class Due:
    """What a room is to be told: whether how often it was liked, and who came."""

    liked: bool = False
    came: int = 0
    names: list[str] = field(default_factory=list)


class Asides:
    """Those of one shard's rooms.

    emit   sends events to all members of a room
    clock  seconds, monotonic
    """

    def __init__(
        self,
        emit: Callable[[Room, Sequence[Aside]], object],
        clock: Callable[[], float],
        budget: WriteBudget,
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._due: dict[Room, Due] = {}
        self._told_at: dict[Room, float] = {}
        self._budget = budget

    def liked(self, room: Room, totals: dict[str, int], at: tuple[int, int]) -> None:
        """A room's likes as of a place in its stream; older than what is known tells nothing."""
        if at < room.liked_at:
            return
        room.liked_at = at
        if totals == room.likes:
            return
        room.likes = totals
        room.snapshots.clear()  # who joins from now on is told these
        if room.local:
            self._due.setdefault(room, Due()).liked = True

    def take(self, room: Room, control: Liked | Arrived, at: tuple[int, int]) -> None:
        """What the stream has of a room beside its messages."""
        if isinstance(control, Liked):
            self.liked(room, control.totals, at)
        elif room.local and control.count > 0:
            due = self._due.setdefault(room, Due())
            due.came += control.count
            due.names = [*due.names, *control.names][:MOST_NAMES]

    def riding(self, room: Room) -> Sequence[Aside]:  # hot: once per batch of a room
        """What goes with a batch that is about to be sent."""
        return self._taken(room) if self._due and room in self._due and self._spaced(room) else ()

    def tick(self, tick: int) -> None:
        """A second has passed: what has waited so long goes alone, as far as the budget reaches."""
        now = self._clock()
        told_at = self._told_at
        self._told_at = {room: at for room, at in told_at.items() if now - at < SPACING_S}
        for room in list(self._due):
            if self._budget.spent:
                break
            if self._spaced(room) and self._budget.take(room.local):
                self._emit(room, self._taken(room))

    def forget(self, room: Room) -> None:
        """The room is closed."""
        self._due.pop(room, None)
        self._told_at.pop(room, None)

    def _spaced(self, room: Room) -> bool:
        told_at = self._told_at.get(room)
        return told_at is None or self._clock() - told_at >= SPACING_S

    def _taken(self, room: Room) -> Sequence[Aside]:
        """What there is to tell a room, as told now."""
        due = self._due.pop(room)
        self._told_at[room] = self._clock()
        told: list[Aside] = [Likes(room.name, room.likes)] if due.liked else []
        if due.came:
            told.append(Joins(room.name, due.came, due.names))
        return told
