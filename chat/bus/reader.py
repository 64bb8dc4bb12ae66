"""The way out of Redis: all streams this shard needs, read by as few feeds as their servers allow.

Rules. One server: one feed reads everything, and another stream's subscriber wakes it by a stream
of its own. In a Cluster a read may name keys of one slot only: a feed for each stream, which begins
with the first subscriber and ends with the last. What is said of reading is in `feed.py`.

Redis may be away when a shard begins: once it answers, notices are read from when the shard began,
as if it had never been away.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from chat.bus.connect import StoreError
from chat.bus.feed import Feed, Resync, Take
from chat.bus.store import MIN_ID, Store
from chat.counters import ChatCount
from chat.tasks import Tasks

log = logging.getLogger(__name__)

FIRST_S: Final = 1.0
"""How long a start waits for the first answer; a shard serves without it, too."""


class Reader:
    """Reads for one shard.

    lagging()  how many writes of what was read are still to be done
    written()  called when all of a read is
    errors     tries that failed in this life; `counts` has those of all
    """

    def __init__(
        self,
        store: Store,
        shard: str,
        interval_s: float,
        count: int,
        lagging: Callable[[], int],
        counts: "memoryview[int]",
    ) -> None:
        self.errors = 0
        self._store = store
        self._shard = shard
        self._interval_s = interval_s
        self._count = count
        self.written: Callable[[], None] = lambda: None
        self._lagging = lagging
        self._counts = counts
        self._feeds: dict[str, Feed] = {}
        self._users: Counter[str] = Counter()
        self._broadcast = store.keys.broadcast
        self._wake_key = store.keys.wake(shard)
        self._take: Callable[[str, Sequence[Any]], None]
        self._resync: Resync
        self._started = False
        self._away: set[str] = set()
        self._tasks = Tasks("reader")

    async def start(self, rooms: Take, notices: Take, resync: Resync) -> None:
        """Read from now on: partition streams for `rooms`, the broadcast stream for `notices`.

        Returns when Redis has answered, or a first try has failed; it goes on trying.
        """

        def take(stream: str, entries: Sequence[Any]) -> None:
            if stream != self._wake_key:
                (notices if stream == self._broadcast else rooms)(entries)

        feed = self._feed(self._broadcast)
        feed.begin_at_end(self._broadcast)
        for one in self._feeds.values():
            one.start(take, resync)
        self._take, self._resync, self._started = take, resync, True
        with suppress(TimeoutError):
            await asyncio.wait_for(feed.tried.wait(), FIRST_S)

    async def stop(self) -> None:
        """Stop reading."""
        await self._tasks.stop()
        await asyncio.gather(*(feed.stop() for feed in self._feeds.values()))

    def subscribe(self, stream: str, cursor: bytes) -> None:
        """One more room needs `stream`; read it from `cursor` unless it is read already."""
        self._users[stream] += 1
        feed = self._feed(stream)
        if feed.add(stream, cursor):
            self._tasks.spawn(self._wake())

    def unsubscribe(self, stream: str) -> None:
        """One room less needs `stream`."""
        self._users[stream] -= 1
        if self._users[stream]:
            return
        del self._users[stream]
        name = self._store.servers.feed(stream)
        feed = self._feeds[name]
        feed.remove(stream)
        if not feed.streams:
            del self._feeds[name]
            self._tasks.spawn(feed.stop())
            self._turned(stream, None)

    def _feed(self, stream: str) -> Feed:
        """The feed that a stream belongs to; it begins when it is made."""
        name = self._store.servers.feed(stream)
        feed = self._feeds.get(name)
        if feed is None:
            feed = Feed(
                *(self._store, stream, self._interval_s, self._count, self._lagging, self._turned),
                lambda: self.written(),
            )
            self._feeds[name] = feed
            if not name:
                feed.add(self._wake_key, MIN_ID)
            if self._started:
                feed.start(self._take, self._resync)
        return feed

    @property
    def streams(self) -> int:
        """How many partition streams are read."""
        return len(self._users)

    @property
    def connected(self) -> bool:
        """Whether the last thing asked for every stream was answered."""
        return bool(self._counts[ChatCount.BUS_CONNECTED])

    def _turned(self, stream: str, error: Exception | None) -> None:
        """A feed has failed, or goes on."""
        if error is not None:
            self.errors += 1
            self._counts[ChatCount.BUS_ERRORS] += 1
            self._warn(stream, error)
        connected = all(feed.connected for feed in self._feeds.values())
        self._counts[ChatCount.BUS_CONNECTED] = connected
        if connected and self._away:
            log.info("all streams are read again")
            self._away.clear()

    def _warn(self, stream: str, error: Exception) -> None:
        """Log that streams are not read: once for a server, until all are read again. What is no
        trouble of a server's is a bug, and logged with its trace."""
        server = self._store.servers.of(stream)
        name = server.name if server else "an unknown server"
        bug = not isinstance(error, StoreError)
        if bug or name not in self._away:
            log.warning("reading from %s is tried again: %s", name, error, exc_info=bug)
            self._away.add(name)

    async def _wake(self) -> None:
        try:
            await self._store.wake(self._shard)
        except StoreError as error:
            log.debug("the blocked read ends by itself: %s", error)
