"""A master dies under load: nothing that was acknowledged is lost in silence, nothing comes twice.

What was acknowledged may be lost with the master, because replication is asynchronous. Then viewers
are told of a gap, or of a new epoch. A text is sent once, whatever becomes of it, so that one that
is seen twice was published twice.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from chat.tasks import Tasks
from tests.chat.rig import Shard, Viewer, until
from tests.servers import Cluster, Sentinels, TestServer

ROOMS = [f"r{i}" for i in range(12)]
PACE_S = 0.02
Trouble = Callable[[TestServer], None]


class Talk:
    """Everyone who types, each in a room of one shard, and a viewer of all of them on another."""

    def __init__(self, here: Shard, there: Shard) -> None:
        self.here = here
        self.there = there
        self.typists: dict[str, Viewer] = {}
        self.watcher: Viewer
        self.sent: dict[str, int] = defaultdict(int)
        self._talking, self._ticking = Tasks("talk"), Tasks("ticks")

    async def begin(self, stack: AsyncExitStack) -> None:
        for room in ROOMS:
            self.typists[room] = await stack.enter_async_context(self.here.viewer())
            await self.typists[room].join(room)
        self.watcher = await stack.enter_async_context(self.there.viewer())
        for room in ROOMS:
            await self.watcher.join(room)
        self._talking.spawn(self._talk())
        self._ticking.spawn(self._tick())

    async def stop(self) -> None:
        await self._talking.stop()
        await self._ticking.stop()

    async def _talk(self) -> None:
        while True:
            for room, typist in self.typists.items():
                self.here.wall += 0.001  # by its time a place is told from another of its number
                self.sent[room] += 1
                number = self.sent[room]
                await typist.do("send", room=room, text=f"{room}/{number}", ref=number)
            await asyncio.sleep(PACE_S)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.here.advance()
            self.there.advance()

    def acked(self, room: str) -> list[int]:
        """The numbers of what was acknowledged."""
        return [event["ref"] for event in self.typists[room].of("ack")]

    async def each_acked_beyond(self, numbers: dict[str, int]) -> None:
        """Wait until something later than these was acknowledged in every room."""
        for room, number in numbers.items():
            await until(partial(self._is_beyond, room, number), f"an ack in {room}")

    def _is_beyond(self, room: str, number: int) -> bool:
        return max(self.acked(room), default=0) > number

    async def settle(self) -> None:
        """Nobody types any more, all is answered, and the newest has been seen."""
        await self._talking.stop()
        for room in ROOMS:
            await until(partial(self._is_answered, room), f"all answers in {room}")
            newest = f"{room}/{max(self.acked(room))}"
            await until(partial(self._is_seen, newest), newest)

    def _is_answered(self, room: str) -> bool:
        events = self.typists[room].events
        return sum(event["t"] in ("ack", "error") for event in events) == self.sent[room]

    def _is_seen(self, text: str) -> bool:
        return text in self.watcher.texts


@asynccontextmanager
async def talking(url: str, prefix: str) -> AsyncIterator[Talk]:
    settings: dict[str, Any] = {
        "bus": {"partitions": 16, "flush_interval_ms": 5, "timeout_ms": 1_000},
        "limits": {"commands_per_s": 10_000, "commands_burst": 10_000},
    }
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(Shard(url, prefix, "", **settings))
        there = await stack.enter_async_context(Shard(url, prefix, "", **settings))
        talk = Talk(here, there)
        stack.push_async_callback(talk.stop)
        await talk.begin(stack)
        yield talk


def check(talk: Talk) -> None:
    """What was acknowledged was seen, or a gap was told of; nothing was seen twice."""
    texts = talk.watcher.texts
    assert len(texts) == len(set(texts))
    seen = set(texts)
    gaps = {event["room"] for event in talk.watcher.of("gap")}
    for room in ROOMS:
        lost = [number for number in talk.acked(room) if f"{room}/{number}" not in seen]
        assert not lost or room in gaps, f"{room}: {lost} were lost in silence"
        assert len(talk.acked(room)) > len(lost)


def kill(server: TestServer) -> None:
    server.kill()


def freeze(server: TestServer) -> None:
    server.freeze()


class TestCluster:
    @pytest.mark.parametrize("trouble", [kill, freeze])
    async def test_a_master_is_lost(self, cluster: Cluster, prefix: str, trouble: Trouble) -> None:
        async with talking(cluster.url, prefix) as talk:
            await talk.each_acked_beyond(dict.fromkeys(ROOMS, 3))
            lost = cluster.master_of(talk.here.store.keys.room(ROOMS[0]))
            trouble(lost)
            await talk.each_acked_beyond(dict(talk.sent))
            lost.revive()
            await talk.each_acked_beyond(dict(talk.sent))
            await talk.settle()
            check(talk)

    async def test_a_master_steps_down(self, cluster: Cluster, prefix: str) -> None:
        async with talking(cluster.url, prefix) as talk:
            await talk.each_acked_beyond(dict.fromkeys(ROOMS, 3))
            key = talk.here.store.keys.room(ROOMS[0])
            before = cluster.master_of(key)
            cluster.fail_over(before)
            await until(lambda: cluster.master_of(key) is not before)
            await talk.each_acked_beyond(dict(talk.sent))
            await talk.settle()
            check(talk)


class TestSentinels:
    @pytest.mark.parametrize("trouble", [kill, freeze])
    async def test_the_master_is_lost(
        self, sentinels: Sentinels, prefix: str, trouble: Trouble
    ) -> None:
        async with talking(sentinels.url, prefix) as talk:
            await talk.each_acked_beyond(dict.fromkeys(ROOMS, 3))
            lost = sentinels.master
            trouble(lost)
            await talk.each_acked_beyond(dict(talk.sent))
            lost.revive()
            await talk.each_acked_beyond(dict(talk.sent))
            await talk.settle()
            check(talk)

    async def test_the_master_is_replaced_and_does_not_know(
        self, sentinels: Sentinels, prefix: str
    ) -> None:
        async with talking(sentinels.url, prefix) as talk:
            await talk.each_acked_beyond(dict.fromkeys(ROOMS, 3))
            sentinels.fail_over()
            # Until it is told, it takes messages that will be lost with it.
            await until(lambda: sentinels.other.info("replication")["role"] == "slave", "its fall")
            await talk.each_acked_beyond(dict(talk.sent))
            await talk.settle()
            check(talk)
