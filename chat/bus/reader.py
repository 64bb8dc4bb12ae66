"""The way out of Redis: one paced read of all streams this shard needs, from its own cursors.

Rules. Plain XREAD, no consumer group: every shard must see every message. Pacing is the batching:
when nothing comes the read blocks, so the first message goes out at once; when messages come, at
most one read per interval is made, and what came meanwhile is one batch. Redis' work is therefore
bounded by shards / interval, not by the message rate. Nor is a read made before the shard has
written what the last one brought: under more load than a shard can carry batches grow, and with
them what a write carries, instead of a queue.

Danger: a stream may lose entries before they are read (trimmed, failed over, restarted empty) and
XREAD passes over that in silence. So after every break of the connection the cursors are compared
with the streams' ends, and the rooms compare their positions; in between, they see gaps by seq.

Redis may be away when a shard begins: once it answers, notices are read from when the shard began,
by their IDs, which are times of Redis' clock.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from chat.bus.connect import StoreError
from chat.bus.entries import id_order
from chat.bus.store import MIN_ID, Store
from chat.bus.tail import Tail
from chat.counters import ChatCount
from chat.tasks import Tasks

log = logging.getLogger(__name__)

BLOCK_S: Final = 5.0
FIRST_S: Final = 1.0
"""How long a start waits for the first answer; a shard serves without it, too."""
RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 1.0

Take = Callable[[Sequence[Any]], None]
"""Is given entries of a stream in order: [ID, [field, value, ...]], as redis-py gives them raw."""
Resync = Callable[[], Coroutine[Any, Any, None]]
"""The connection was lost and is back: compare positions."""


class Reader:
    """Reads for one shard.

    lagging()  whether entries of former reads are still being written out
    errors     tries that failed in this life; `counts` has those of all
    """

    def __init__(
        self,
        store: Store,
        shard: str,
        interval_s: float,
        count: int,
        lagging: Callable[[], bool],
        counts: "memoryview[int]",
    ) -> None:
        self.errors = 0
        self._store = store
        self._shard = shard
        self._interval_s = interval_s
        self._count = count
        self._lagging = lagging
        self._counts = counts
        self._cursors: dict[str, bytes] = {}
        self._users: Counter[str] = Counter()
        self._blocked = False
        self._read_at = 0.0
        self._tried = asyncio.Event()
        self._broadcast = store.keys.broadcast
        self._wake_key = store.keys.wake(shard)
        self._tasks = Tasks("reader")

    async def start(self, rooms: Take, notices: Take, resync: Resync) -> None:
        """Read from now on: partition streams for `rooms`, the broadcast stream for `notices`.

        Returns when Redis has answered, or a first try has failed; it goes on trying.
        """
        self._cursors[self._wake_key] = MIN_ID

        def take(stream: str, entries: Sequence[Any]) -> None:
            (notices if stream == self._broadcast else rooms)(entries)

        self._tasks.spawn(self._run(take, resync))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), FIRST_S)

    async def stop(self) -> None:
        """Stop reading."""
        await self._tasks.stop()

    def subscribe(self, stream: str, cursor: bytes) -> None:
        """One more room needs `stream`; read it from `cursor` unless it is read already."""
        self._users[stream] += 1
        if stream in self._cursors:
            return
        self._cursors[stream] = cursor
        if self._blocked:
            self._blocked = False  # it is about to return: one wake is enough for many rooms
            self._tasks.spawn(self._wake())

    def unsubscribe(self, stream: str) -> None:
        """One room less needs `stream`."""
        self._users[stream] -= 1
        if not self._users[stream]:
            del self._users[stream]
            self._cursors.pop(stream, None)

    @property
    def connected(self) -> bool:
        """Whether the last thing asked of Redis was answered."""
        return bool(self._counts[ChatCount.BUS_CONNECTED])

    @property
    def streams(self) -> int:
        """How many partition streams are read."""
        return len(self._users)

    async def _wake(self) -> None:
        try:
            await self._store.wake(self._shard)
        except StoreError as error:
            log.debug("the blocked read ends by itself: %s", error)

    async def _run(self, take: Callable[[str, Sequence[Any]], None], resync: Resync) -> None:
        loop = asyncio.get_running_loop()
        tail = self._store.tail(BLOCK_S)
        retry_s = RETRY_FIRST_S
        fresh = True
        began = loop.time()
        try:
            while True:
                try:
                    if self._broadcast not in self._cursors:
                        await self._begin(began)
                    if not fresh:
                        await self._catch_up(resync)
                        fresh = True
                    self._counts[ChatCount.BUS_CONNECTED] = 1
                    behind = await self._read(tail, take)
                    retry_s = RETRY_FIRST_S
                    if behind is False:
                        await asyncio.sleep(self._read_at + self._interval_s - loop.time())
                except Exception as error:
                    # Whatever it is: a shard that reads no more would look alive and be deaf.
                    self.errors += 1
                    self._counts[ChatCount.BUS_ERRORS] += 1
                    self._counts[ChatCount.BUS_CONNECTED] = 0
                    fresh = False
                    trace = not isinstance(error, StoreError)
                    log.warning("not reading for %.1f s: %s", retry_s, error, exc_info=trace)
                    self._tried.set()
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, RETRY_MOST_S)
        finally:
            await tail.close()

    async def _begin(self, began: float) -> None:
        """Redis answers for the first time: read notices as from `began`, by the loop's clock."""
        [last] = await self._store.last_ids([self._broadcast])
        now_ms = await self._store.clock_ms()
        ago_ms = int(1000 * (asyncio.get_running_loop().time() - began))
        self._cursors[self._broadcast] = min(last, b"%d-0" % (now_ms - ago_ms), key=id_order)
        self._tried.set()

    async def _read(self, tail: Tail, take: Callable[[str, Sequence[Any]], None]) -> bool | None:
        """One read; None when nothing came, else whether more is waiting."""
        self._blocked = True
        try:
            found = await tail.read(self._cursors, self._count)
        finally:
            self._blocked = False
        self._read_at = asyncio.get_running_loop().time()
        behind = False
        for stream, entries in found:
            if stream not in self._cursors:
                continue
            self._cursors[stream] = entries[-1][0]
            behind = behind or len(entries) >= self._count
            if stream != self._wake_key:
                try:
                    take(stream, entries)
                except Exception:
                    log.exception("entries of %s were not delivered", stream)
            await self._written()
        return behind if found else None

    async def _written(self) -> None:
        """Let the shard write what it was given; each pass of the loop is a slice."""
        while self._lagging():  # noqa: ASYNC110 - nothing announces the end of a fan-out
            await asyncio.sleep(0)

    async def _catch_up(self, resync: Resync) -> None:
        """After a break: move cursors that lie beyond their stream's end, then compare rooms."""
        streams = list(self._cursors)
        for stream, last in zip(streams, await self._store.last_ids(streams), strict=True):
            if stream in self._cursors and id_order(last) < id_order(self._cursors[stream]):
                log.warning("%s ends before our cursor: its state was lost", stream)
                self._cursors[stream] = last
        await resync()
