"""A reader of a real Valkey's streams, what it read, and a hand to write with."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import redis.asyncio as redis

from chat.bus.feed import AHEAD
from chat.bus.reader import Reader
from chat.bus.store import MIN_ID
from chat.bus.tail import Tail
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard
from tests.chat.rig import a_store, until

NOTICES = "notices"


class Desk:
    """A reader, what it read, and a hand to write with. Streams go by short names."""

    def __init__(
        self, url: str, prefix: str, interval_s: float = 0.005, count: int = 1_000
    ) -> None:
        self.store = a_store(url, prefix)
        one = not url.startswith(("redis+", "rediss+"))
        self.raw: Any = redis.from_url(url, protocol=2) if one else None
        self.prefix = prefix
        self.found: list[tuple[str, str]] = []
        self.batches: list[int] = []
        self.reads = 0
        self.resyncs = 0
        self.slow = self.lagging = False
        self.trouble: list[Exception] = []
        self.misled: list[str] = []
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.reader = Reader(self.store, "s1", interval_s, count, self._lagging, self.counts)
        self._count_reads()

    def _count_reads(self) -> None:
        tail = self.store.tail

        def counted(stream: str, block_s: float) -> Tail:
            made = tail(stream, block_s)
            read = made.read

            async def counting(cursors: dict[str, bytes], count: int) -> Any:
                self.reads += 1
                return await read(cursors, count)

            made.read = counting  # type: ignore[method-assign]
            return made

        self.store.tail = counted  # type: ignore[method-assign]

    def key(self, name: str) -> str:
        return self.store.keys.broadcast if name == NOTICES else f"{self.prefix}:{name}"

    def subscribe(self, name: str, cursor: bytes = MIN_ID) -> None:
        self.reader.subscribe(self.key(name), cursor)

    def unsubscribe(self, name: str) -> None:
        self.reader.unsubscribe(self.key(name))

    async def start(self) -> None:
        await self.reader.start(self._rooms, self._notices, self._resync)

    def _notices(self, entries: Sequence[Any]) -> None:
        self._take(entries, of_rooms=False)

    def _rooms(self, entries: Sequence[Any]) -> None:
        self._take(entries, of_rooms=True)

    def _take(self, entries: Sequence[Any], of_rooms: bool) -> None:
        """Entries say in which stream they were put, because a reader does not."""
        self.batches.append(len(entries))
        self.lagging = self.lagging or self.slow
        told = [fields[1].decode().partition("/") for _, fields in entries]
        self.found += [(stream, text) for stream, _, text in told]
        # Noted, not asserted: what is raised here is only logged.
        self.misled += [stream for stream, _, _ in told if (stream != NOTICES) is not of_rooms]
        if self.trouble:
            raise self.trouble.pop()

    def _lagging(self) -> int:
        return AHEAD + 1 if self.lagging else 0

    async def _resync(self, streams: Collection[str]) -> None:
        self.resyncs += 1
        if self.trouble:
            raise self.trouble.pop()

    async def put(self, stream: str, *texts: str, at: bytes = b"*") -> None:
        for text in texts:
            await self.raw.xadd(self.key(stream), {"m": f"{stream}/{text}"}, id=at)

    def texts(self, stream: str) -> list[str]:
        return [text for name, text in self.found if name == stream]

    async def heard(self, stream: str, *texts: str) -> None:
        """Wait until this was read from `stream`, all of it, once, in order."""
        await until(lambda: len(self.texts(stream)) >= len(texts), f"{len(texts)} entries")
        assert self.texts(stream) == list(texts)
        assert not self.misled

    async def cut_connections(self) -> None:
        """All but ours."""
        await self.raw.client_kill_filter(_type="normal", skipme=True)

    async def break_connections(self) -> None:
        """Cut them, and the reader has noticed."""
        errors = self.reader.errors
        await self.cut_connections()
        await until(lambda: self.reader.errors > errors, "the break")


async def running(desk: Desk) -> AsyncIterator[Desk]:
    await desk.start()
    yield desk
    await desk.reader.stop()
    await desk.store.close()
    if desk.raw is not None:
        await desk.raw.aclose()
