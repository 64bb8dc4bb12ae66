"""What moderators do holds on every shard and node, ends by itself, and outlives both."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.local import Node
from chat.bus.audit import Audit
from chat.bus.keys import Keys
from chat.bus.store import Store
from chat.bus.topology import open_servers
from chat.config.sections import Bus, Limits
from chat.ops.engine import EmbeddedEngine
from chat.policy.identity import BACKEND
from chat.policy.moderation import Moderation
from chat.policy.orders import Actor, Everywhere, Order
from tests.e2e.viewers import Event, Viewer

SECRET = "0123456789abcdef0123456789abcdef"
API = Actor("api", "api", BACKEND, "api")
VIEWERS = 12


def token(uid: str, role: str = "user") -> str:
    claims = {"sub": uid, "role": role, "exp": int(time.time()) + 3_600}
    return jwt.encode(claims, SECRET, "HS256")


def a_node(folder: Path, engine: EmbeddedEngine) -> Node:
    """Two shards on the Valkey of the test."""
    return Node(folder, bus_url=engine.url, auth_secret=SECRET, bus_timeout_ms=500)


@pytest.fixture
def node(tmp_path: Path, engine: EmbeddedEngine) -> Iterator[Node]:
    with a_node(tmp_path, engine) as node:
        yield node


@asynccontextmanager
async def backend(engine: EmbeddedEngine) -> AsyncIterator[Moderation]:
    """Moderation as any other process has it."""
    bus = Bus()
    store = Store(
        open_servers(engine.url, 5.0),
        Keys(bus.prefix, bus.partitions),
        history=50,
        fanout_entries=1_000,
        ttl_s=600,
    )
    yield Moderation(store, Limits(), Audit(store, 100), time.time)
    await store.close()


async def order(engine: EmbeddedEngine, what: Order) -> None:
    async with backend(engine) as moderation:
        await moderation.act(what, API)


async def on_both_shards(node: Node, uid: str, *rooms: str) -> list[Viewer]:
    """One user's connections, on all shards of a node."""
    found = [await Viewer.open(node.ws, *rooms, token=token(uid)) for _ in range(VIEWERS)]
    assert len({viewer.shard for viewer in found}) == 2
    return found


async def close(*viewers: Viewer) -> None:
    await asyncio.gather(*(viewer.close() for viewer in viewers))


async def until_answered(viewer: Viewer, command: Event, kind: str) -> Event:
    """Ask until the answer is of this kind: `ack`, or an error's code."""
    for _ in range(600):
        answer = await viewer.ask(command)
        if kind in (answer["t"], answer.get("code")):
            return answer
        assert answer["t"] in ("ack", "error"), answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"still {answer}")


def moderate(room: str, action: str, **fields: object) -> Event:
    return {"t": "moderate", "room": room, "action": action, **fields}


def send(room: str) -> Event:
    return {"t": "send", "room": room, "text": "x"}


async def test_a_mute_holds_on_both_shards_and_ends_by_itself(node: Node) -> None:
    users = await on_both_shards(node, "u1", "live:mute")
    mod = await Viewer.open(node.ws, "live:mute", token=token("m1", "moderator"))
    other = await Viewer.open(node.ws, "live:mute", token=token("u2"))
    done = await mod.ask(moderate("live:mute", "mute", uid="u1", seconds=8, reason="spam"))
    assert done["t"] == "done", done
    asking = (until_answered(user, send("live:mute"), "muted") for user in users)
    for error in await asyncio.gather(*asking):
        assert 0 < error["retry_after"] <= 8
    assert (await other.type("live:mute", "I may"))["t"] == "ack"
    late = await Viewer.open(node.ws, "live:mute", token=token("u1"))
    assert late.of("joined")[0]["state"]["muted_until"] > 0
    for user in users:
        await until_answered(user, send("live:mute"), "ack")
    await close(mod, other, late, *users)


async def test_a_ban_from_a_room_sends_out_and_outlives_the_node(
    tmp_path: Path, engine: EmbeddedEngine
) -> None:
    with a_node(tmp_path, engine) as node:
        users = await on_both_shards(node, "u1", "live:ban", "live:other")
        mod = await Viewer.open(node.ws, token=token("m1", "moderator"))
        assert (await mod.ask(moderate("live:ban", "ban", uid="u1")))["t"] == "done"
        for user in users:
            await user.until(lambda user: user.of("left"))
            assert user.of("left") == [{"t": "left", "room": "live:ban", "reason": "banned"}]
            assert (await user.ask({"t": "join", "room": "live:ban"}))["code"] == "banned"
            assert (await user.type("live:other", "I may"))["t"] == "ack"
        await close(mod, *users)
    with a_node(tmp_path, engine) as node:
        user = await Viewer.open(node.ws, token=token("u1"))
        assert (await user.ask({"t": "join", "room": "live:ban"}))["code"] == "banned"
        await close(user)


async def closed_at_once(url: str) -> tuple[int, str]:
    async with connect(url) as socket:
        with pytest.raises(ConnectionClosed) as found:
            await socket.recv()
    assert found.value.rcvd is not None
    return found.value.rcvd.code, found.value.rcvd.reason


async def test_a_ban_from_everywhere_closes_and_keeps_out(
    node: Node, engine: EmbeddedEngine
) -> None:
    users = await on_both_shards(node, "u1")
    other = await Viewer.open(node.ws, token=token("u2"))
    await order(engine, Everywhere("ban", "u1", reason="bot"))
    for user in users:
        await user.until(lambda user: user.closed)
        assert user.socket.close_code == 4504
        assert user.socket.close_reason == "banned: bot"
    for _ in range(8):
        assert await closed_at_once(f"{node.ws}?token={token('u1')}") == (4504, "banned: bot")
    await order(engine, Everywhere("ban", address="127.0.0.1"))
    await other.until(lambda other: other.closed)
    assert await closed_at_once(node.ws) == (4504, "banned")
    await close(other, *users)


async def test_settings_reach_both_shards_in_order(node: Node) -> None:
    users = await on_both_shards(node, "u1", "live:set")
    mod = await Viewer.open(node.ws, "live:set", token=token("m1", "moderator"))
    for slow_s in range(1, 6):
        order = moderate("live:set", "settings", slow_s=slow_s)
        assert (await mod.ask(order))["t"] == "done"
    for user in (*users, mod):
        await user.until(lambda user: len(user.of("state")) == 5)
        found = [(event["seq"], event["state"]["slow_s"]) for event in user.of("state")]
        assert found == [(i, i) for i in range(1, 6)]
    await close(mod, *users)


async def test_while_redis_is_away_and_after_it_came_back_empty(
    node: Node, engine: EmbeddedEngine
) -> None:
    user = await Viewer.open(node.ws, "live:away", token=token("u1"))
    others = await on_both_shards(node, "u2", "live:away")
    mod = await Viewer.open(node.ws, "live:away", token=token("m1", "moderator"))
    assert (await mod.ask(moderate("live:away", "mute", uid="u1")))["t"] == "done"
    await until_answered(user, send("live:away"), "muted")
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    error = await mod.ask(moderate("live:away", "ban", uid="u2"))
    assert error["code"] == "unavailable"
    assert error["retry_after"] > 0
    assert (await user.ask(send("live:away")))["code"] == "muted"
    os.kill(engine.pid, signal.SIGCONT)
    await until_answered(mod, moderate("live:away", "ban", uid="u2"), "done")
    for other in others:  # all shards know it
        await other.until(lambda other: other.of("left"))

    async with backend(engine) as moderation:
        keys = moderation._store.keys
        server = moderation._store.servers._only
        assert server is not None
        raw: Any = server.client
        await raw.flushall()
        await raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for _ in range(300):
            [kept] = await moderation.rules.load(["live:away"])
            if len(kept.fields) == 2:
                break
            await asyncio.sleep(0.05)
        assert {"mute:u1", "ban:u2"} <= kept.fields.keys(), keys.rules("live:away")
    assert (await user.ask(send("live:away")))["code"] == "muted"
    await close(user, mod, *others)
