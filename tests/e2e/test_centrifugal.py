"""The stock clients of Centrifugo, JavaScript and Python, JSON and Protobuf, at a node as it is."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.centrifuge_clients import HAS_NODE, KINDS, Client, Refused, a_client, url_by
from tests.patience import PATIENCE_S
from tests.relay import Relay

SECRET = "a secret of at least thirty-two bytes"
HISTORY = 200
THERE = [kind for kind in KINDS if HAS_NODE or "script" not in kind]
PINGS, LEFT_OUT = "pings", "dropped_slow"
DIALECTS = '["danmaku", "centrifugal"]'
SETTINGS = {
    "server_dialects": DIALECTS,
    "server_shards": 1,
    "auth_secret": SECRET,
    "heartbeat_ping_s": 1,
    "heartbeat_timeout_s": 1,
    "limits_backlog_soft_bytes": 65536,
    "limits_backlog_hard_bytes": 1048576,
    "limits_send_buffer_bytes": 16384,
    "limits_commands_burst": 200,
    "rooms_history": HISTORY,
}
"""Of one shard, so that who reads slowly is where its backlog is looked for."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which client."""
    if "script" in request.param and not HAS_NODE:
        pytest.skip("npm has not installed centrifuge: run `make test`")
    return str(request.param)


@pytest.fixture
def room(request: pytest.FixtureRequest, kind: str) -> str:
    """One of the test's own."""
    return f"{request.node.originalname[5:40]}:{kind}"


@pytest.fixture
async def line(node: Node) -> AsyncIterator[Relay]:
    async with Relay(node.port) as line:
        yield line


@pytest.fixture
async def client(kind: str, line: Relay) -> AsyncIterator[Client]:
    """A guest, connected."""
    client = await a_client(kind, url_by(line))
    await client.connect()
    yield client
    await client.close()


def token(uid: str, ttl_s: int = 3600, **claims: Any) -> str:
    return jwt.encode({"sub": uid, "exp": int(time.time()) + ttl_s, **claims}, SECRET, "HS256")


async def order(node: Node, method: str, path: str, body: Any = None) -> Any:
    status, found = await asyncio.to_thread(node.request, method, f"/v1{path}", body)
    assert status == 200, found
    return found


async def say(node: Node, room: str, *texts: str) -> None:
    """By the API, so it does not depend on any client."""
    for text in texts:
        await order(node, "POST", f"/rooms/{room}/messages", {"text": text, "uid": "backend"})


class TestLive:
    async def test_what_is_said_comes_in_order_with_who_said_it(
        self, node: Node, client: Client, room: str
    ) -> None:
        told = await client.subscribe(room)
        assert told["streamPosition"]["offset"] == 0
        assert told["streamPosition"]["epoch"].startswith("~")
        assert told["data"]["online"] >= 0
        me = client.of("connected")[0]["data"]["uid"]
        await client.publish(room, {"text": "你好", "color": 255, "mode": "top"})
        await client.publish(room, "just a text")
        await say(node, room, "from behind")
        await client.until_texts(room, "你好", "just a text", "from behind")
        said = client.of("publication", room)
        assert client.offsets(room) == [1, 2, 3]
        assert [one["user"] for one in said] == [me, me, "backend"]
        first = said[0]["data"]
        assert (first["room"], first["seq"], first["color"], first["mode"]) == (room, 1, 255, "top")

    async def test_several_rooms_are_subscribed_at_once(
        self, node: Node, client: Client, room: str
    ) -> None:
        rooms = [f"{room}:{n}" for n in range(5)]
        await asyncio.gather(*(client.subscribe(one) for one in rooms))
        for one in rooms:
            await say(node, one, one)
        await client.until(lambda: len(client.of("publication")) == 5)
        assert {one["channel"] for one in client.of("publication")} == {*rooms}

    async def test_a_history_is_read_from_either_end(
        self, node: Node, client: Client, room: str
    ) -> None:
        await client.subscribe(room)
        await say(node, room, *"abcde")
        await client.until_texts(room, *"abcde")

        async def read(**given: Any) -> str:
            found = await client.ask("history", room=room, **given)
            assert found["offset"] == 5
            return "".join(one["data"]["text"] for one in found["publications"])

        assert await read(limit=0) == ""
        assert await read(limit=-1) == "abcde"
        assert await read(limit=2) == "ab"
        assert await read(limit=2, reverse=True) == "ed"
        epoch = (await client.ask("history", room=room, limit=0))["epoch"]
        assert await read(limit=2, since={"offset": 2, "epoch": epoch}) == "cd"
        assert await read(limit=9, since={"offset": 3, "epoch": epoch}, reverse=True) == "ba"
        assert await code(read(limit=9, since={"offset": 3, "epoch": "other"})) == 112
        assert await code(client.ask("history", room="elsewhere", limit=1)) == 103

    async def test_how_many_are_there_is_told_and_who_is_not(
        self, client: Client, room: str
    ) -> None:
        await client.subscribe(room)
        stats = await client.ask("stats", room=room)
        assert stats["numClients"] == stats["numUsers"] == 1
        assert await code(client.ask("presence", room=room)) == 108
        assert await code(client.ask("rpc", method="anything")) == 108

    async def test_they_are_pinged_and_stay(self, node: Node, line: Relay) -> None:
        """Each second here, and they would go after three without."""
        clients = [await a_client(kind, url_by(line)) for kind in THERE]
        for client in clients:
            await client.connect()
        before = node.counted(PINGS)
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.to_thread(node.counted, PINGS) < before + 4 * len(clients):
                pass
        for client in clients:
            assert await client.subscribe("pinged")
            assert len(client.of("connected")) == 1
            await client.close()


async def code(asking: Any) -> int:
    """Of the refusal."""
    with pytest.raises(Refused) as refused:
        await asking
    return refused.value.code


class TestCut:
    async def test_it_recovers_all_of_it_once(
        self, node: Node, client: Client, line: Relay, room: str
    ) -> None:
        await client.subscribe(room)
        await say(node, room, "1", "2")
        await client.until_texts(room, "1", "2")
        line.open.clear()
        line.cut()
        await say(node, room, "3", "4", "5")
        line.open.set()
        told = await client.told("subscribed", 2)
        assert (told["wasRecovering"], told["recovered"]) == (True, True)
        await say(node, room, "6")
        await client.until_texts(room, *"123456")
        assert client.offsets(room) == [1, 2, 3, 4, 5, 6]
        line.cut()
        told = await client.told("subscribed", 3)
        assert (told["recovered"], told["streamPosition"]["offset"]) == (True, 6)
        await say(node, room, "7")
        await client.until_texts(room, *"1234567")

    async def test_from_where_nobody_had_spoken_too(
        self, node: Node, client: Client, line: Relay, room: str
    ) -> None:
        await client.subscribe(room)
        line.open.clear()
        line.cut()
        await say(node, room, "1", "2")
        line.open.set()
        await client.until_texts(room, "1", "2")
        assert (await client.told("subscribed", 2))["recovered"]

    async def test_what_is_gone_is_said_to_be(
        self, node: Node, client: Client, line: Relay, room: str
    ) -> None:
        await client.subscribe(room)
        await say(node, room, "1")
        await client.until_texts(room, "1")
        line.open.clear()
        line.cut()
        await say(node, room, *map(str, range(HISTORY)), "the last")
        line.open.set()
        told = await client.told("subscribed", 2)
        assert (told["wasRecovering"], told["recovered"]) == (True, False)
        here = told["streamPosition"]["offset"]
        await client.until(lambda: [1, *range(here + 1, HISTORY + 3)] == client.offsets(room))


class TestModerated:
    async def test_what_is_taken_back_is_told_and_in_no_history(
        self, node: Node, client: Client, line: Relay, room: str
    ) -> None:
        await client.subscribe(room)
        await say(node, room, "good", "bad")
        await client.until_texts(room, "good", "bad")
        await order(node, "DELETE", f"/rooms/{room}/messages/2")
        await client.until(lambda: len(client.offsets(room)) == 3)
        deleted = client.of("publication", room)[-1]
        assert (deleted["data"]["t"], deleted["data"]["target"], deleted["offset"]) == (
            *("delete", 2),
            3,
        )
        found = await client.ask("history", room=room, limit=-1)
        assert [one["offset"] for one in found["publications"]] == [1, 3]

    async def test_who_is_muted_may_not_type(self, node: Node, client: Client, room: str) -> None:
        await client.subscribe(room)
        me = client.of("connected")[0]["data"]["uid"]
        await order(node, "PUT", f"/rooms/{room}/mutes/{me}", {"seconds": 600})
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await client.publish(room, "?")
                except Refused as refused:
                    assert refused.code == 103
                    assert "muted" in refused.message
                    break
        assert not client.of("unsubscribed")

    async def test_who_is_banned_is_out_and_stays_out(
        self, node: Node, client: Client, room: str
    ) -> None:
        await client.subscribe(room)
        me = client.of("connected")[0]["data"]["uid"]
        await order(node, "PUT", f"/rooms/{room}/bans/{me}", {"reason": "rude"})
        out = await client.told("unsubscribed")
        assert out["code"] == 2000
        assert out["reason"] == "banned: rude"
        assert await code(client.publish(room, "?")) == 103
        await order(node, "PUT", f"/bans/{me}")
        assert (await client.told("disconnected"))["code"] == 3503


class TestRefused:
    async def test_a_token_that_is_none(self, kind: str, line: Relay) -> None:
        client = await a_client(kind, url_by(line), "not.a.token")
        try:
            await client.ask("connect")
            assert (await client.told("disconnected"))["code"] == 3500
        finally:
            await client.close()

    async def test_one_that_is_over_is_changed_for_a_newer_one(
        self, kind: str, line: Relay
    ) -> None:
        client = await a_client(kind, url_by(line), token("u7", -60), token("u7"))
        try:
            assert (await client.connect())["data"]["uid"] == "u7"
            assert client.of("error")[0]["error"]["code"] == 109
        finally:
            await client.close()

    async def test_what_a_guest_may_not_or_nobody_can(self, client: Client, room: str) -> None:
        await client.subscribe(room)
        assert await code(client.publish(room, {"text": "x", "kind": "system"})) == 103
        assert await code(client.publish(room, {"no": "text"})) == 107
        assert await code(client.publish(room, " ")) == 107
        assert await code(client.publish(room, "x" * 400)) == 106
        assert await code(client.publish("elsewhere", "x")) == 103
        assert (await client.subscribe("not a room"))["code"] == 107

    async def test_a_token_for_another_room(self, kind: str, line: Relay, room: str) -> None:
        client = await a_client(kind, url_by(line), token("u7"))
        try:
            await client.connect()
            good = token("u7", channel=room)
            assert (await client.subscribe(room, token=good))["event"] == "subscribed"
            for other in (token("u7", channel=room), token("u8", channel="x"), "nonsense"):
                assert (await client.subscribe(f"x{len(other)}", token=other))["code"] == 103
        finally:
            await client.close()


class TestSlow:
    async def test_it_is_sent_away_and_recovers(
        self, node: Node, client: Client, line: Relay, room: str
    ) -> None:
        await client.subscribe(room)
        await say(node, room, "0")
        await client.until_texts(room, "0")
        line.open.clear()
        said, before = 0, node.counted(LEFT_OUT)
        async with asyncio.timeout(PATIENCE_S):
            while node.counted(LEFT_OUT) == before:
                numbers = range(said + 1, said + 21)
                said += len(numbers)
                body = [{"text": f"{n}", "uid": "backend", "data": noise(n)} for n in numbers]
                await order(node, "POST", f"/rooms/{room}/messages", body)
        line.open.set()
        told = await client.told("subscribed", 2)
        assert told["recovered"]
        assert client.of("connecting")[-1]["code"] == 3008
        await client.until_texts(room, *map(str, range(said + 1)))
        assert client.offsets(room) == list(range(1, said + 2))


def noise(seed: int) -> str:
    """What nobody can compress, as much of it as a message may have."""
    return Random(seed).randbytes(2000).hex()


class TestDrained:
    async def test_they_come_back_and_recover(self, tmp_path: Path, engine: EmbeddedEngine) -> None:
        settings = {"bus_url": engine.url, "server_dialects": DIALECTS, "server_shards": 1}
        node = Node(tmp_path, **settings)
        async with Relay(node.port) as line:
            clients = [await a_client(kind, url_by(line)) for kind in THERE]
            with node:
                for client in clients:
                    await client.connect()
                    await client.subscribe("drained")
                await say(node, "drained", "1")
                for client in clients:
                    await client.until_texts("drained", "1")
                await asyncio.to_thread(node.stop)
            for client in clients:
                assert (await client.told("connecting", 2))["code"] == 3001
            with node:
                await say(node, "drained", "2")
                for client in clients:
                    assert (await client.told("subscribed", 2))["recovered"]
                    await client.until_texts("drained", "1", "2")
                    await client.close()


class TestHostile:
    @pytest.mark.parametrize(
        ("sent", "closed"),
        [
            ('{"id":1,"subscribe":{"channel":"a"}}', 3501),
            ("{}", 3501),
            ('{"id":1,"connect":{}}\n{}', 3501),
            ('{"id":1,"connect":{}}\n{"connect":{}}', 3501),
            ("[]", 3501),
            ("", 3501),
            (b"\x00", 3501),
        ],
    )
    async def test_what_is_no_protocol_is_closed_and_told_why(
        self, node: Node, sent: str | bytes, closed: int
    ) -> None:
        async with connect(f"ws://127.0.0.1:{node.port}/connection/websocket") as socket:
            await socket.send(sent)
            with suppress(ConnectionClosed):
                async for _ in socket:
                    pass
            assert socket.close_code == closed
            assert socket.close_reason
            with pytest.raises(ValueError, match="Expecting"):
                json.loads(socket.close_reason)

    async def test_switched_off_there_is_no_such_path(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_shards=1) as node, pytest.raises(InvalidStatus, match="404"):
            await connect(f"ws://127.0.0.1:{node.port}/connection/websocket")
