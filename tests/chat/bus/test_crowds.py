"""Who is online where: sums over shards, the rooms with most viewers, peaks and users."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.crowds import Crowd, Crowds
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, clock_ms, publish

ROOM = "live:42"


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


@pytest.fixture
def crowds(store: Store) -> Crowds:
    return Crowds(store, 20)


async def tops(crowds: Crowds, count: int) -> list[tuple[str, int]]:
    return [(one.room, one.online) for one in await crowds.top(count)]


class TestOnline:
    async def test_viewers_of_all_shards_are_summed(self, store: Store, crowds: Crowds) -> None:
        p = store.keys.partition(ROOM)
        assert await crowds.report(p, "s1", [(ROOM, 3)]) == [3]
        assert await crowds.report(p, "s2", [(ROOM, 4)]) == [7]
        assert await crowds.report(p, "s1", [(ROOM, 0)]) == [4]
        assert (await crowds.of(ROOM)).online == 4
        assert (await crowds.of("nowhere")).online == 0

    async def test_a_silent_shard_does_not_count(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        p = store.keys.partition(ROOM)
        await crowds.report(p, "s1", [(ROOM, 3)])
        at = await clock_ms(raw) - 60_001
        await raw.hset(store.keys.online(ROOM), "s1", f"3 {at}")
        assert await crowds.report(p, "s2", [(ROOM, 4)]) == [4]
        assert await raw.hkeys(store.keys.online(ROOM)) == ["s2"]

    async def test_rooms_only_a_dead_shard_had_leave_the_top(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        others = [f"r{i}" for i in range(30)]
        other = next(
            name for name in others if store.keys.partition(name) == store.keys.partition(ROOM)
        )
        p = store.keys.partition(ROOM)
        await crowds.report(p, "dead", [(ROOM, 9)])
        await crowds.report(p, "s1", [(other, 1)])
        assert await tops(crowds, 5) == [(ROOM, 9), (other, 1)]
        await raw.zadd(store.keys.seen(p), {ROOM: await clock_ms(raw) - 60_001})
        await crowds.report(p, "s1", [(other, 1)])
        assert await tops(crowds, 5) == [(other, 1)]
        assert (await crowds.of(ROOM)).online == 0

    async def test_what_one_shard_reported_is_found_again(
        self, store: Store, crowds: Crowds
    ) -> None:
        names = [f"r{i}" for i in range(2_600)]
        p = store.keys.partition(ROOM)
        mine = [name for name in names if store.keys.partition(name) == p]
        await crowds.report(p, "s1", [(name, 1) for name in mine])
        await crowds.report(p, "s2", [(ROOM, 1), (mine[0], 1)])
        await crowds.report(p, "s1", [(mine[1], 0)])
        assert set(await crowds.reported(p, "s1")) == set(mine) - {mine[1]}
        assert set(await crowds.reported(p, "s2")) == {ROOM, mine[0]}
        assert await crowds.reported(p, "s3") == []

    async def test_the_top_is_of_all_partitions_by_count_then_name(
        self, store: Store, crowds: Crowds
    ) -> None:
        for i in range(12):
            name = f"r{i:02}"
            viewers = 5 if i < 3 else i
            await crowds.report(store.keys.partition(name), "s1", [(name, viewers)])
        assert await tops(crowds, 4) == [("r11", 11), ("r10", 10), ("r09", 9), ("r08", 8)]
        assert [name for name, count in await tops(crowds, 99) if count == 5] == [
            "r00",
            "r01",
            "r02",
            "r05",
        ]

    async def test_empty_rooms_are_not_in_it(self, store: Store, crowds: Crowds) -> None:
        p = store.keys.partition(ROOM)
        await crowds.report(p, "s1", [(ROOM, 1)])
        await crowds.report(p, "s1", [(ROOM, 0)])
        assert await tops(crowds, 5) == []

    async def test_a_watched_room_is_kept(self, store: Store, crowds: Crowds, raw: Any) -> None:
        await publish(store, ROOM, "a")
        for key in (store.keys.room(ROOM), store.keys.history(ROOM)):
            await raw.expire(key, 5)
        await crowds.report(store.keys.partition(ROOM), "s1", [(ROOM, 1)])
        for key in (store.keys.room(ROOM), store.keys.history(ROOM)):
            assert await raw.ttl(key) > 500

    async def test_a_room_nobody_reports_any_more_is_empty_though_nobody_takes_it_out(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        p = store.keys.partition(ROOM)
        await crowds.report(p, "dead", [(ROOM, 9)])
        await raw.zadd(store.keys.seen(p), {ROOM: await clock_ms(raw) - 60_001})
        assert (await crowds.of(ROOM)).online == 0
        assert await crowds.top(5) == []


class TestSince:
    """What is known of a room's past."""

    async def test_the_peak_is_the_most_of_all_shards_at_once(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        p, before = store.keys.partition(ROOM), await clock_ms(raw)
        for shard, count in [("a", 3), ("b", 4), ("a", 0), ("b", 6), ("a", 1), ("b", 0)]:
            await crowds.report(p, shard, [(ROOM, count)])
        found = await crowds.of(ROOM)
        assert found == Crowd(ROOM, 1, 7, found.peak_at, 0)
        assert before <= found.peak_at <= await clock_ms(raw)
        assert await crowds.top(1) == [found]
        await crowds.report(p, "b", [(ROOM, 6)])
        assert (await crowds.of(ROOM)).peak_at == found.peak_at, "it was reached again, not passed"

    async def test_a_user_is_counted_once_on_all_shards(self, store: Store, crowds: Crowds) -> None:
        p = store.keys.partition(ROOM)
        await crowds.report(p, "a", [(ROOM, 2)], {ROOM: ["u1", "u2"]})
        await crowds.report(p, "b", [(ROOM, 2)], {ROOM: ["u2", "guest:5"]})
        assert (await crowds.of(ROOM)).unique == 3

    async def test_each_room_has_its_own_in_a_report_of_several(
        self, store: Store, crowds: Crowds
    ) -> None:
        p = store.keys.partition(ROOM)
        rooms = [f"r{i}" for i in range(60) if store.keys.partition(f"r{i}") == p][:4]
        uids = {rooms[1]: ["a"], rooms[3]: ["b", "c"]}
        counts = [(room, i + 1) for i, room in enumerate(rooms)]
        assert await crowds.report(p, "s", counts, uids) == [1, 2, 3, 4]
        assert [(await crowds.of(room)).unique for room in rooms] == [0, 1, 0, 2]

    async def test_very_many_come_in_one_report(self, store: Store, crowds: Crowds) -> None:
        uids = [f"guest:{i:08x}" for i in range(20_000)]
        await crowds.report(store.keys.partition(ROOM), "s", [(ROOM, 9)], {ROOM: uids})
        assert (await crowds.of(ROOM)).unique == pytest.approx(20_000, rel=0.03)

    async def test_they_are_kept_like_the_room_after_its_last_viewer(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        p = store.keys.partition(ROOM)
        await publish(store, ROOM, "a")
        await crowds.report(p, "s", [(ROOM, 1)], {ROOM: ["u1"]})
        await crowds.report(p, "s", [(ROOM, 0)])
        assert (await crowds.of(ROOM)) == Crowd(ROOM, 0, 1, (await crowds.of(ROOM)).peak_at, 1)
        for key in (store.keys.crowd(ROOM), store.keys.users(ROOM)):
            assert 500 < await raw.ttl(key) <= 600

    async def test_of_a_room_nobody_spoke_in_nothing_stays(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        await crowds.report(store.keys.partition(ROOM), "s", [(ROOM, 1)], {ROOM: ["u1"]})
        of_room = [store.keys.crowd(ROOM), store.keys.users(ROOM), store.keys.online(ROOM)]
        assert [0 < await raw.ttl(key) <= 120 for key in of_room] == [True] * 3

    async def test_who_came_and_went_between_two_reports_was_there(
        self, store: Store, crowds: Crowds, raw: Any
    ) -> None:
        await crowds.report(store.keys.partition(ROOM), "s", [(ROOM, 0)], {ROOM: ["u1"]})
        found = await crowds.of(ROOM)
        assert (found.online, found.peak, found.unique) == (0, 0, 1)
        assert 0 < await raw.ttl(store.keys.users(ROOM)) <= 120


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
            await Crowds(followed, 20).report(p, shard, [(ROOM, count)])
        assert await self.happened(raw, followed) == [("occupied", ROOM), ("vacated", ROOM)]

    async def test_a_room_that_only_a_dead_shard_had_is_vacated_once(
        self, followed: Store, raw: Any
    ) -> None:
        p = followed.keys.partition(ROOM)
        await Crowds(followed, 20).report(p, "dead", [(ROOM, 2)])
        assert await raw.pttl(followed.keys.seen(p)) == -1
        await raw.zadd(followed.keys.seen(p), {ROOM: await clock_ms(raw) - 60_001})
        for _ in range(2):
            await Crowds(followed, 20).report(p, "", [])
        assert await self.happened(raw, followed) == [("occupied", ROOM), ("vacated", ROOM)]

    async def test_nobody_follows_as_a_rule(self, store: Store, crowds: Crowds, raw: Any) -> None:
        p = store.keys.partition(ROOM)
        for count in (1, 0):
            await crowds.report(p, "a", [(ROOM, count)])
        assert await self.happened(raw, store) == []
        assert await raw.exists(store.keys.events(p)) == 0
