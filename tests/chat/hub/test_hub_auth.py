"""Tokens on an open connection."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard

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
