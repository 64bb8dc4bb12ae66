"""Who came and went, as it is written to Redis."""

import json
from typing import Any

from chat.bus.connect import StoreError
from chat.counters import ChatCount
from chat.hub import presence as module
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import Shard, until

BOTH = {"url": "http://127.0.0.1:1/", "events": ("connected", "disconnected")}


async def visit(shard: Shard) -> None:
    async with shard.viewer() as viewer:
        await until(lambda: viewer.of("welcome"))
    await until(lambda: shard.group.connections == 0)


async def written(raw: Any, shard: Shard) -> list[dict[str, Any]]:
    found = await raw.xrange(shard.store.keys.connections)
    return [event for _, fields in found for event in json.loads(fields["m"])]


async def test_a_connection_comes_and_goes(valkey: EmbeddedEngine, prefix: str, raw: Any) -> None:
    async with Shard(valkey.url, prefix, webhooks=BOTH) as shard:
        async with shard.viewer("?name=Ann") as viewer:
            await until(lambda: viewer.of("welcome"))
            [welcome] = viewer.of("welcome")
        await until(lambda: shard.group.connections == 0)
        shard.advance()
        async with shard.viewer("?name=Ben") as viewer:
            await until(lambda: viewer.of("welcome"))
            shard.advance()
    events = await written(raw, shard)
    assert [one["event"] for one in events] == ["connected", "disconnected"] * 2
    conn, uid = welcome["conn"], welcome["uid"]
    assert [one["event_id"] for one in events[:2]] == [f"connected-{conn}", f"disconnected-{conn}"]
    assert {(one["uid"], one["conn"], one["role"]) for one in events[:2]} == {(uid, conn, "guest")}
    assert events[0]["name"] == welcome["name"]
    assert events[0]["ts"] == 1_800_000_000_000


async def test_only_what_is_wanted_is_written(
    valkey: EmbeddedEngine, prefix: str, raw: Any
) -> None:
    wanted = BOTH | {"events": ("disconnected",)}
    async with Shard(valkey.url, prefix, webhooks=wanted) as shard, shard.viewer() as viewer:
        await until(lambda: viewer.of("welcome"))
    assert [one["event"] for one in await written(raw, shard)] == ["disconnected"]
    async with Shard(valkey.url, f"{prefix}x") as shard, shard.viewer() as viewer:
        await until(lambda: viewer.of("welcome"))
        assert shard.service._presence is None


async def test_who_is_refused_neither_comes_nor_goes(
    valkey: EmbeddedEngine, prefix: str, raw: Any
) -> None:
    refusing = {"guests": "refuse"}
    async with (
        Shard(valkey.url, prefix, webhooks=BOTH, auth=refusing) as shard,
        shard.viewer() as viewer,
    ):
        await until(lambda: viewer.close_code)
    assert await written(raw, shard) == []


async def test_while_redis_is_away_they_wait_and_are_bounded(
    valkey: EmbeddedEngine, prefix: str, raw: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    async with Shard(valkey.url, prefix, webhooks=BOTH) as shard:
        ask = shard.store.servers.ask

        async def away(*_: Any) -> Any:
            raise StoreError("away")

        monkeypatch.setattr(shard.store.servers, "ask", away)
        for _ in range(2):
            await visit(shard)
            shard.advance()
        assert shard.count(ChatCount.CONNECTION_EVENTS_DROPPED) == 2
        monkeypatch.setattr(shard.store.servers, "ask", ask)
        presence = shard.service._presence
        assert presence is not None
        await until(lambda: not presence._tasks.busy)
        shard.advance()
        await until(lambda: not presence._waiting)
    assert len(await written(raw, shard)) == 2
