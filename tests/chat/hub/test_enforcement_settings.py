"""What a room's settings let viewers do, and what they are told of them, on two shards."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.orders import Owners
from chat.wire.commands import Moderate
from tests.chat.hub.test_enforcement import NO_STATE, ROOM, order
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[tuple[Shard, Shard]]:
    auth = {"secret": SECRET}
    async with Shard(valkey.url, prefix, auth=auth) as a, Shard(valkey.url, prefix, auth=auth) as b:
        yield a, b


@pytest.fixture
def shard(shards: tuple[Shard, Shard]) -> Shard:
    return shards[0]


class TestSettings:
    async def test_are_told_to_all_as_a_place_and_to_who_joins(
        self, shards: tuple[Shard, Shard]
    ) -> None:
        async with shards[0].viewer() as here, shards[1].viewer(binary=True) as there:
            for viewer in (here, there):
                assert (await viewer.join(ROOM))["seq"] == 0
            await order(shards[0], Moderate(ROOM, "settings", slow_s=5, announcement="hi"))
            state = {**NO_STATE, "slow_s": 5, "announcement": "hi"}
            for viewer in (here, there):
                event = await viewer.hear("state")
                assert (event["room"], event["seq"], event["state"]) == (ROOM, 1, state)
                joined = await viewer.join(ROOM)
                assert (joined["seq"], joined["state"]) == (1, state)
                assert [place["t"] for place in joined["history"]] == ["state"]
            await here.say(ROOM, "two")

    @pytest.mark.parametrize(
        ("silence", "silent"),
        [
            ("all", ["guest", "user", "vip"]),
            ("vip", ["guest", "user"]),
            ("user", ["guest"]),
            ("none", []),
        ],
    )
    async def test_silence(self, shard: Shard, silence: Any, silent: list[str]) -> None:
        await order(shard, Moderate(ROOM, "settings", silence=silence, slow_s=1))
        for role in ("guest", "user", "vip", "moderator"):
            query = "" if role == "guest" else token("u1", role=role)
            async with shard.viewer(query) as viewer:
                await viewer.join(ROOM)
                answer = await viewer.ask("send", room=ROOM, text="x")
                assert answer.get("code") == ("silenced" if role in silent else None)
        assert shard.count(ChatCount.REFUSED_SILENCED) == len(silent)

    async def test_a_least_role(self, shard: Shard) -> None:
        await order(shard, Moderate(ROOM, "settings", min_role="vip"))
        async with shard.viewer(token("u1")) as user, shard.viewer(token("u2", role="vip")) as vip:
            await user.join(ROOM)
            error = await user.ask("send", room=ROOM, text="x")
            assert (error["code"], "vip" in error["message"]) == ("forbidden", True)
            await vip.join(ROOM)
            await vip.say(ROOM, "x")

    async def test_an_owner_types_in_silence(self, shard: Shard) -> None:
        await order(shard, Owners(ROOM, ("u1",)))
        await order(shard, Moderate(ROOM, "settings", silence="all"))
        async with shard.viewer(token("u1")) as viewer:
            await viewer.join(ROOM)
            await viewer.say(ROOM, "x")


class TestStates:
    async def test_of_a_room_do_not_end_with_it(self, shard: Shard, valkey: EmbeddedEngine) -> None:
        await order(shard, Moderate(ROOM, "settings", slow_s=5))
        raw = shard.store.servers._only.client  # type: ignore[union-attr]
        await raw.delete(shard.store.keys.room(ROOM), shard.store.keys.history(ROOM))
        async with shard.viewer() as viewer:
            joined = await viewer.join(ROOM)
            assert (joined["epoch"], joined["seq"], joined["state"]["slow_s"]) == ("", 0, 5)
