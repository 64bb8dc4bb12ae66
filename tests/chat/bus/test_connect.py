"""Connections to Redis: nothing is asked twice, and one name for whatever goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat.bus.connect import FAILURES, connect
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import BOUND_S


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    client: Any = connect(url, BOUND_S, BOUND_S)
    try:
        yield client
    finally:
        await client.aclose()


class Rude:
    """Greets whoever connects, and hangs up at the first command; `heard` is all that was asked."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line.removeprefix(b"*"))):
                size = int((await reader.readline()).removeprefix(b"$"))
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[0] != b"CLIENT":
                self.heard.append(words[0])
                break
            writer.write(b"+OK\r\n")
        writer.close()


class TestAsking:
    async def test_what_was_not_answered_is_not_asked_again(self, tmp_path: Path) -> None:
        rude, path = Rude(), tmp_path / "rude.sock"
        server = await asyncio.start_unix_server(rude.serve, path)
        async with server, connected(f"unix://{path}") as client:
            with pytest.raises(FAILURES):
                await client.incr("counter")
        assert rude.heard == [b"INCRBY"]

    async def test_replies_are_of_the_second_protocol(self, valkey: EmbeddedEngine) -> None:
        async with connected(valkey.url) as client:
            assert (await client.client_info())["resp"] == "2"


class TestFailing:
    async def test_nobody_there(self) -> None:
        async with connected("unix:///nowhere/to/be.sock") as client:
            with pytest.raises(FAILURES):
                await client.ping()

    async def test_a_command_that_is_refused(
        self, valkey: EmbeddedEngine, prefix: str, raw: Any
    ) -> None:
        await raw.set(prefix, "a string")
        async with connected(valkey.url) as client:
            with pytest.raises(FAILURES, match="WRONGTYPE"):
                await client.xlen(prefix)
