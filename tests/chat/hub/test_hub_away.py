"""A shard whose Redis does not answer: who is in stays in, the rest is told to try again."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from chat.ops.engine import EmbeddedEngine
from chat.rooms import rooms as rooms_module
from chat.rooms import turns
from tests.chat.rig import Shard, publish, until

ROOM = "live:42"


@pytest.fixture
async def shard(
    own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shard]:
    """With one viewer's room open, and little patience."""
    monkeypatch.setattr(rooms_module, "RETRY_S", 0.01)
    bus = {"partitions": 4, "flush_interval_ms": 5, "timeout_ms": 300}
    rooms = {"history_on_join": 3}
    async with Shard(own_valkey.url, "x", bus=bus, rooms=rooms) as shard:
        await publish(shard.store, ROOM, *"1234567")
        yield shard


def freeze(engine: EmbeddedEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)


async def thaw(engine: EmbeddedEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGCONT)
    await until(engine.ping)


async def test_typing_is_refused_and_may_be_tried_again(
    shard: Shard, own_valkey: EmbeddedEngine
) -> None:
    async with shard.viewer() as viewer:
        await viewer.join(ROOM)
        freeze(own_valkey)
        error = await viewer.ask("send", room=ROOM, text="lost", id="x")
        assert error["code"] == "unavailable"
        assert error["retry_after"] >= 0.5
        await thaw(own_valkey)
        shard.clock += 60
        ack = await viewer.say(ROOM, "found", id="x")
        assert ack["seq"] == 8
        await viewer.hear("msg", text="found")
        assert viewer.texts == ["found"]


async def test_a_room_that_is_open_is_joined_as_ever(
    shard: Shard, own_valkey: EmbeddedEngine
) -> None:
    async with shard.viewer() as one, shard.viewer() as two:
        await one.join(ROOM)
        freeze(own_valkey)
        assert (await two.join(ROOM))["seq"] == 7
        await thaw(own_valkey)


async def test_a_join_that_cannot_be_is_refused_for_now(
    shard: Shard, own_valkey: EmbeddedEngine
) -> None:
    async with shard.viewer() as viewer:
        await viewer.hear("welcome")
        freeze(own_valkey)
        error = await viewer.ask("join", room="new")
        assert error["code"] == "unavailable"
        low, high = turns.AGAIN_S
        assert low <= error["retry_after"] <= high
        assert (await viewer.ask("send", room="new", text="x"))["code"] == "not_joined"
        await thaw(own_valkey)
        shard.clock += 60
        await viewer.join("new")
        await viewer.say("new", "hi")
        await viewer.hear("msg", text="hi")


async def test_one_by_address_is_told_once_and_let_in_later(
    shard: Shard, own_valkey: EmbeddedEngine
) -> None:
    freeze(own_valkey)
    async with shard.viewer("?room=new") as viewer, shard.viewer() as other:
        error = await viewer.hear("error")
        assert (error["code"], "ref" in error) == ("unavailable", False)
        assert "new" in error["message"]
        assert (await other.ask("join", room="new"))["code"] == "unavailable"
        await thaw(own_valkey)
        assert (await viewer.hear("joined"))["room"] == "new"
        assert len(viewer.of("error")) == 1
        assert shard.service.rooms.by_name["new"].local == 1


async def test_who_cannot_be_brought_up_to_date_stays_in(
    shard: Shard, own_valkey: EmbeddedEngine
) -> None:
    async with shard.viewer() as member, shard.viewer() as newcomer:
        await member.join(ROOM)
        await newcomer.hear("welcome")
        freeze(own_valkey)
        since = {"epoch": "e00001", "seq": 1}
        for viewer in (member, newcomer):
            error = await viewer.ask("join", room=ROOM, since=since)
            assert (error["code"], "retry_after" in error) == ("unavailable", True)
        await thaw(own_valkey)
        await until(lambda: shard.service._reader.connected)
        await publish(shard.store, ROOM, "8")
        await member.hear("msg", text="8")
        shard.clock += 60
        await member.say(ROOM, "9")
        assert (await newcomer.ask("leave", room=ROOM))["code"] == "not_joined"
        assert newcomer.texts == []
        assert (await newcomer.join(ROOM, ("e00001", 1)))["recovered"]


async def test_leaving_before_being_let_in(shard: Shard, own_valkey: EmbeddedEngine) -> None:
    async with shard.viewer() as viewer, shard.viewer() as other:
        await viewer.hear("welcome")
        await other.hear("welcome")
        freeze(own_valkey)
        await viewer.do("join", room="new", ref=1)
        await viewer.do("join", room="new", ref=2)
        assert (await viewer.ask("leave", room="new"))["t"] == "left"
        assert (await other.ask("join", room="new"))["code"] == "unavailable"
        await thaw(own_valkey)
        shard.clock += 60
        await other.join("new")
        await viewer.settle()
        assert viewer.of("joined") == viewer.of("error") == []
        assert shard.service.rooms.by_name["new"].local == 1
