"""Dialects whose clients say who they are in a first message."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import UnsetType

from chat.bus.entries import Noticed, pack
from chat.ops.engine import EmbeddedEngine
from chat.wire import variants as module
from chat.wire.dialects.dialect import BadCommand
from chat.wire.dialects.native import Json
from chat.wire.foreign import Asked, Connect, Counted, Invalid, Stats, Told
from chat.wire.schema import (
    ErrorCode,
    Online,
    Ref,
)
from shard.closecodes import CloseCode
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"


def bearer(uid: str = "u7", **claims: Any) -> str:
    return token(uid, **claims).removeprefix("?token=")


class Terse(Json):
    """JSON whose clients introduce themselves, send several commands at once, and never hear how
    many are online."""

    name = "terse"
    introduces = True

    def greeting(self) -> bytes:
        return b""

    def decode(self, payload: bytes) -> list[Asked]:  # type: ignore[override]
        return [decoded(one) for one in json.loads(payload)]

    def __init__(self) -> None:
        super().__init__()
        self.event = self.unless_online  # type: ignore[assignment]

    def unless_online(self, event: Told) -> bytes | None:
        if isinstance(event, Counted):
            return JSON.event(event).replace(b"{", b'{"t":"counted",')
        return None if isinstance(event, Online) else JSON.event(event)

    def refusal(self, code: CloseCode, reason: str, ref: Ref | UnsetType) -> bytes:
        return json.dumps([{"t": "refused", "code": code, "reason": reason, "ref": ref}]).encode()

    def payload(self, events: Sequence[bytes], position: str = "") -> bytes:
        return JSON.payload(events)


JSON = Json()


def decoded(one: dict[str, Any]) -> Asked:
    match one.pop("t"):
        case "connect":
            return Connect(**one)
        case "stats":
            return Stats(**one)
        case "invalid":
            return Invalid(ErrorCode.BAD_REQUEST, "no such thing", **one)
        case "fatal":
            raise BadCommand(ErrorCode.BAD_REQUEST, "not at all", closes=CloseCode.PROTOCOL_ERROR)
        case tag:
            [command] = JSON.decode(json.dumps({"t": tag, **one}).encode())
            return command


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
            auth = {"t": "connect", "token": bearer(), "ref": 1}
            await viewer.raw(json.dumps([auth, {"t": "join", "room": ROOM}, {"t": "ping"}]))
            await viewer.hear("pong")
            assert viewer.events[0]["t"] == "welcome"
            assert viewer.of("welcome")[0]["uid"] == "u7"
            await viewer.hear("joined")

    async def test_nor_is_a_notice(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer, terse.viewer(binary=True) as other:
            await other.hear("welcome")
            await until(lambda: terse.hub.introductions.waiting)
            await terse.store.notify(pack(Noticed(None, "sys", "one", 1, 2)))
            await other.hear("notice", text="one")
            await viewer.raw(json.dumps([{"t": "connect", "token": bearer(), "ref": 1}]))
            await viewer.hear("welcome")
            await terse.store.notify(pack(Noticed(None, "sys", "two", 1, 2)))
            await viewer.hear("notice", text="two")
            assert [event["t"] for event in viewer.events] == ["welcome", "notice"]
            assert not terse.hub.arrivals.newcomers

    async def test_an_event_without_a_word_is_left_out(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer, terse.viewer(binary=True) as other:
            await viewer.raw(json.dumps([{"t": "connect", "token": bearer(), "ref": 1}]))
            await viewer.raw(json.dumps([{"t": "join", "room": ROOM}]))
            await viewer.hear("joined")
            await other.join(ROOM)
            await terse.let_pass(11)  # reported, learnt and told
            await other.hear("online", count=2)
            await other.say(ROOM, "hi")
            await viewer.hear("msg", text="hi")
            assert viewer.of("online") == []

    async def test_the_welcome_answers_it(self, terse: Shard) -> None:
        ends = int(time.time()) + 600
        async with a_terse_one(terse) as viewer:
            await viewer.raw(json.dumps([{"t": "connect", "token": bearer(exp=ends), "ref": 7}]))
            welcome = await viewer.hear("welcome")
            assert (welcome["ref"], welcome["expires"]) == (7, ends)
            assert not terse.hub.introductions.waiting

    async def test_it_comes_once_and_what_comes_with_another_is_not_done(
        self, terse: Shard
    ) -> None:
        async with a_terse_one(terse) as viewer:
            await viewer.raw(json.dumps([{"t": "connect"}]))
            await viewer.hear("welcome")
            await viewer.raw(json.dumps([{"t": "connect"}, {"t": "join", "room": ROOM}]))
            assert await viewer.closed() == 1002
        assert terse.service.rooms.by_name == {}

    async def test_any_other_first_message_ends_it(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer:
            await viewer.raw(json.dumps([{"t": "ping"}, {"t": "join", "room": ROOM}]))
            assert await viewer.closed() == 1002
            assert viewer.events == []
        assert terse.service.rooms.by_name == {}

    async def test_one_that_fails_is_answered_in_the_dialects_words(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer:
            nonsense = {"t": "connect", "token": "nonsense", "ref": 3}
            await viewer.raw(json.dumps([nonsense, {"t": "join", "room": ROOM}]))
            assert await viewer.closed() == 4500
            [refused] = viewer.events
            assert (refused["t"], refused["code"], refused["ref"]) == ("refused", 4500, 3)
            assert "not valid" in refused["reason"]
        assert terse.service.rooms.by_name == {}

    async def test_what_is_no_command_is_answered_or_ends_it(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer:
            await viewer.raw(json.dumps([{"t": "connect"}, {"t": "invalid", "ref": 2}]))
            error = await viewer.hear("error")
            assert (error["code"], error["ref"]) == ("bad_request", 2)
            await viewer.raw(json.dumps([{"t": "fatal"}]))
            assert await viewer.closed() == 1002

    async def test_how_many_are_in_a_room_is_told_to_who_asks(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer:
            await viewer.raw(json.dumps([{"t": "connect"}, {"t": "stats", "ref": 1}]))
            assert await viewer.hear("counted") == {
                "t": "counted",
                "room": "",
                "online": 0,
                "ref": 1,
            }
            await viewer.raw(json.dumps([{"t": "stats", "room": ROOM, "ref": 1}]))
            assert (await viewer.hear("error"))["code"] == "not_joined"
            await viewer.raw(json.dumps([{"t": "join", "room": ROOM}]))
            await viewer.hear("joined")
            for asked in ({"ref": 2}, {"ref": 3, "room": ROOM}):
                await viewer.raw(json.dumps([{"t": "stats", **asked}]))
                counted = {"t": "counted", "room": ROOM, "online": 1}
                assert await viewer.hear("counted", ref=asked["ref"]) == counted | asked | {
                    "room": ROOM
                }

    async def test_who_says_nothing_is_sent_away(self, terse: Shard) -> None:
        async with a_terse_one(terse) as viewer:
            await until(lambda: terse.hub.introductions.waiting)
            terse.advance(3)
            assert not viewer.close_code
            terse.advance(1)
            assert await viewer.closed() == 4508
            assert terse.hub.introductions.waiting == {}
            assert not terse.hub.arrivals.newcomers
