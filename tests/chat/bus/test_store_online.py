"""Who is online where: sums over shards, and the rooms with most viewers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, clock_ms, publish

ROOM = "live:42"


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


class TestOnline:
    async def test_viewers_of_all_shards_are_summed(self, store: Store) -> None:
        p = store.keys.partition(ROOM)
        assert await store.report_online(p, "s1", [(ROOM, 3)], 60_000) == [3]
        assert await store.report_online(p, "s2", [(ROOM, 4)], 60_000) == [7]
        assert await store.report_online(p, "s1", [(ROOM, 0)], 60_000) == [4]
        assert await store.online(ROOM) == 4
        assert await store.online("nowhere") == 0

    async def test_a_silent_shard_does_not_count(self, store: Store, raw: Any) -> None:
        p = store.keys.partition(ROOM)
        await store.report_online(p, "s1", [(ROOM, 3)], 60_000)
        at = await clock_ms(raw) - 60_001
        await raw.hset(store.keys.online(ROOM), "s1", f"3 {at}")
        assert await store.report_online(p, "s2", [(ROOM, 4)], 60_000) == [4]
        assert await raw.hkeys(store.keys.online(ROOM)) == ["s2"]

    async def test_rooms_only_a_dead_shard_had_leave_the_top(self, store: Store, raw: Any) -> None:
        others = [f"r{i}" for i in range(30)]
        other = next(
            name for name in others if store.keys.partition(name) == store.keys.partition(ROOM)
        )
        p = store.keys.partition(ROOM)
        await store.report_online(p, "dead", [(ROOM, 9)], 60_000)
        await store.report_online(p, "s1", [(other, 1)], 60_000)
        assert await store.top_rooms(5) == [(ROOM, 9), (other, 1)]
        await raw.zadd(store.keys.seen(p), {ROOM: await clock_ms(raw) - 60_001})
        await store.report_online(p, "s1", [(other, 1)], 60_000)
        assert await store.top_rooms(5) == [(other, 1)]
        assert await store.online(ROOM) == 0

    async def test_what_one_shard_reported_is_found_again(self, store: Store) -> None:
        names = [f"r{i}" for i in range(2_600)]
        p = store.keys.partition(ROOM)
        mine = [name for name in names if store.keys.partition(name) == p]
        await store.report_online(p, "s1", [(name, 1) for name in mine], 60_000)
        await store.report_online(p, "s2", [(ROOM, 1), (mine[0], 1)], 60_000)
        await store.report_online(p, "s1", [(mine[1], 0)], 60_000)
        assert set(await store.rooms_reported(p, "s1")) == set(mine) - {mine[1]}
        assert set(await store.rooms_reported(p, "s2")) == {ROOM, mine[0]}
        assert await store.rooms_reported(p, "s3") == []

    async def test_the_top_is_of_all_partitions_by_count_then_name(self, store: Store) -> None:
        for i in range(12):
            name = f"r{i:02}"
            await store.report_online(
                store.keys.partition(name), "s1", [(name, 5 if i < 3 else i)], 60_000
            )
        assert await store.top_rooms(4) == [("r11", 11), ("r10", 10), ("r09", 9), ("r08", 8)]
        assert [name for name, count in await store.top_rooms(99) if count == 5] == [
            "r00",
            "r01",
            "r02",
            "r05",
        ]

    async def test_empty_rooms_are_not_in_it(self, store: Store) -> None:
        p = store.keys.partition(ROOM)
        await store.report_online(p, "s1", [(ROOM, 1)], 60_000)
        await store.report_online(p, "s1", [(ROOM, 0)], 60_000)
        assert await store.top_rooms(5) == []

    async def test_a_watched_room_is_kept(self, store: Store, raw: Any) -> None:
        await publish(store, ROOM, "a")
        for key in (store.keys.room(ROOM), store.keys.history(ROOM)):
            await raw.expire(key, 5)
        await store.report_online(store.keys.partition(ROOM), "s1", [(ROOM, 1)], 60_000)
        for key in (store.keys.room(ROOM), store.keys.history(ROOM)):
            assert await raw.ttl(key) > 500


class TestFollowed:
    @pytest.fixture
    async def followed(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
        store = a_store(valkey.url, prefix, room_events=100)
        yield store
        await store.close()

    async def happened(self, raw: Any, store: Store) -> list[tuple[str, str]]:
        found = await raw.xrange(store.keys.events(store.keys.partition(ROOM)))
        return [(fields["e"], fields["r"]) for _, fields in found]

    async def test_the_first_viewer_and_the_last_are_told(self, followed: Store, raw: Any) -> None:
        p = followed.keys.partition(ROOM)
        for shard, count in [("a", 0), ("a", 2), ("b", 1), ("a", 3), ("a", 0), ("b", 0), ("b", 0)]:
            await followed.report_online(p, shard, [(ROOM, count)], 60_000)
        assert await self.happened(raw, followed) == [("occupied", ROOM), ("vacated", ROOM)]

    async def test_a_room_that_only_a_dead_shard_had_is_vacated_once(
        self, followed: Store, raw: Any
    ) -> None:
        p = followed.keys.partition(ROOM)
        await followed.report_online(p, "dead", [(ROOM, 2)], 60_000)
        assert await raw.pttl(followed.keys.seen(p)) == -1
        await raw.zadd(followed.keys.seen(p), {ROOM: await clock_ms(raw) - 60_001})
        for _ in range(2):
            await followed.report_online(p, "", [], 60_000)
        assert await self.happened(raw, followed) == [("occupied", ROOM), ("vacated", ROOM)]

    async def test_nobody_follows_as_a_rule(self, store: Store, raw: Any) -> None:
        p = store.keys.partition(ROOM)
        for count in (1, 0):
            await store.report_online(p, "a", [(ROOM, count)], 60_000)
        assert await self.happened(raw, store) == []
        assert await raw.exists(store.keys.events(p)) == 0
