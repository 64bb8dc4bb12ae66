"""What a joined tells one viewer alone: its role in the room, and its mute."""

from collections.abc import AsyncIterator

import pytest

from chat.ops.engine import EmbeddedEngine
from chat.policy.orders import Everywhere, Owners
from tests.chat.hub.test_enforcement import order
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
        yield shard


@pytest.mark.parametrize("binary", [False, True])
async def test_the_role_in_a_room_is_told_where_it_is_another(shard: Shard, binary: bool) -> None:
    where = {ROOM: "vip", "club:*": "moderator", "own": "user"}
    async with shard.viewer(token("u1", rooms=where) + f"&room={ROOM}", binary=binary) as viewer:
        assert (await viewer.hear("welcome"))["role"] == "user"
        joined = await viewer.hear("joined")
        assert joined["role"] == "vip"
        assert (await viewer.join(ROOM))["role"] == "vip"
        assert (await viewer.join(ROOM, (joined["epoch"], 0)))["role"] == "vip"
        assert (await viewer.join("club:1"))["role"] == "moderator"
        for room in ("own", "lobby"):
            assert "role" not in await viewer.join(room)


async def test_owners_by_list_are_told_and_nobody_else(shard: Shard) -> None:
    async with (
        shard.viewer() as guest,
        shard.viewer(token("u2")) as other,
        shard.viewer(token("u1", rooms={ROOM: "vip"})) as owner,
        shard.viewer(token("a", role="admin")) as admin,
    ):
        uid = (await guest.hear("welcome"))["uid"]
        for viewer in (guest, other, owner, admin):
            await viewer.join(ROOM)
        await order(shard, Owners(ROOM, ("u1", "a")))
        await until(lambda: shard.hub._book.of(ROOM).owners)
        assert (await owner.join(ROOM))["role"] == "owner"
        for viewer in (guest, other, admin):
            assert "role" not in await viewer.join(ROOM)
        await order(shard, Owners(ROOM, (uid,)))
        await until(lambda: uid in shard.hub._book.of(ROOM).owners)
        assert (await guest.join(ROOM))["role"] == "owner"
        assert (await owner.join(ROOM))["role"] == "vip"


async def test_who_shows_a_token_later_is_told_at_the_next_join(shard: Shard) -> None:
    async with shard.viewer() as viewer:
        assert "role" not in await viewer.join(ROOM)
        signed = token("u1", rooms={ROOM: "moderator"}).removeprefix("?token=")
        assert (await viewer.ask("auth", token=signed))["role"] == "user"
        assert (await viewer.join(ROOM))["role"] == "moderator"


async def test_a_muted_owner_is_told_both(shard: Shard) -> None:
    async with shard.viewer(token("u1")) as viewer:
        await viewer.join(ROOM)
        await order(shard, Owners(ROOM, ("u1",)))
        await order(shard, Everywhere("mute", "u1"))
        await until(lambda: shard.hub._book.of(ROOM).owners)
        await until(lambda: shard.hub._book.everywhere.sanctions)
        joined = await viewer.join(ROOM)
        assert (joined["role"], joined["state"]["muted_until"]) == ("owner", 0)
