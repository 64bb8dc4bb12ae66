"""The worker's loop: everything is done, in order, whoever comes, ends, dies or is away."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from chat.bus.groups import ALL, Groups, Taken
from chat.bus.names import new_shard
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.tasks import end
from chat.workers import consumer as module
from chat.workers.consumer import Consumer
from tests.chat.rig import a_store, publish, until
from tests.servers import Cluster, Sentinels

PARTITIONS = 4
LEASE_S = 3.0
"""More than a busy machine takes between two renewals."""
ROOMS = [f"r{i}" for i in range(12)]


class Worker:
    """A consumer that notes what it does."""

    def __init__(self, store: Store, lease_s: float = 30.0) -> None:
        self.done: list[tuple[str, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.working = False
        self.failures = 0
        self.tries = 0
        groups = Groups(store, "g", new_shard())
        self.consumer = Consumer(
            *(store, groups, groups.rooms_units(), self._work),
            first=self._first,
            lease_s=lease_s,
        )
        self.task = asyncio.create_task(self.consumer.run())

    def _first(self) -> str:
        self.tries += 1
        return ALL

    async def _work(self, taken: Sequence[Taken]) -> None:
        if self.failures:
            self.failures -= 1
            raise ValueError("no luck")
        self.working = True
        await self.gate.wait()
        self.working = False
        for one in taken:
            for _, fields in one.entries:
                place = fields[3].decode().rpartition("-")[2]
                self.done.append((fields[1].decode(), int(place)))

    async def end(self) -> None:
        self.consumer.end()
        await self.task

    async def die(self) -> None:
        """Be gone without a word, as a process that is killed."""
        self.consumer._leases.end = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        await end([self.task])

    @property
    def units(self) -> int:
        return len(self.consumer.held)


@asynccontextmanager
async def running(url: str, prefix: str) -> AsyncIterator[Store]:
    store = a_store(url, prefix, partitions=PARTITIONS, timeout_s=2.0)
    yield store
    await store.close()


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    async with running(valkey.url, prefix) as store:
        yield store


async def say(store: Store, times: int = 1) -> None:
    for _ in range(times):
        for room in ROOMS:
            await publish(store, room, "x")


def kill(engine: EmbeddedEngine) -> None:
    """It is gone at once."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


def in_order(done: Sequence[tuple[str, int]]) -> bool:
    return all(seqs == sorted(seqs) for seqs in ([s for r, s in done if r == x] for x in ROOMS))


async def test_all_is_done_once_and_in_order(store: Store) -> None:
    await say(store, 2)
    worker = Worker(store)
    await until(lambda: len(worker.done) == 24)
    await say(store)
    await until(lambda: len(worker.done) == 36)
    assert in_order(worker.done)
    assert len(set(worker.done)) == 36
    await worker.end()


async def test_what_fails_is_done_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(store)
    worker.failures = 2
    await say(store)
    await until(lambda: len(worker.done) == 12)
    assert [one.message for one in caplog.records if one.levelno == logging.ERROR] == [
        "the work failed and will be tried until it is done"
    ]
    await worker.end()


async def test_work_under_way_is_finished_at_the_end(store: Store) -> None:
    worker = Worker(store)
    worker.gate.clear()
    await say(store)
    await until(lambda: worker.working)
    worker.consumer.end()
    await asyncio.sleep(0)
    worker.gate.set()
    await worker.task
    other = Worker(store)
    await until(lambda: len(worker.done) + len(other.done) == 12)
    await say(store)
    await until(lambda: len(worker.done) + len(other.done) == 24)
    await other.end()


async def test_work_without_an_end_is_left_to_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.05)
    worker = Worker(store)
    worker.gate.clear()
    await say(store)
    await until(lambda: worker.working)
    await worker.end()
    other = Worker(store)
    await until(lambda: len(other.done) == 12)
    await other.end()


async def test_two_share_and_a_dead_ones_part_is_taken_over(store: Store) -> None:
    a, b = Worker(store, LEASE_S), Worker(store, LEASE_S)
    await until(lambda: a.units == b.units == 2)
    await say(store)
    await until(lambda: len(a.done) + len(b.done) == 12)
    assert not set(a.done) & set(b.done)
    a.gate.clear()
    await say(store)
    await until(lambda: a.working)
    await a.die()
    await until(lambda: b.units == PARTITIONS)
    await until(lambda: len(set(a.done) | set(b.done)) == 24)
    assert in_order(b.done)
    await b.end()


async def test_leases_are_renewed_beside_long_work(store: Store) -> None:
    a = Worker(store, LEASE_S)
    await until(lambda: a.units == PARTITIONS)
    a.gate.clear()
    await say(store)
    await until(lambda: a.working)
    b = Worker(store, LEASE_S)
    await b.consumer.ready.wait()
    over = time.monotonic() + 1.5 * LEASE_S
    while time.monotonic() < over:
        await asyncio.sleep(0.05)
        assert a.units == PARTITIONS
    a.gate.set()
    await until(lambda: a.units == b.units == 2)
    for one in (a, b):
        await one.end()


async def test_redis_away_is_waited_for_and_told_once(
    own_valkey: EmbeddedEngine, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(own_valkey.url, prefix) as store:
        worker = Worker(store, 1.0)
        await say(store)
        await until(lambda: len(worker.done) == 12)
        kill(own_valkey)
        await until(lambda: "Redis does not answer" in caplog.text)
        await until(lambda: worker.tries > 3, "more tries")
        await asyncio.to_thread(own_valkey.restart)
        await until(lambda: "Redis answers again" in caplog.text)
        said = [one.message for one in caplog.records if one.name == module.__name__]
        assert len(said) == 2
        worker.done.clear()
        await say(store)  # it came back empty: streams and groups are new
        await until(lambda: len(worker.done) == 12)
        await worker.end()


async def test_ending_does_not_wait_for_redis(own_valkey: EmbeddedEngine, prefix: str) -> None:
    async with running(own_valkey.url, prefix) as store:
        worker = Worker(store)
        await until(lambda: worker.units == PARTITIONS)
        kill(own_valkey)
        await worker.end()


async def goes_on(store: Store, worker: Worker, rooms: Sequence[str]) -> None:
    """What is said from now on is done, once servers can be published on again."""
    before, left = set(worker.done), set(rooms)
    while left:
        for room in list(left):
            with suppress(AssertionError):  # refused meanwhile
                await publish(store, room, "y")
        await asyncio.sleep(0.05)
        left -= {room for room, _ in set(worker.done) - before}


async def test_a_cluster_fails_over(cluster: Cluster, prefix: str) -> None:
    async with running(cluster.url, prefix) as store:
        worker = Worker(store)
        await say(store)
        await until(lambda: len(set(worker.done)) == 12)
        await asyncio.to_thread(cluster.fail_over, cluster.master_of(store.keys.fanout(0)))
        await asyncio.wait_for(goes_on(store, worker, ROOMS), 60)
        await worker.end()


async def test_sentinels_fail_over(sentinels: Sentinels, prefix: str) -> None:
    async with running(sentinels.url, prefix) as store:
        worker = Worker(store)
        await say(store)
        await until(lambda: len(set(worker.done)) == 12)
        await asyncio.to_thread(sentinels.fail_over)
        await asyncio.wait_for(goes_on(store, worker, ROOMS), 60)
        await worker.end()
