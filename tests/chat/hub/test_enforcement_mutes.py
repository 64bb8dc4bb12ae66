"""Who is muted is told so, on two shards, in each of its rooms."""

from collections.abc import AsyncIterator

import pytest

from chat.ops.engine import EmbeddedEngine
from chat.policy.orders import Everywhere
from chat.wire.commands import Moderate
from tests.chat.hub.test_enforcement import order
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, until

ROOM = "live:42"


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[tuple[Shard, Shard]]:
    auth = {"secret": SECRET}
    async with Shard(valkey.url, prefix, auth=auth) as a, Shard(valkey.url, prefix, auth=auth) as b:
        yield a, b


async def test_who_is_muted_is_told_in_its_rooms_and_nobody_else(
    shards: tuple[Shard, Shard],
) -> None:
    async with (
        shards[0].viewer(token("u1")) as here,
        shards[1].viewer(token("u1"), binary=True) as there,
        shards[1].viewer(token("u2")) as other,
    ):
        for viewer in (here, there, other):
            await viewer.join(ROOM)
        await there.join("b")
        until_ms = int((shards[0].wall + 60) * 1000)
        await order(shards[0], Moderate(ROOM, "mute", uid="u1", seconds=60, reason="spam"))
        told = {"t": "muted", "room": ROOM, "until": until_ms, "reason": "spam", "uid": "u1"}
        for viewer in (here, there):
            assert await viewer.hear("muted") == told
        await order(shards[0], Everywhere("mute", "u1"))
        await there.hear("muted", room="b")
        assert there.of("muted")[1:] == [
            {"t": "muted", "room": room, "until": 0, "uid": "u1"} for room in (ROOM, "b")
        ]
        await order(shards[0], Moderate(ROOM, "unmute", uid="u1"))
        await until(lambda: len(there.of("muted")) == 4)
        assert there.of("muted")[3] == {"t": "muted", "room": ROOM, "until": 0, "uid": "u1"}
        await order(shards[0], Everywhere("unmute", "u1"))
        await until(lambda: len(there.of("muted")) == 6)
        assert there.of("muted")[5] == {"t": "muted", "room": "b", "uid": "u1"}
        await there.say("b", "again")
        await other.settle()
        assert other.of("muted") == []
