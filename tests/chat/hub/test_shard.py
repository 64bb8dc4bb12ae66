"""A shard put together: what is asked first, who obeys what comes for shards, and that it ends."""

import asyncio
from functools import partial

from chat.bus.entries import Disconnected, pack
from chat.counters import DELIVERY_MS, FLUSH_MESSAGES, PUBLISH_US, REQUEST_US, ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.quotas import Quotas
from pool.histogram import Buckets
from tests.chat.rig import Shard, until

ROOM = "live:42"


class Yes:
    """Hooks that let everything by."""

    async def on_message(self, who: object, room: str, message: object) -> None:
        return None


async def test_quotas_are_asked_before_the_operator(valkey: EmbeddedEngine, prefix: str) -> None:
    hooks = {"hooks": f"{__name__}:Yes"}
    limits = {"user_messages_per_s": 1, "user_messages_burst": 2}
    async with Shard(valkey.url, prefix, rooms=hooks, limits=limits) as shard:
        stages = [lane.stage for lane in shard.service._sending._lanes]
        assert [isinstance(stage, Quotas) for stage in stages] == [True, False]


async def test_who_is_disconnected_is_so_on_every_shard(
    valkey: EmbeddedEngine, prefix: str
) -> None:
    async with Shard(valkey.url, prefix) as shard, shard.viewer() as viewer:
        uid = (await viewer.hear("welcome"))["uid"]
        await shard.store.notify(pack(Disconnected(uid, "enough", 3.0)))
        assert await viewer.closed() == 4505
        assert (await viewer.hear("bye"))["reconnect_in"] == 3.0


async def test_what_is_said_is_measured_on_its_way(valkey: EmbeddedEngine, prefix: str) -> None:
    async with Shard(valkey.url, prefix) as shard, shard.viewer() as viewer:
        await viewer.join(ROOM)
        for i in range(3):
            await viewer.say(ROOM, f"{i}")
        assert shard.count(ChatCount.MESSAGES_IN) == 3
        for one, least in ((PUBLISH_US, 3), (FLUSH_MESSAGES, 1), (REQUEST_US, 4), (DELIVERY_MS, 1)):
            await until(partial(at_least, shard, one, least))
        await until(lambda: shard.counts[FLUSH_MESSAGES.sum] == 3)
        assert shard.count(ChatCount.BUS_REQUESTS_FAILED) == 0


async def test_what_redis_does_not_answer_is_counted(own_valkey: EmbeddedEngine) -> None:
    async with Shard(own_valkey.url, "x") as shard, shard.viewer() as viewer:
        await viewer.join(ROOM)
        own_valkey.stop()
        while not shard.count(ChatCount.PUBLISH_OPEN):
            assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "unavailable"
        assert shard.count(ChatCount.BUS_REQUESTS_FAILED) >= 3
        assert shard.count(ChatCount.REFUSED_UNAVAILABLE) <= shard.count(ChatCount.MESSAGES_IN)


def at_least(shard: Shard, one: Buckets, least: int) -> bool:
    """Whether a histogram has so many values."""
    return sum(shard.counts[one.first : one.sum]) >= least


async def test_it_leaves_nothing_running(valkey: EmbeddedEngine, prefix: str) -> None:
    before = asyncio.all_tasks()
    async with Shard(valkey.url, prefix, auth={"devices": "replace"}) as shard:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.say(ROOM, "hi")
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
