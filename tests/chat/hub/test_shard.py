"""A shard put together: what is asked first, who obeys what comes for shards, and that it ends."""

import asyncio

from chat.bus.entries import Disconnected, pack
from chat.ops.engine import EmbeddedEngine
from chat.policy.quotas import Quotas
from tests.chat.rig import Shard

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


async def test_it_leaves_nothing_running(valkey: EmbeddedEngine, prefix: str) -> None:
    before = asyncio.all_tasks()
    async with Shard(valkey.url, prefix, auth={"devices": "replace"}) as shard:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await viewer.say(ROOM, "hi")
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
