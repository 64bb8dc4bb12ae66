"""Taking messages back: they are removed from Redis, and all who show them are told.

Rules. One script call removes what was said from the history and from the stream to the shards,
keeps the place, and gives the room's next seq to the entry that tells of it. So nobody can read
what was taken back after that entry was published. Asking again is safe.

Danger: a seq is of an epoch. Who knows it says it, or may hit a message of a later one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chat.bus.entries import Cleared, Deleted, pack
from chat.bus.store import Store

DONE, GONE, NEVER, OTHER = range(4)
"""What the script says."""


class NeverPublished(LookupError):
    """Nothing was ever published at that seq."""


class NoMessage(LookupError):
    """What stands at that seq is no message."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What was taken back: so many messages that the history had.

    seq  of the event that tells of it, in `epoch`; 0 where there was nothing to tell, because
         it had been taken back before, or its epoch is over
    """

    epoch: str
    seq: int
    count: int


class Redaction:
    """Takes messages back; `wall` is seconds since 1970."""

    def __init__(self, store: Store, wall: Callable[[], float]) -> None:
        self._store = store
        self._wall = wall

    async def remove(self, room: str, seq: int, epoch: str = "") -> Removal:
        """Take back the message at `seq`, if the room's epoch is the one that is named.

        Raises NeverPublished, NoMessage, StoreError.
        """
        entry = pack(Deleted(seq, self._now_ms()))
        found = await self._store.redact(room, entry, epoch=epoch, seq=seq, uid=None)
        outcome, known, at, count = found
        if outcome == NEVER:
            raise NeverPublished(f"nothing was ever published at {seq} in this room")
        if outcome == OTHER:
            raise NoMessage(f"what stands at {seq} in this room is no message")
        return Removal(known, at, count)

    async def clear(self, room: str, uid: str | None) -> Removal:
        """Take back all messages of a room, or those of one user. Raises StoreError."""
        entry = pack(Cleared(uid, self._now_ms()))
        _, known, at, count = await self._store.redact(room, entry, epoch="", seq=None, uid=uid)
        return Removal(known, at, count)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)
