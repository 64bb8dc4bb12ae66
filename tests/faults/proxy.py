"""A TCP proxy that can be told to cut: one address behind which servers change, replies end short.

Rules. It forwards bytes and knows nothing of what they mean. After a given number of bytes of
replies the connection they belong to is ended: what came before arrives, nothing behind it.
"""

import asyncio
from contextlib import suppress
from typing import Final

CHUNK: Final = 65_536


class Proxy:
    """`target` is the port of 127.0.0.1 that new connections go to; `cuts` how many were made."""

    def __init__(self) -> None:
        self.target = 0
        self.cuts = 0
        self._left: int | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End, with every connection."""
        if self._server is None:
            return
        self._server.close()
        self.cut_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_after(self, count: int) -> None:
        """Cut whatever connection the `count`-th byte of replies from now on belongs to."""
        self._left = count

    def cut_all(self) -> None:
        """Cut every connection there is."""
        for pair in list(self._pairs):
            self._cut(*pair)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, onward)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, onward, pair))
                both.create_task(self._reply(back, writer, pair))
        finally:
            self._cut(*pair)

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                onward.write(data)
                await onward.drain()
        self._cut(*pair)

    async def _reply(
        self,
        back: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with suppress(OSError):
            while data := await back.read(CHUNK):
                if self._left is not None and len(data) >= self._left:
                    left, self._left = self._left, None
                    self.cuts += 1
                    await self._end_short(writer, data[:left])
                    break
                if self._left is not None:
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
        self._cut(*pair)

    async def _end_short(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send what is left and an orderly end: it arrives, unlike what an RST overtakes."""
        writer.write(data)
        await writer.drain()
        writer.close()

    def _cut(self, writer: asyncio.StreamWriter, onward: asyncio.StreamWriter) -> None:
        self._pairs.discard((writer, onward))
        if not writer.is_closing():
            writer.transport.abort()
        onward.transport.abort()
