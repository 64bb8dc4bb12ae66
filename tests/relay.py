"""An address behind which a server is: another one tomorrow, cut off now, or held up.

Rules. It passes bytes on and knows nothing of what they mean. What is open stays with the server it
was opened to; who connects anew gets the present one. All of it runs in the loop of who uses it.
"""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from chat.tasks import Tasks

CHUNK: Final = 1 << 14
"""Read at once, and kept at most of what a slow reader leaves: little, so that what is held is held
at the server."""


class Relay:
    """Listens on a `port` of 127.0.0.1 while in its block.

    to        where new connections go: a port of 127.0.0.1, or a Unix socket's path
    open      cleared, it lets no reply through
    accepted  connections so far
    cuts      of them, those that `cut_after` has ended
    """

    def __init__(self, to: int | Path = 0) -> None:
        self.to = to
        self.open = asyncio.Event()
        self.open.set()
        self.accepted = 0
        self.cuts = 0
        self.port = 0
        self._left: int | None = None
        self._tasks = Tasks("relay")
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End, with every connection."""
        if self.port:
            self._server.close()
            self.cut()
            await self._tasks.stop()

    def cut(self) -> None:
        """End every connection there is, as a lost network does."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def cut_after(self, count: int) -> None:
        """End the connection that the `count`-th byte of replies from now on belongs to, in order:
        what came before arrives, nothing behind it."""
        self._left = count

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._tasks.spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, onward = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, onward}
        try:
            await asyncio.gather(self._pass(reader, onward), self._answer(back, writer))
        finally:
            self._ends -= {writer, onward}
            for end in (writer, onward):
                end.close()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        family = socket.AF_INET if isinstance(self.to, int) else socket.AF_UNIX
        address = ("127.0.0.1", self.to) if isinstance(self.to, int) else str(self.to)
        inside = socket.socket(family)
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        inside.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(inside, address)
        except BaseException:
            inside.close()
            raise
        return await asyncio.open_connection(sock=inside, limit=CHUNK)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self.open.wait()
                short = self._short(data)
                writer.write(data if short is None else data[:short])
                await writer.drain()
                if short is not None:
                    break
        writer.close()

    def _short(self, data: bytes) -> int | None:
        """How much of a reply is let through, if it is the last of its connection."""
        if self._left is None:
            return None
        if len(data) < self._left:
            self._left -= len(data)
            return None
        short, self._left = self._left, None
        self.cuts += 1
        return short
