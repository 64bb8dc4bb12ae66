"""The replays of one shard: which rooms' histories were read lately, and answers made of them.

Rules. Few are kept, and none longer than it is used: what was read is memory. An answer is of the
moment it is made in: it is shared within a turn, by those who come from the same place.
"""

from typing import Final

from chat.bus.connect import StoreError
from chat.bus.store import Store
from chat.rooms.answers import Answer, remembered, resumed
from chat.rooms.position import UNSPOKEN
from chat.rooms.replay import Replay
from chat.rooms.room import Room
from chat.wire.commands import Since

KEPT: Final = 16
"""As many as are answered from at a time."""

Line = tuple[Room, str]
"""A room, and the epoch of positions in it."""


class Replays:
    """Replays by room and epoch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[Line, Replay] = {}
        self._used: set[Line] = set()
        self._last: tuple[Line, Since | None, Room | Answer] | None = None

    def begin(self) -> None:
        """A turn begins: rooms may have gone on."""
        self._last = None

    def answer(self, line: Line, since: Since | None, fresh: bool) -> Room | Answer | None:
        """The answer to a join, from what its room remembers or from what was read, just now if it
        is `fresh`; None: it has to be read."""
        last, room = self._last, line[0]
        if last is not None and last[0] == line and last[1] == since:
            return last[2]
        found = remembered(room, since)
        if found is None:
            assert since is not None, "who says no position needs no history"
            replay = self.get(line)
            if replay is None or not replay.follow(room):
                return None
            if not (fresh or replay.covers(since)):
                return None
            found = resumed(room, since, replay.missed(room, since))
        self._last = line, since, found
        return found

    def is_behind(self, line: Line, since: Since | None) -> bool:
        """Whether a shard is about to read what a client has already."""
        replay = self.get(line)
        return replay is not None and since is not None and replay.is_behind(line[0], since)

    def get(self, line: Line) -> Replay | None:
        """What was read last, if it is kept."""
        self._used.add(line)
        return self._kept.get(line)

    async def read(self, line: Line, after: int) -> Replay | None:
        """Read what a room has behind seq `after`; None while Redis is away."""
        room, epoch = line
        of = UNSPOKEN if epoch == room.life else epoch
        try:
            state = await self._store.open_room(room.name, after=after, of=of)
        except StoreError:
            return None
        self._kept.pop(line, None)
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        replay = self._kept[line] = Replay(room, state, after)
        return replay

    def tick(self) -> None:
        """A second is over: forget those that nobody asked for in it, or that have something not
        to be shown for ever."""
        over = [line for line, one in self._kept.items() if line not in self._used or one.lapses]
        for line in over:
            del self._kept[line]
        self._used.clear()
