"""Blocking reads of a real Valkey's streams, and that no break goes unnoticed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio as redis

from chat.bus.connect import StoreError
from chat.bus.store import MIN_ID
from chat.bus.tail import Tail
from chat.bus.topology import open_servers
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import BOUND_S, new_prefix

LONG_S = 300.0
"""Whatever waits for a block to end by itself fails by its bound."""


class Desk:
    """A tail, and a hand to write with. Streams go by short names."""

    def __init__(self, url: str, block_s: float) -> None:
        self.servers = open_servers(url, BOUND_S)
        self.tail = Tail(self.servers, "s", block_s)
        self.raw: Any = redis.from_url(url, protocol=2)
        self.prefix = new_prefix()

    def key(self, name: str) -> str:
        return f"{self.prefix}:{name}"

    async def put(self, name: str, *texts: str) -> list[bytes]:
        return [await self.raw.xadd(self.key(name), {"m": text}) for text in texts]

    async def read(self, count: int = 100, **cursors: bytes) -> list[tuple[str, list[Any]]]:
        """What came, by short names."""
        asked = {self.key(name): cursor for name, cursor in cursors.items()}
        found = await self.tail.read(asked, count)
        return [(stream.removeprefix(f"{self.prefix}:"), entries) for stream, entries in found]

    async def blocked(self, reading: "asyncio.Task[Any]") -> None:
        """Wait until the read waits in Valkey."""
        async with asyncio.timeout(BOUND_S):
            while not (await self.raw.info("clients"))["blocked_clients"]:
                assert not reading.done()

    async def cut_connections(self) -> None:
        """All but the hand's."""
        await self.raw.client_kill_filter(_type="normal", skipme=True)

    async def close(self) -> None:
        await self.tail.close()
        await self.servers.close()
        await self.raw.aclose()


@pytest.fixture
async def desk(own_valkey: EmbeddedEngine) -> AsyncIterator[Desk]:
    desk = Desk(own_valkey.url, LONG_S)
    yield desk
    await desk.close()


class TestReading:
    async def test_entries_are_an_id_and_their_fields_in_order(self, desk: Desk) -> None:
        first, second = await desk.put("s", "a", "幕")
        assert await desk.read(s=MIN_ID) == [
            ("s", [[first, [b"m", b"a"]], [second, [b"m", "幕".encode()]]])
        ]

    async def test_each_stream_is_read_from_its_own_cursor(self, desk: Desk) -> None:
        old, new = await desk.put("s", "old", "new")
        [other] = await desk.put("t", "other")
        await desk.put("unread", "x")
        assert dict(await desk.read(s=old, t=MIN_ID, empty=MIN_ID)) == {
            "s": [[new, [b"m", b"new"]]],
            "t": [[other, [b"m", b"other"]]],
        }

    async def test_no_more_of_each_than_was_asked_for(self, desk: Desk) -> None:
        await desk.put("s", *"abc")
        await desk.put("t", *"de")
        found = await desk.read(count=2, s=MIN_ID, t=MIN_ID)
        assert {stream: len(entries) for stream, entries in found} == {"s": 2, "t": 2}


class TestWaiting:
    async def test_it_waits_for_the_first_entry_of_any_stream(self, desk: Desk) -> None:
        reading = asyncio.create_task(desk.read(s=MIN_ID, t=MIN_ID))
        await desk.blocked(reading)
        [entry] = await desk.put("t", "a")
        assert await reading == [("t", [[entry, [b"m", b"a"]]])]

    async def test_it_may_wait_longer_than_an_answer_may_take(self, valkey: EmbeddedEngine) -> None:
        tail = Tail(open_servers(valkey.url, 0.3), "s", 0.5)
        assert await tail.read({new_prefix(): MIN_ID}, 1) == []
        await tail.close()

    async def test_when_nothing_comes_it_says_so(self, valkey: EmbeddedEngine) -> None:
        hasty = Desk(valkey.url, 0.001)
        assert await hasty.read(s=MIN_ID) == []
        await hasty.close()


class TestBreaks:
    async def test_one_between_two_reads_is_told_once(self, desk: Desk) -> None:
        await desk.put("s", "a")
        assert await desk.read(s=MIN_ID)
        await desk.cut_connections()
        with pytest.raises(StoreError):
            await desk.read(s=MIN_ID)
        assert await desk.read(s=MIN_ID)

    async def test_one_in_the_middle_of_a_read_is_told_once(self, desk: Desk) -> None:
        reading = asyncio.create_task(desk.read(s=MIN_ID))
        await desk.blocked(reading)
        await desk.cut_connections()
        with pytest.raises(StoreError):
            await reading
        await desk.put("s", "a")
        assert await desk.read(s=MIN_ID)

    async def test_a_valkey_that_came_back_is_another(
        self, desk: Desk, own_valkey: EmbeddedEngine
    ) -> None:
        await desk.put("s", "a")
        assert await desk.read(s=MIN_ID)
        own_valkey.restart()
        with pytest.raises(StoreError):
            await desk.read(s=MIN_ID)

    async def test_no_answer_after_the_wait_is_a_store_error(
        self, own_valkey: EmbeddedEngine
    ) -> None:
        tail = Tail(
            open_servers(own_valkey.url, 0.5), "s", 0.01
        )  # a block may end a tenth of a second late
        assert await tail.read({"s": MIN_ID}, 1) == []
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError):
                await tail.read({"s": MIN_ID}, 1)
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
        await tail.close()

    async def test_nobody_there_is_a_store_error(self) -> None:
        lost = Tail(open_servers("unix:///nowhere/to/be.sock", BOUND_S), "s", LONG_S)
        with pytest.raises(StoreError):
            await lost.read({"s": MIN_ID}, 1)
        await lost.close()
