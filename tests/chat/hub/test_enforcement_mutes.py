"""Who is muted is told so, on two shards, in each of its rooms."""

from collections.abc import AsyncIterator

import pytest

from chat.bus.kept import Kept
from chat.ops.engine import EmbeddedEngine
from chat.policy.orders import Everywhere
from chat.policy.rules import Sanction, pack_sanction
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


@pytest.mark.parametrize("room", [ROOM, None])
async def test_so_is_one_whose_change_came_with_all_rules(
    shards: tuple[Shard, Shard], room: str | None
) -> None:
    """As when a shard fills a gap: what it reads is ahead of what the stream has told it."""
    shard, feed = shards[0], shards[0].service._rules
    mute = {"mute:u1": pack_sanction(Sanction(0, "spam"))}
    async with shard.viewer(token("u1")) as one, shard.viewer(token("u2")) as other:
        for viewer in (one, other):
            await viewer.join(ROOM)
        for version, fields in ((1, mute), (2, mute), (3, {})):
            feed.load(room, Kept(version, fields))
        told = {"t": "muted", "room": ROOM, "uid": "u1"}
        await until(lambda: len(one.of("muted")) == 2)
        assert one.of("muted") == [told | {"until": 0, "reason": "spam"}, told]
        await other.settle()
        assert other.of("muted") == []
