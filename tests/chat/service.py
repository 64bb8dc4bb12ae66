"""A moderation service on loopback: HTTP/1.1 that keeps connections, and misbehaves on demand.

Rules. It notes every request. `answer` makes of the messages what is answered: a list, or bytes as
they are; `gate` is what an answer waits for.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

Messages = list[dict[str, Any]]


class Service:
    """Listens on a port of its own until it is left, or `stop`ped; `start` brings it back."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.status = 200
        self.answer: Callable[[Messages], Any] = lambda messages: [None] * len(messages)
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/check?key=secret"

    @property
    def texts(self) -> list[list[str]]:
        """What was asked about, request by request."""
        return [[message["text"] for message in json.loads(body)] for _, body in self.requests]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                await self._respond(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        await self.gate.wait()
        found = self.answer(json.loads(body))
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        heading = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(heading.encode() + content)
        await writer.drain()
