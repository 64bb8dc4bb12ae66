"""Users who may have one connection, on two shards of a real Valkey."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from chat.bus.devices import Asked
from chat.counters import ChatCount
from chat.hub import devices as module
from chat.hub.devices import KEEP_TICKS
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_enforcement import watch
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"


def bearer(sub: str = "u7") -> str:
    return token(sub).removeprefix("?token=")


def a_shard(url: str, prefix: str, policy: str) -> Shard:
    shard = Shard(url, prefix, auth={"secret": SECRET, "devices": policy})
    shard.wall = time.time()  # tokens are checked against the real one
    return shard


async def two(valkey: EmbeddedEngine, prefix: str, policy: str) -> AsyncIterator[list[Shard]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(a_shard(valkey.url, prefix, policy)) for _ in range(2)
        ]


@pytest.fixture
async def replacing(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async for shards in two(valkey, prefix, "replace"):
        yield shards


@pytest.fixture
async def refusing(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async for shards in two(valkey, prefix, "refuse"):
        yield shards


async def claimed(shard: Shard, count: int = 1) -> None:
    """Wait until so many connections of a shard have their users."""
    devices = shard.service._devices
    assert devices is not None
    await until(
        lambda: sum(bool(one.claimed) for held in devices._held for one in held.values()) == count
    )


def age(shard: Shard) -> None:
    """A minute passes for the connections that a shard has."""
    assert shard.service._devices is not None
    for held in shard.service._devices._held:
        for device in held.values():
            device.since -= 60.0


async def open_still(viewer: Viewer) -> None:
    await viewer.settle()
    assert not viewer.close_code


class TestReplace:
    @pytest.mark.parametrize("second", [0, 1])
    async def test_the_older_one_is_closed_on_whatever_shard(
        self, replacing: list[Shard], second: int
    ) -> None:
        one, other = replacing[0], replacing[second]
        async with one.viewer(token()) as old, one.viewer(token("u8")) as another:
            await claimed(one, 2)
            async with other.viewer(token()) as new:
                assert await old.closed() == 4506
                assert one.count(ChatCount.DEVICES_REPLACED) == 1
                for _ in range(KEEP_TICKS):
                    one.advance()
                    other.advance()
                for viewer in (new, another):
                    await open_still(viewer)

    async def test_a_stream_that_is_not_served_replaces_nobody(
        self, replacing: list[Shard]
    ) -> None:
        shard = replacing[0]
        async with shard.viewer(token()) as old:
            await claimed(shard)
            for query, status in (("", 400), ("&room=a%20b", 400)):
                assert (await watch(shard, token() + query))[0] == status
            assert shard.service._devices is not None
            await shard.service._devices._idle.wait()
            await open_still(old)
            assert shard.count(ChatCount.DEVICES_REPLACED) == 0

    async def test_one_whom_no_word_reached_finds_out(self, replacing: list[Shard]) -> None:
        one, other = replacing

        async def lost(entry: bytes) -> str:
            return ""

        assert other.service._devices is not None
        other.service._devices._notify = lost
        async with one.viewer(token()) as old:
            await claimed(one)
            async with other.viewer(token()) as new:
                await claimed(other)
                one.advance(KEEP_TICKS)
                assert await old.closed() == 4506
                await open_still(new)

    async def test_one_whose_question_was_overtaken_is_the_older_still(
        self, replacing: list[Shard]
    ) -> None:
        one, other = replacing
        devices = one.service._devices
        assert devices is not None
        settle, go = devices._leases.settle, asyncio.Event()

        async def late(asked: Sequence[Asked]) -> Any:
            await go.wait()
            return await settle(asked)

        devices._leases.settle = late  # type: ignore[method-assign]
        async with one.viewer(token()) as old:
            await old.hear("welcome")
            age(one)
            async with other.viewer(token()) as new:
                await claimed(other)
                go.set()
                assert await old.closed() == 4506
                await open_still(new)

    async def test_many_in_one_turn_leave_the_last(self, replacing: list[Shard]) -> None:
        shard = replacing[0]
        async with AsyncExitStack() as stack:
            viewers = [await stack.enter_async_context(shard.viewer(token())) for _ in range(8)]
            await until(lambda: sum(bool(one.close_code) for one in viewers) == 7)
            assert {one.close_code for one in viewers[:-1]} == {4506}
            await open_still(viewers[-1])

    async def test_a_guest_that_becomes_the_user_is_the_newest(
        self, replacing: list[Shard]
    ) -> None:
        one, other = replacing
        async with one.viewer(token()) as old, other.viewer() as guest:
            await claimed(one)
            await guest.ask("auth", token=bearer())
            assert await old.closed() == 4506
            await guest.ask("auth", token=bearer())  # again, which is no other connection
            await open_still(guest)

    async def test_guests_are_as_many_as_they_like(self, replacing: list[Shard]) -> None:
        one, other = replacing
        async with one.viewer() as first:
            key = (await first.hear("welcome"))["guest"]
            async with other.viewer(f"?guest={key}") as second:
                for viewer in (first, second):
                    await open_still(viewer)


class TestRefuse:
    @pytest.mark.parametrize("second", [0, 1])
    async def test_the_newer_one_is_closed(self, refusing: list[Shard], second: int) -> None:
        one, other = refusing[0], refusing[second]
        async with one.viewer(token()) as old:
            await claimed(one)
            async with other.viewer(token()) as new:
                assert await new.closed() == 4507
                assert other.count(ChatCount.REFUSED_DEVICE) == 1
                one.advance(2 * KEEP_TICKS)
                await open_still(old)

    async def test_one_that_has_left_makes_room_at_once(self, refusing: list[Shard]) -> None:
        for shard in (*refusing, *refusing):
            async with shard.viewer(token()) as viewer:
                await claimed(shard)
                await open_still(viewer)

    async def test_who_is_about_to_leave_is_waited_for(self, refusing: list[Shard]) -> None:
        one, other = refusing
        async with AsyncExitStack() as stack:
            old = one.viewer(token())
            await old.__aenter__()
            await claimed(one)
            new = await stack.enter_async_context(other.viewer(token()))
            devices = other.service._devices
            assert devices is not None
            await until(lambda: any(one.retried for h in devices._held for one in h.values()))
            await old.__aexit__()
            await claimed(other)
            await open_still(new)

    async def test_a_shard_that_died_holds_nobody_for_long(
        self, refusing: list[Shard], raw: Any
    ) -> None:
        one, other = refusing
        key = one.store.keys.device("u7")
        await raw.set(key, "dead0000-0-a", ex=30)  # what it leaves behind
        async with other.viewer(token()) as viewer:
            assert await viewer.closed() == 4507
        await raw.delete(key)  # thirty seconds later
        async with other.viewer(token()) as viewer:
            await claimed(other)
            conn, _ = (await raw.get(key)).split()
            assert conn == (await viewer.hear("welcome"))["conn"]


class TestAway:
    async def test_everybody_is_let_in_and_counted_and_it_is_made_good(
        self, own_valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with a_shard(own_valkey.url, prefix, "replace") as shard:
            assert own_valkey.pid is not None
            os.kill(own_valkey.pid, signal.SIGKILL)
            async with AsyncExitStack() as stack:
                old = await stack.enter_async_context(shard.viewer(token()))
                await old.hear("welcome")
                age(shard)
                new = await stack.enter_async_context(shard.viewer(token()))
                unchecked = ChatCount.DEVICES_UNCHECKED
                await until(lambda: shard.count(unchecked) == 2)
                for viewer in (old, new):
                    await open_still(viewer)
                own_valkey.restart()

                def ended() -> int:
                    shard.advance()
                    return old.close_code or new.close_code

                await until(ended)
                assert old.close_code == 4506
                await open_still(new)
                assert shard.count(unchecked) == 2

    async def test_what_waits_is_bounded(
        self, replacing: list[Shard], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shard = replacing[0]
        monkeypatch.setattr(module, "MOST_WAITING", 0)
        async with shard.viewer(token()) as viewer:
            await open_still(viewer)
            assert shard.count(ChatCount.DEVICES_UNCHECKED) == 1
            monkeypatch.setattr(module, "MOST_WAITING", 100)
            shard.advance(KEEP_TICKS)
            await claimed(shard)


class TestAllow:
    async def test_costs_nothing(self, valkey: EmbeddedEngine, prefix: str, raw: Any) -> None:
        async with a_shard(valkey.url, prefix, "allow") as shard:
            assert shard.service._devices is None
            async with shard.viewer(token()) as one, shard.viewer(token()) as other:
                for viewer in (one, other):
                    await open_still(viewer)
            assert [key async for key in raw.scan_iter(f"{prefix}*device*")] == []
