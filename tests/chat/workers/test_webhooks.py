"""Webhooks end to end: Redis, workers, a service that may fail, and nothing lost."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench.local import free_port
from chat.bus.audit import Audit
from chat.bus.crowds import Crowds
from chat.bus.reports import Report, Reports
from chat.bus.store import Store
from chat.config.sections import Config
from chat.counters import NODE_FIELDS, NodeCount
from chat.ops.engine import EmbeddedEngine
from chat.tasks import end
from chat.wire.schema import Msg
from chat.workers.webhooks import Webhooks
from pool.scoreboard import Scoreboard
from tests.chat.rig import a_store, configured, publish, until
from tests.chat.service import Service

ROOT = Path(__file__).parents[3]
ROOMS = [f"r{i}" for i in range(8)]
ALL = (
    *("message", "moderation", "report", "room_occupied", "room_vacated"),
    *("connected", "disconnected"),
)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, room_events=1_000)
    yield store
    await store.close()


def config_for(service: Service, *events: str, **webhooks: Any) -> Config:
    usual = {"url": service.url, "events": events or ALL, "secret": "s" * 32}
    return configured(
        bus={"partitions": 4}, webhooks=usual | webhooks, rooms={"online_interval_s": 1}
    )


class Worker:
    """A worker under way."""

    def __init__(self, store: Store, config: Config, lease_s: float = 30.0) -> None:
        self.counts = Scoreboard(NODE_FIELDS, 1).row(0)
        self.webhooks = Webhooks(config, store, self.counts, lease_s=lease_s)
        self.webhooks.deliveries._chance = lambda: 0.01
        self.serving = asyncio.Event()
        self.task = asyncio.create_task(self.webhooks.run(self.serving.set))

    async def end(self) -> None:
        self.webhooks.consumer.end()
        await self.task

    async def die(self) -> None:
        self.webhooks.consumer._leases.end = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        await end([self.task])

    @property
    def sent(self) -> int:
        return self.counts[NodeCount.WEBHOOK_EVENTS_SENT]

    def count(self, what: NodeCount) -> int:
        return self.counts[what]


def told(service: Service) -> list[dict[str, Any]]:
    """All events, as often as they came."""
    return [event for _, body in service.requests for event in json.loads(body)]


def once(service: Service) -> list[dict[str, Any]]:
    """Events by the first time they came, as a receiver keeps them."""
    return list({event["event_id"]: event for event in reversed(told(service))}.values())[::-1]


def seqs(events: list[dict[str, Any]], room: str) -> list[int]:
    return [one["seq"] for one in events if one["event"] == "message" and one["room"] == room]


async def say(store: Store, count: int) -> None:
    for _ in range(count):
        for room in ROOMS:
            await publish(store, room, "hi")


async def test_what_is_said_is_told_in_order(store: Store, service: Service) -> None:
    await publish(store, "r0", "before there was a worker")
    said = await store.clock_ms()
    while await store.clock_ms() <= said:
        pass
    worker = Worker(store, config_for(service))
    await worker.serving.wait()
    await say(store, 3)
    await until(lambda: len(told(service)) == 24)
    for room in ROOMS[1:]:
        assert seqs(told(service), room) == [1, 2, 3]
    assert seqs(told(service), "r0") == [2, 3, 4]
    await until(lambda: worker.count(NodeCount.WEBHOOK_EVENTS_SENT) == 24)
    await until(lambda: worker.count(NodeCount.WEBHOOK_WAITING) == 0)
    await worker.end()


async def test_every_kind_is_told(store: Store, service: Service) -> None:
    worker = Worker(store, config_for(service))
    await worker.serving.wait()
    await Audit(store, 100).write(b'{"ts":5,"action":"mute","room":"r","uid":"u","actor":"m"}')
    message = Msg("r", 1, "e-1", "u", "n", "x", 1, "scroll", 25, 9)
    await Reports(store).add(Report(7, "reporter", message, "spam"))
    for count in (1, 0):
        await Crowds(store, 20).report(store.keys.partition("r"), "s", [("r", count)])
    arrived = json.dumps([{"event": "connected", "event_id": "connected-c", "ts": 1, "uid": "u"}])
    key = store.keys.connections
    await store.servers.ask(key, lambda pipe, on: pipe.xadd(key, {"m": arrived}))
    await until(lambda: len(told(service)) == 5)
    found = {event["event"]: event for event in told(service)}
    assert found.keys() == {"moderation", "report", "room_occupied", "room_vacated", "connected"}
    assert (found["moderation"]["action"], found["moderation"]["actor"]) == ("mute", "m")
    assert found["report"]["message"]["text"] == "x"
    assert found["report"]["reason"] == "spam"
    assert found["room_occupied"]["room"] == "r"
    assert all({"event_id", "ts"} <= event.keys() for event in found.values())
    await worker.end()


async def test_only_what_is_wanted_is_read(store: Store, service: Service) -> None:
    worker = Worker(store, config_for(service, "room_vacated"))
    await worker.serving.wait()
    await say(store, 1)
    for count in (1, 0):
        await Crowds(store, 20).report(store.keys.partition("r"), "s", [("r", count)])
    await until(lambda: told(service))
    assert [event["event"] for event in told(service)] == ["room_vacated"]
    await worker.end()


async def test_a_room_of_a_dead_shard_is_vacated_though_nobody_reports(
    store: Store, service: Service, raw: Any
) -> None:
    partition = store.keys.partition("r")
    await Crowds(store, 20).report(partition, "dead", [("r", 1)])
    await raw.zadd(store.keys.seen(partition), {"r": 1})
    worker = Worker(store, config_for(service, "room_vacated"))
    await until(lambda: told(service))
    assert told(service)[0]["room"] == "r"
    await worker.end()


@pytest.mark.parametrize("trouble", ["away", "failing"])
async def test_nothing_is_lost_while_the_service_is_in_trouble(
    store: Store, service: Service, trouble: str
) -> None:
    worker = Worker(store, config_for(service))
    await worker.serving.wait()
    await say(store, 1)
    await until(lambda: len(told(service)) == 8)
    if trouble == "away":
        await service.stop()
    else:
        service.status = 500
    await say(store, 2)
    await until(lambda: worker.count(NodeCount.WEBHOOK_REQUESTS_FAILED) >= 2)
    assert worker.count(NodeCount.WEBHOOK_WAITING) > 0
    if trouble == "away":
        await service.start()
    service.status = 200
    await until(lambda: len(once(service)) == 24)
    for room in ROOMS:
        assert seqs(once(service), room) == [1, 2, 3]
    await worker.end()


async def test_two_share_and_when_one_dies_nothing_is_lost(store: Store, service: Service) -> None:
    config = config_for(service, "message")
    a, b = Worker(store, config, 3.0), Worker(store, config, 3.0)
    await until(lambda: len(a.webhooks.consumer.held) == len(b.webhooks.consumer.held) == 2)
    await say(store, 2)
    await until(lambda: len(once(service)) == 16)
    assert len(told(service)) == 16
    await until(lambda: a.sent + b.sent == 16)
    assert min(a.sent, b.sent) > 0
    service.gate.clear()
    before = len(service.requests)
    await say(store, 1)
    await until(lambda: len(service.requests) == before + 2)
    await a.die()
    service.gate.set()
    await say(store, 1)
    await until(lambda: len(once(service)) == 32)
    for room in ROOMS:
        assert seqs(once(service), room) == [1, 2, 3, 4]
    await b.end()


async def test_what_trimming_took_is_told_and_counted(
    store: Store, service: Service, raw: Any
) -> None:
    config = config_for(service, "message")
    worker = Worker(store, config)
    await worker.serving.wait()
    await say(store, 1)
    await until(lambda: len(told(service)) == 8)
    await worker.end()
    await say(store, 4)
    left = 0
    for partition in range(4):
        await raw.xtrim(store.keys.fanout(partition), maxlen=2, approximate=False)
        left += await raw.xlen(store.keys.fanout(partition))
    worker = Worker(store, config)
    await until(lambda: len([e for e in told(service) if e["event"] == "message"]) == 8 + left)
    gone = [event for event in told(service) if event["event"] == "lost"]
    assert sum(event["count"] for event in gone) == 32 - left
    await until(lambda: worker.count(NodeCount.WEBHOOK_EVENTS_LOST) == 32 - left)
    await worker.end()


async def test_a_service_that_takes_only_small_bodies_gets_small_ones(
    store: Store, service: Service
) -> None:
    sizes: list[int] = []

    def answer(events: Any) -> Any:
        sizes.append(len(events))
        service.status = 413 if len(events) > 3 else 200
        return []

    service.answer = answer
    await say(store, 1)
    worker = Worker(store, config_for(service, "message"))
    worker.webhooks._began -= 60
    await until(lambda: worker.count(NodeCount.WEBHOOK_EVENTS_SENT) == 8)
    assert len(once(service)) == 8
    await worker.end()


class TestProcess:
    """A node with a worker, as it is run."""

    def begin(self, valkey: EmbeddedEngine, prefix: str, service: Service, folder: Path) -> Any:
        usual = {
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(free_port()),
            "SERVER_SHARDS": "1",
            "API_PORT": str(free_port()),
            "NODE_RUN_DIR": str(folder / "run"),
            "BUS_URL": valkey.url,
            "BUS_PREFIX": prefix,
            "BUS_PARTITIONS": "4",
            "WEBHOOKS_URL": service.url,
            "WEBHOOKS_SECRET": "s" * 32,
            "WEBHOOKS_EVENTS": json.dumps(list(ALL)),
            "SERVER_DRAIN_S": "0",
        }
        clean = {name: text for name, text in os.environ.items() if "DANMAKU_" not in name}
        return subprocess.Popen(
            [sys.executable, "-m", "chat.cli", "serve"],
            env=clean | {f"DANMAKU_{name}": text for name, text in usual.items()},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def test_killed_between_a_request_and_its_answer_it_sends_again(
        self, valkey: EmbeddedEngine, prefix: str, store: Store, service: Service, tmp_path: Path
    ) -> None:
        node = self.begin(valkey, prefix, service, tmp_path)
        try:
            up = await asyncio.to_thread(node.stdout.readline)
            assert "Danmaku is up" in up
            service.gate.clear()
            await publish(store, "r", "hi")
            await until(lambda: service.requests)
            os.kill(await self.worker_of(node), signal.SIGKILL)
            service.gate.set()
            await publish(store, "r", "again")
            await until(lambda: len(seqs(once(service), "r")) == 2)
            assert seqs(once(service), "r") == [1, 2]
            assert seqs(told(service), "r").count(1) >= 2
            node.send_signal(signal.SIGTERM)
            _, said = await asyncio.to_thread(node.communicate, timeout=30)
            assert node.returncode == 0
            assert "Traceback" not in said
            assert "killing" not in said
        finally:
            node.kill()
            node.communicate()

    async def worker_of(self, node: Any) -> int:
        """The process of the worker: it says so when it starts."""
        while line := await asyncio.to_thread(node.stderr.readline):
            if "webhooks runs as process" in line:
                return int(line.split()[-1])
        raise AssertionError("no worker was started")
