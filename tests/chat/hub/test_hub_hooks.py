"""Viewers of a shard whose operator is asked: real hooks, a real service, a real Valkey."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.hooks import Message, Refuse
from chat.policy.identity import Identity
from tests.chat.rig import Shard, until
from tests.chat.service import Service

ROOM = "live:42"
SECRET = "a secret of more than thirty-two bytes"


class OnMessage:
    """Asked about what is said; `doors` hold a text until they are opened."""

    doors: dict[str, asyncio.Event] = {}  # noqa: RUF012 - one shard at a time

    async def on_message(self, who: Identity, room: str, message: Message) -> Any:
        if message.text in self.doors:
            await self.doors[message.text].wait()
        if message.text == "no":
            return Refuse("not here", 2.5)
        if message.text == "loud":
            return dataclasses.replace(message, text="quiet", color=5)
        return None


def hooks(cls: type, **more: Any) -> dict[str, Any]:
    return {"hooks": f"{__name__}:{cls.__name__}", "hooks_budget_ms": 5000} | more


class TestMessages:
    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        OnMessage.doors.clear()
        async with Shard(valkey.url, prefix, rooms=hooks(OnMessage)) as shard:
            yield shard

    async def test_what_passes_is_seen_and_acknowledged(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer() as two:
            await one.join(ROOM)
            await two.join(ROOM)
            ack = await one.say(ROOM, "hi")
            assert (await two.hear("msg"))["seq"] == ack["seq"]

    async def test_what_is_refused_is_told_and_seen_by_nobody(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer() as two:
            await one.join(ROOM)
            await two.join(ROOM)
            error = await one.ask("send", room=ROOM, text="no")
            assert (error["t"], error["code"], error["message"], error["retry_after"]) == (
                *("error", "forbidden", "not here", 2.5),
            )
            await one.say(ROOM, "end")
            await two.hear("msg", text="end")
            assert two.texts == ["end"]
        assert shard.count(ChatCount.REFUSED_BY_HOOK) == 1

    async def test_what_is_changed_is_seen_so_and_its_id_holds(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            first = await viewer.say(ROOM, "loud", id="1")
            message = await viewer.hear("msg")
            assert (message["text"], message["color"]) == ("quiet", 5)
            assert (await viewer.say(ROOM, "loud", id="1"))["seq"] == first["seq"]
            other = await viewer.ask("send", room=ROOM, text="quiet", color=5, id="1")
            assert other["code"] == "id_reused"

    async def test_ones_own_messages_keep_their_order_and_others_do_not_wait(
        self, shard: Shard
    ) -> None:
        OnMessage.doors["slow"] = door = asyncio.Event()
        async with shard.viewer() as one, shard.viewer() as two:
            await one.join(ROOM)
            await two.join(ROOM)
            await one.do("send", room=ROOM, text="slow")
            await one.do("send", room=ROOM, text="after")
            await one.settle()
            await two.say(ROOM, "other")
            assert two.texts in ([], ["other"])
            door.set()
            await two.hear("msg", text="after")
            assert two.texts == ["other", "slow", "after"]

    async def test_who_is_gone_has_said_it_all_the_same(self, shard: Shard) -> None:
        OnMessage.doors["slow"] = door = asyncio.Event()
        async with shard.viewer() as other:
            await other.join(ROOM)
            async with shard.viewer() as viewer:
                await viewer.join(ROOM)
                await viewer.do("send", room=ROOM, text="slow")
                await viewer.settle()
            await until(lambda: shard.group.connections == 1)
            door.set()
            await other.hear("msg", text="slow")
        assert shard.count(ChatCount.PUBLISHED) == 1


class TestPresend:
    async def test_the_service_has_the_last_word(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Service() as service:
            service.answer = lambda messages: [
                {"refuse": {"message": "rude"}} if message["text"] == "bad" else {"mask": ["darn"]}
                for message in messages
            ]
            rooms = {"presend_url": service.url, "presend_timeout_ms": 5000}
            async with (
                Shard(valkey.url, prefix, rooms=hooks(OnMessage, **rooms)) as shard,
                shard.viewer() as viewer,
            ):
                await viewer.join(ROOM)
                for text in ("no", "bad"):
                    assert (await viewer.ask("send", room=ROOM, text=text))["code"] == "forbidden"
                await viewer.say(ROOM, "darn")
                assert (await viewer.hear("msg"))["text"] == "****"
                assert service.texts == [
                    ["bad"],
                    ["darn"],
                ]  # what a hook refuses is not asked about
                assert shard.count(ChatCount.REFUSED_BY_PRESEND) == 1

    @pytest.mark.parametrize(("mode", "answer"), [("open", "ack"), ("closed", "error")])
    async def test_while_it_is_away_chat_goes_on_or_not_as_configured(
        self, valkey: EmbeddedEngine, prefix: str, mode: str, answer: str
    ) -> None:
        async with Service() as service:
            service.status = 500
            rooms = {"presend_url": service.url, "presend_failing": mode}
            async with Shard(valkey.url, prefix, rooms=rooms) as shard, shard.viewer() as viewer:
                await viewer.join(ROOM)
                for _ in range(8):
                    got = await viewer.ask("send", room=ROOM, text="hi")
                    assert got["t"] == answer
                    assert answer == "ack" or (got["code"], got["retry_after"] > 0) == (
                        *("unavailable", True),
                    )
                assert len(service.requests) == 5  # then the circuit is open
                assert shard.count(ChatCount.PRESEND_OPEN) == 1
