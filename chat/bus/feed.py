"""Streams that are read together: one paced read of all of them, from their cursors.

Rules. Plain XREAD, no consumer group: every shard must see every message. Pacing is the batching:
when nothing comes the read blocks, so the first message goes out at once; when messages come, at
most one read per interval is made, and what came meanwhile is one batch. Redis' work is therefore
bounded by shards / interval, not by the message rate. Nor is a read made before the shard has
written what the last one brought: under more load than a shard can carry batches grow, and with
them what a write carries, instead of a queue.

Danger: a stream may lose entries before they are read (trimmed, failed over, restarted empty) and
XREAD passes over that in silence. So after every break of the connection the cursors are compared
with the streams' ends, and the rooms compare their positions; in between, they see gaps by seq.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Final

from chat.bus.entries import id_order
from chat.bus.store import Store
from chat.bus.tail import Tail
from chat.tasks import Tasks

log = logging.getLogger(__name__)

BLOCK_S: Final = 5.0
AHEAD: Final = 2_048
"""Writes of a read's streams that may wait while the next of them is given out: a turn's, so that
many small rooms are written in one go, and no more than that is in memory."""
RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 1.0

Take = Callable[[Sequence[Any]], None]
"""Is given entries of a stream in order: [ID, [field, value, ...]], as redis-py gives them raw."""
Resync = Callable[[Collection[str]], Coroutine[Any, Any, None]]
"""The connection was lost and is back: compare positions of what comes by these streams."""


class Feed:
    """Reads what is added, `stream` before all.

    written() is told that all of a read is written out
    tried     is set when Redis has first answered, or has not
    turned(stream, error)  is told why a try has failed, and by None when it goes on
    """

    def __init__(
        self,
        store: Store,
        stream: str,
        interval_s: float,
        count: int,
        lagging: Callable[[], int],
        turned: Callable[[str, Exception | None], None],
        written: Callable[[], None],
    ) -> None:
        self.connected = False
        self.tried = asyncio.Event()
        self._store = store
        self._stream = stream
        self._interval_s = interval_s
        self._count = count
        self._lagging = lagging
        self._turned = turned
        self._all_written = written
        self._cursors: dict[str, bytes] = {}
        self._at_end: set[str] = set()
        self._blocked = False
        self._read_at = 0.0
        self._tasks = Tasks("feed")

    def start(self, take: Callable[[str, Sequence[Any]], None], resync: Resync) -> None:
        """Read from now on."""
        self._tasks.spawn(self._run(take, resync))

    async def stop(self) -> None:
        """Stop reading."""
        await self._tasks.stop()

    @property
    def streams(self) -> Collection[str]:
        """What is read."""
        return self._cursors.keys() | self._at_end

    def add(self, stream: str, cursor: bytes) -> bool:
        """Read a stream from `cursor` on, unless it is read already; True: a blocked read should be
        woken for it."""
        if stream in self._cursors:
            return False
        self._cursors[stream] = cursor
        # One wake is enough for many streams: the read is about to return.
        blocked, self._blocked = self._blocked, False
        return blocked

    def begin_at_end(self, stream: str) -> None:
        """Read a stream from now on, whenever Redis first answers."""
        self._at_end.add(stream)

    def remove(self, stream: str) -> None:
        """Read a stream no more."""
        self._cursors.pop(stream, None)

    async def _run(self, take: Callable[[str, Sequence[Any]], None], resync: Resync) -> None:
        loop = asyncio.get_running_loop()
        tail = self._store.tail(self._stream, BLOCK_S)
        retry_s = RETRY_FIRST_S
        fresh = True
        began = loop.time()
        try:
            while True:
                try:
                    if self._at_end:
                        await self._begin(began)
                    if not fresh:
                        await self._catch_up(resync)
                        fresh = True
                    if not self.connected:
                        self.connected = True
                        self._turned(self._stream, None)
                    behind = await self._read(tail, take)
                    retry_s = RETRY_FIRST_S
                    if behind is False:
                        await asyncio.sleep(self._read_at + self._interval_s - loop.time())
                except Exception as error:
                    # Whatever it is: a shard that reads no more would look alive and be deaf.
                    fresh = self.connected = False
                    self._turned(self._stream, error)
                    self.tried.set()
                    await asyncio.sleep(retry_s)
                    retry_s = min(2 * retry_s, RETRY_MOST_S)
        finally:
            await tail.close()

    async def _begin(self, began: float) -> None:
        """Redis answers for the first time: read as from `began`, by the loop's clock."""
        for stream, last in zip(
            self._at_end, await self._store.last_ids(list(self._at_end)), strict=True
        ):
            now_ms = await self._store.clock_ms(stream)
            ago_ms = int(1000 * (asyncio.get_running_loop().time() - began))
            self._cursors[stream] = min(last, b"%d-0" % (now_ms - ago_ms), key=id_order)
        self._at_end.clear()
        self.tried.set()

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
            try:
                take(stream, entries)
            except Exception:
                log.exception("entries of %s were not delivered", stream)
            await self._written(AHEAD)
        await self._written()
        if found:
            self._all_written()
        return behind if found else None

    async def _written(self, but: int = 0) -> None:
        """Let the shard write what it was given, but for so many writes; each pass of the loop is
        a slice."""
        while self._lagging() > but:  # noqa: ASYNC110 - nothing announces the end of a fan-out
            await asyncio.sleep(0)

    async def _catch_up(self, resync: Resync) -> None:
        """After a break: move cursors that lie beyond their stream's end, then compare rooms."""
        streams = list(self._cursors)
        for stream, last in zip(streams, await self._store.last_ids(streams), strict=True):
            if stream in self._cursors and id_order(last) < id_order(self._cursors[stream]):
                log.warning("%s ends before our cursor: its state was lost", stream)
                self._cursors[stream] = last
        await resync(streams)
