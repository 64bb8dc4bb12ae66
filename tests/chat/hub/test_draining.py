"""The end of a shard: viewers are let go in steps, and told when to come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from chat.hub import draining
from chat.ops.engine import EmbeddedEngine
from shard.counters import Count
from tests.chat.rig import Shard, Viewer, publish, until

ROOM = "live:42"
LONG_S = 3600


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, server={"drain_s": LONG_S}) as shard:
        yield shard


async def come(shard: Shard, stack: AsyncExitStack, count: int) -> list[Viewer]:
    viewers = []
    for i in range(count):
        viewer = shard.viewer(f"?room={ROOM}", binary=i % 2 > 0)
        await stack.enter_async_context(viewer)
        await viewer.hear("joined")
        viewers.append(viewer)
    return viewers


async def moments(viewers: list[Viewer]) -> list[float]:
    found = []
    for viewer in viewers:
        assert await viewer.closed() == 4000
        bye = viewer.events[-1]
        assert (bye["t"], bye["reason"]) == ("bye", "restart")
        found.append(bye["reconnect_in"])
    return found


async def test_where_others_take_them_everyone_comes_back_soon(shard: Shard) -> None:
    async with AsyncExitStack() as stack:
        viewers = await come(shard, stack, 12)
        await shard.hub.drain(others=True)
        found = await moments(viewers)
    assert all(0 <= moment <= draining.RETURN_S for moment in found)
    assert len(set(found)) > 6
    await until(lambda: shard.counts[Count.CONNECTIONS] == 0)


async def test_where_none_do_they_come_back_over_the_window(shard: Shard) -> None:
    async with AsyncExitStack() as stack:
        viewers = await come(shard, stack, 12)
        await shard.hub.drain(others=False)
        found = await moments(viewers)
    assert all(0 <= moment <= LONG_S for moment in found)
    assert max(found) > draining.RETURN_S
    assert len(set(found)) > 6


async def test_who_is_not_let_go_yet_is_one_like_any_other(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "STEP_S", 600.0)
    async with AsyncExitStack() as stack:
        first, second = await come(shard, stack, 2)
        ending = asyncio.create_task(shard.hub.drain(others=True))
        assert await first.closed() == 4000
        await publish(shard.store, ROOM, "meanwhile")
        await second.hear("msg", text="meanwhile")
        await second.do("ping", ref=7)
        await second.hear("pong", ref=7)
        ending.cancel()


async def test_it_is_over_when_nobody_is_left(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "STEP_S", 0.5)
    async with AsyncExitStack() as stack:
        first, *others = await come(shard, stack, 40)
        ending = asyncio.create_task(shard.hub.drain(others=True))
        assert await first.closed() == 4000
        for viewer in others:
            await viewer.__aexit__()
        async with asyncio.timeout(15):  # of 20 s
            await ending


async def test_without_a_window_all_go_at_once(valkey: EmbeddedEngine, prefix: str) -> None:
    async with Shard(valkey.url, prefix, server={"drain_s": 0}) as shard, AsyncExitStack() as stack:
        viewers = await come(shard, stack, 6)
        await shard.hub.drain(others=True)
        assert await moments(viewers) == [0.0] * 6
