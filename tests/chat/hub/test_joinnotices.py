"""Who comes into a room, told to viewers of two shards where its moderators want that."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from chat.bus.rules import Rules
from chat.counters import ChatCount
from chat.hub import joinnotices
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import Sanction, Settings, pack_sanction, pack_settings
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.hub.test_hub_away import freeze, thaw
from tests.chat.rig import Event, Shard, Viewer, until

ROOM = "live:42"
AUTH = {"secret": SECRET}


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async with AsyncExitStack() as opened:
        made = [Shard(valkey.url, prefix, auth=AUTH) for _ in range(2)]
        for shard in made:
            shard.wall = time.time()  # tokens are checked against the real one
        yield [await opened.enter_async_context(shard) for shard in made]


async def set_in_room(shards: list[Shard], on: bool = True) -> None:
    """Whether it is told from now on; the room is open on all shards."""
    settings = Settings(join_notices=on)
    await Rules(shards[0].store).change(ROOM, {"settings": pack_settings(settings)})
    books = [shard.service._rules.book for shard in shards]
    await until(lambda: all(book.of(ROOM).settings == settings for book in books), "the setting")


async def told(shards: list[Shard], viewer: Viewer, count: int) -> list[Event]:
    """Let seconds pass until a viewer was told of so many in all."""

    def done() -> bool:
        for shard in shards:
            shard.advance()
        counts: list[int] = [event["count"] for event in viewer.of("joins")]
        return sum(counts) >= count

    await until(done, f"{count} join notices")
    return viewer.of("joins")


async def test_all_nodes_viewers_are_told_who_came_together(shards: list[Shard]) -> None:
    one, two = shards
    async with AsyncExitStack() as opened:
        watcher = await opened.enter_async_context(one.viewer())
        await watcher.join(ROOM)
        remote = await opened.enter_async_context(two.viewer(binary=True))
        await remote.join(ROOM)
        await set_in_room(shards)
        for i in range(7):
            viewer = await opened.enter_async_context(shards[i % 2].viewer(token(f"u{i}")))
            await viewer.join(ROOM)
        for viewer in (watcher, remote):
            notices = await told(shards, viewer, 7)
            assert sum(notice["count"] for notice in notices) == 7
            assert all(notice["kind"] == "join" for notice in notices)
            assert all(notice["room"] == ROOM for notice in notices)
            names = {name for notice in notices for name in notice["names"]}
            assert names <= {f"u{i}" for i in range(7)}
            assert all(len(notice["names"]) <= min(5, notice["count"]) for notice in notices)
        assert watcher.spans == [], "it takes no place"


async def test_only_who_comes_anew_is_told_of(shards: list[Shard]) -> None:
    [shard, _] = shards
    async with AsyncExitStack() as opened:
        watcher = await opened.enter_async_context(shard.viewer(token("w")))
        joined = await watcher.join(ROOM)
        await set_in_room([shard])
        await watcher.join(ROOM)  # is in it
        again = await opened.enter_async_context(shard.viewer(token("w")))
        await again.join(ROOM)  # is in it by another connection
        back = await opened.enter_async_context(shard.viewer(token("b")))
        await back.join(ROOM, (joined["epoch"], joined["seq"]))  # comes back
        new = await opened.enter_async_context(shard.viewer(token("n")))
        await new.join(ROOM)
        [notice] = await told([shard], watcher, 1)
        assert (notice["count"], notice["names"]) == (1, ["n"])


async def test_the_muted_are_not_named(shards: list[Shard]) -> None:
    [shard, _] = shards
    async with shard.viewer() as watcher, shard.viewer(token("rude")) as muted:
        await watcher.join(ROOM)
        await set_in_room([shard])
        await Rules(shard.store).change(ROOM, {"mute:rude": pack_sanction(Sanction(0))})
        await until(lambda: "mute" in shard.service._rules.book.of(ROOM).sanctions, "the mute")
        await muted.join(ROOM)
        [notice] = await told([shard], watcher, 1)
        assert (notice["count"], notice["names"]) == (1, [])


async def test_a_room_that_has_grown_has_none(
    shards: list[Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joinnotices, "MOST_MEMBERS", 2)
    [shard, _] = shards
    async with AsyncExitStack() as opened:
        viewers = [await opened.enter_async_context(shard.viewer()) for _ in range(4)]
        await viewers[0].join(ROOM)
        await set_in_room([shard])
        for viewer in viewers[1:]:
            await viewer.join(ROOM)
        [notice] = await told([shard], viewers[0], 1)
        assert notice["count"] == 1, "when there was one"


async def test_it_ends_when_it_is_set_off_and_is_off_at_first(shards: list[Shard]) -> None:
    [shard, _] = shards
    async with AsyncExitStack() as opened:
        viewers = [await opened.enter_async_context(shard.viewer()) for _ in range(3)]
        await viewers[0].join(ROOM)
        await viewers[1].join(ROOM)
        assert not shard.service._joins._arrived
        await set_in_room([shard])
        await set_in_room([shard], on=False)
        await viewers[2].join(ROOM)
        assert not shard.service._joins._arrived


async def test_what_redis_is_away_for_is_counted(own_valkey: EmbeddedEngine) -> None:
    bus = {"partitions": 4, "flush_interval_ms": 5, "timeout_ms": 300}
    async with (
        Shard(own_valkey.url, "x", bus=bus) as shard,
        shard.viewer() as watcher,
        shard.viewer() as other,
    ):
        await watcher.join(ROOM)
        await set_in_room([shard])
        freeze(own_valkey)
        await other.join(ROOM)
        shard.advance()
        dropped = ChatCount.JOIN_NOTICES_DROPPED
        await until(lambda: shard.count(dropped) == 1, "the drop")
        await thaw(own_valkey)
