"""Who came and who went, for whoever follows that by way of Redis.

Rules. Only there when it was asked for; then an event a connection and a write a tick, however many
came. Bounded: while Redis is away, what goes beyond it is counted and gone. A shard that is killed
cannot say who went with it.

Danger: a write whose answer is lost may have been done. It is repeated; an event says the same
of itself each time, so that whoever gets it twice can tell.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from chat.bus.connect import StoreError
from chat.bus.store import Store
from chat.counters import ChatCount
from chat.hub.users import Users
from chat.policy.identity import Identity
from chat.tasks import Tasks

MOST: Final = 20_000
"""Events that wait for Redis; at 150 bytes each, 3 MB."""
TOGETHER: Final = 500
"""Of an entry: some 75 KB."""
LAST_S: Final = 2.0
"""How long Redis may take at the end."""

_encode: Final = msgspec.json.Encoder().encode


class Presence:
    """One shard's. `keep` is about how many entries there may be in the stream."""

    def __init__(
        self,
        store: Store,
        wanted: Collection[str],
        users: Users,
        keep: int,
        counts: "memoryview[int]",
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._wanted = frozenset(wanted)
        self._users = users
        self._keep = keep
        self._counts = counts
        self._wall = wall
        self._here: dict[int, str] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._tasks = Tasks("presence")

    def came(self, fd: int, conn: str, who: Identity) -> None:
        """A connection was admitted."""
        self._here[fd] = conn
        self._note("connected", conn, who)

    def left(self, fd: int) -> None:
        """A connection is over, whoever it was at last."""
        conn = self._here.pop(fd, None)
        if conn is not None:
            self._note("disconnected", conn, self._users.of(fd))

    def _note(self, event: str, conn: str, who: Identity) -> None:
        if event not in self._wanted:
            return
        if len(self._waiting) >= MOST:
            self._counts[ChatCount.CONNECTION_EVENTS_DROPPED] += 1
            return
        said = {"event": event, "event_id": f"{event}-{conn}", "ts": int(self._wall() * 1000)}
        said |= {"conn": conn, "uid": who.uid, "name": who.name, "role": who.role}
        self._waiting.append(said)

    def tick(self) -> None:
        """Write what there is, unless that is under way."""
        if self._waiting and not self._tasks.busy:
            self._tasks.spawn(self._try())

    async def stop(self) -> None:
        """Write what is left, if Redis takes it at once; all connections are over."""
        for fd in list(self._here):
            self.left(fd)
        await self._tasks.finish(LAST_S)  # ended in the middle, it would be written twice
        try:
            await asyncio.wait_for(self._write(), LAST_S)
        except (StoreError, TimeoutError):
            self._counts[ChatCount.CONNECTION_EVENTS_DROPPED] += len(self._waiting)

    async def _try(self) -> None:
        with suppress(StoreError):  # the next tick tries again; the reader says that Redis is away
            await self._write()

    async def _write(self) -> None:
        key = self._store.keys.connections
        while self._waiting:
            part = [self._waiting[i] for i in range(min(TOGETHER, len(self._waiting)))]
            await self._store.servers.ask(key, partial(self._append, _encode(part)))
            for _ in part:
                self._waiting.popleft()

    def _append(self, entry: bytes, pipe: Any, on: Any) -> None:
        key = self._store.keys.connections
        pipe.xadd(key, {"m": entry}, maxlen=self._keep, approximate=True)
