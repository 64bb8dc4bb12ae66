"""Tokens on an open connection, and dialects whose clients say who they are in a first message."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from chat.bus.entries import Noticed, pack
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.wire import variants as module
from chat.wire.commands import Command
from chat.wire.dialects.native import Json
from chat.wire.schema import Online, ServerEvent
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"


def bearer(uid: str = "u7", **claims: Any) -> str:
    return token(uid, **claims).removeprefix("?token=")


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET, "guests": "read"}) as shard:
        shard.wall = time.time()  # tokens are checked against the real one
        yield shard


class TestTheCommand:
    async def test_a_guest_becomes_a_user(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            assert (await viewer.ask("send", room=ROOM, text="hi"))["code"] == "read_only"
            authed = await viewer.ask("auth", token=bearer(name="阿花", role="vip"))
            assert {**authed, "expires": 0, "ref": 0} == {
                "t": "authed", "uid": "u7", "name": "阿花", "role": "vip", "expires": 0, "ref": 0,
            }  # fmt: skip
            await viewer.say(ROOM, "hi")
            assert (await viewer.hear("msg"))["name"] == "阿花"

    async def test_a_bad_one_is_an_error_and_changes_nothing(self, shard: Shard) -> None:
        async with shard.viewer(token("u1")) as viewer:
            await viewer.join(ROOM)
            error = await viewer.ask("auth", token="nonsense")
            assert (error["t"], error["code"]) == ("error", "forbidden")
            assert "not valid" in error["message"]
            await viewer.say(ROOM, "hi")
            assert (await viewer.hear("msg"))["uid"] == "u1"
        assert shard.count(ChatCount.REFUSED_TOKEN) == 1


class Terse(Json):
    """JSON whose clients introduce themselves, send several commands at once, and never hear how
    many are online."""

    name = "terse"
    introduces = True

    def greeting(self) -> bytes:
        return b""

    def decode(self, payload: bytes) -> list[Command]:
        return [command for one in json.loads(payload) for command in super_decode(one)]

    def __init__(self) -> None:
        super().__init__()
        self.event = self.unless_online  # type: ignore[assignment]

    def unless_online(self, event: ServerEvent) -> bytes | None:
        return None if isinstance(event, Online) else JSON.event(event)

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return JSON.payload(events)


JSON = Json()


def super_decode(one: object) -> list[Command]:
    return JSON.decode(json.dumps(one).encode())


@pytest.fixture
async def terse(
    valkey: EmbeddedEngine, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shard]:
    monkeypatch.setattr(module, "JSON", Terse())
    auth = {"secret": SECRET, "guests": "type"}
    async with Shard(valkey.url, prefix, auth=auth, heartbeat={"handshake_s": 3}) as shard:
        shard.wall = time.time()
        yield shard


def a_terse_one(shard: Shard, query: str = "") -> Viewer:
    return shard.viewer(query, subprotocol="terse")


class TestIntroductions:
    async def test_nothing_is_said_before_the_first_message(self, terse: Shard) -> None:
        async with a_terse_one(terse, f"?room={ROOM}") as viewer:
            auth = {"t": "auth", "token": bearer()}
            await viewer.raw(json.dumps([auth, {"t": "join", "room": ROOM}, {"t": "ping"}]))
            await viewer.hear("pong")
            assert viewer.events[0]["t"] == "welcome"
            assert viewer.of("welcome")[0]["uid"] == "u7"
            await viewer.hear("joined")

    async def test_nor_is_a_notice(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer, terse.viewer(binary=True) as other:
            await other.hear("welcome")
            await until(lambda: terse.hub._unintroduced)
            await terse.store.notify(pack(Noticed(None, "sys", "one", 1, 2)))
            await other.hear("notice", text="one")
            await viewer.raw(json.dumps([{"t": "auth", "token": bearer()}]))
            await viewer.hear("welcome")
            await terse.store.notify(pack(Noticed(None, "sys", "two", 1, 2)))
            await viewer.hear("notice", text="two")
            assert [event["t"] for event in viewer.events] == ["welcome", "notice"]
            assert not terse.hub.arrivals.newcomers

    async def test_an_event_without_a_word_is_left_out(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer, terse.viewer(binary=True) as other:
            await viewer.raw(json.dumps([{"t": "auth", "token": bearer()}]))
            await viewer.raw(json.dumps([{"t": "join", "room": ROOM}]))
            await viewer.hear("joined")
            await other.join(ROOM)
            await terse.let_pass(11)  # reported, learnt and told
            await other.hear("online", count=2)
            await other.say(ROOM, "hi")
            await viewer.hear("msg", text="hi")
            assert viewer.of("online") == []

    @pytest.mark.parametrize("first", [{"t": "ping"}, {"t": "auth", "token": "nonsense"}])
    async def test_any_other_first_message_ends_it(self, terse: Shard, first: object) -> None:
        async with a_terse_one(terse) as viewer:
            await viewer.raw(json.dumps([first, {"t": "join", "room": ROOM}]))
            assert await viewer.closed() == 4500
            assert viewer.events == []
        assert terse.service.rooms.by_name == {}

    async def test_who_says_nothing_is_sent_away(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer:
            await until(lambda: terse.hub._unintroduced)
            terse.advance(3)
            assert not viewer.close_code
            terse.advance(1)
            assert await viewer.closed() == 4500
            assert terse.hub._unintroduced == {}
            assert not terse.hub.arrivals.newcomers
