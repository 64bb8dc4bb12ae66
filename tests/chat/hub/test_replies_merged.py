"""Duplicates merged, on a real shard: who sees what of a flood, and where everybody is after it."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from chat.bus.entries import Said, pack
from chat.bus.rules import Rules
from chat.bus.store import Outgoing
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import Settings, pack_settings
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.hub.test_replies_shadowed import assert_arithmetic, ends_at
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async with AsyncExitStack() as opened:
        made = [Shard(valkey.url, prefix, auth={"secret": SECRET}) for _ in range(2)]
        for shard in made:
            shard.wall = time.time()  # tokens are checked against the real one
        yield [await opened.enter_async_context(shard) for shard in made]


async def merge(shards: list[Shard]) -> None:
    """Set it in the room, which is open on all shards."""
    settings = Settings(merge_duplicates=True)
    await Rules(shards[0].store).change(ROOM, {"settings": pack_settings(settings)})
    books = [shard.service._rules.book for shard in shards]
    await until(lambda: all(book.of(ROOM).settings == settings for book in books), "the setting")


async def say(shard: Shard, *lines: tuple[str, str]) -> None:
    """Lines by users, published at once, so in one batch."""
    said = [Said(uid, uid, text, 1, "top", 25, 1_000 + i) for i, (uid, text) in enumerate(lines)]
    outgoing = [Outgoing(ROOM, one.uid, pack(one)) for one in said]
    await shard.store.publish(outgoing, "e00001", 1_000, 0)


def seen(viewer: Viewer) -> list[tuple[str, str, int]]:
    return [(one["uid"], one["text"], one.get("times", 1)) for one in viewer.of("msg")]


async def test_all_see_it_once_and_senders_their_own_too(shards: list[Shard]) -> None:
    one, two = shards
    async with (
        one.viewer() as guest,
        two.viewer(token("b"), binary=True) as sender,
        one.viewer(token("b")) as its_other,
    ):
        viewers = [guest, sender, its_other]
        for viewer in viewers:
            await viewer.join(ROOM)
        await merge(shards)
        await say(one, ("a", "666"), ("b", "６６６"), ("c", "hi"), ("d", "666"))
        await say(one, ("a", "bye"))
        await until(lambda: all(ends_at(viewer) == 5 for viewer in viewers), "the last")
        others = [("c", "hi", 1), ("a", "bye", 1)]
        assert seen(guest) == [("a", "666", 3), *others]
        for viewer in (sender, its_other):
            assert seen(viewer) == [("a", "666", 3), ("b", "６６６", 1), *others]
        for viewer in viewers:
            assert_arithmetic(viewer, 5)
        async with two.viewer() as late:
            history = (await late.join(ROOM))["history"]
            assert [said["text"] for said in history] == ["666", "６６６", "hi", "666", "bye"]
            assert all("times" not in said for said in history)
    assert [shard.count(ChatCount.MERGED) for shard in shards] == [2, 2]


async def test_where_nobody_set_it_nothing_is_merged(shards: list[Shard]) -> None:
    async with shards[0].viewer() as viewer:
        await viewer.join(ROOM)
        await say(shards[0], ("a", "666"), ("b", "666"))
        await until(lambda: ends_at(viewer) == 2, "both")
        assert seen(viewer) == [("a", "666", 1), ("b", "666", 1)]


async def test_a_moderator_sets_it_by_a_command(shards: list[Shard]) -> None:
    async with shards[0].viewer(token("m", role="moderator")) as moderator:
        await moderator.join(ROOM)
        asked = {"room": ROOM, "action": "settings"}
        done = await moderator.ask("moderate", **asked, merge_duplicates=True)
        assert done["t"] == "done"
        refused = await moderator.ask("moderate", **asked, merge_duplicates=1)
        assert refused["code"] == "bad_request"
        await say(shards[0], ("a", "666"), ("b", "666"))
        await until(lambda: ends_at(moderator) >= 2, "both")
        assert seen(moderator) == [("a", "666", 2)]
        assert not moderator.of("state"), "viewers are not told of it"
