"""An address behind which another server may answer tomorrow, as behind a balancer's.

Rules. What is open stays with the server it was opened to; who connects anew gets the present one.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Self

from chat.tasks import Tasks


class Relay:
    """Passes bytes between `url`'s clients and the server behind the Unix socket `to`."""

    def __init__(self, to: Path) -> None:
        self.to = to
        self.accepted = 0
        self._tasks = Tasks("relay")
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._tasks.stop()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._tasks.spawn(self._relay(reader, writer))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(self.to)
        try:
            await asyncio.gather(self._pass(reader, ours), self._pass(theirs, writer))
        finally:
            for end in (ours, writer):
                end.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        sink.close()
