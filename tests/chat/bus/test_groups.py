"""Groups: who may read, what comes again, and what trimming took."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.groups import ALL, NEW, OURS, SET_BACK, TAKEN, Groups, Taken, Unit
from chat.bus.redaction import Redaction
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, publish
from tests.servers import Cluster

MS = 60_000


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, partitions=1, history=10_000)
    yield store
    await store.close()


def outcomes(found: Sequence[Any]) -> list[int]:
    return [outcome for outcome, _ in found]


async def led(store: Store, worker: str, group: str = "g", by: str = "") -> tuple[Groups, Unit]:
    """A worker that has the only unit there is."""
    groups = Groups(store, group, worker)
    [unit] = groups.rooms_units()
    assert outcomes(await groups.lease([unit], MS, by)) == [NEW]
    return groups, unit


async def take(groups: Groups, unit: Unit, most: int = 100, first: str = ALL) -> Taken:
    [taken] = await groups.take([unit], most, first)
    assert isinstance(taken, Taken), taken
    return taken


def seqs(taken: Taken) -> list[int]:
    places = [fields[3].decode() for _, fields in taken.entries]
    return [int(place.rpartition("-")[2]) for place in places]


class TestLeases:
    async def test_one_worker_has_a_unit_at_a_time(self, store: Store) -> None:
        a, unit = await led(store, "a", by="x")
        b = Groups(store, "g", "b")
        assert await b.lease([unit], MS) == [(TAKEN, "")]
        assert await a.lease([unit], MS, "x") == [(OURS, "x")]
        await a.lease([unit], 0)
        assert await b.lease([unit], MS, "y") == [(NEW, "x")]

    async def test_one_that_was_not_renewed_may_be_taken(self, store: Store) -> None:
        a, unit = await led(store, "a")
        await a.lease([unit], 1)
        b = Groups(store, "g", "b")
        while outcomes(await b.lease([unit], MS)) != [NEW]:
            pass
        assert await a.take([unit], 9, ALL) == []
        assert outcomes(await a.lease([unit], MS)) == [TAKEN]

    async def test_giving_back_what_another_has_changes_nothing(self, store: Store) -> None:
        a, unit = await led(store, "a")
        await Groups(store, "g", "b").lease([unit], 0)
        assert outcomes(await a.lease([unit], MS)) == [OURS]

    async def test_groups_do_not_know_each_other(self, store: Store) -> None:
        await publish(store, "r", "1")
        for group in ("g", "h"):
            assert seqs(await take(*await led(store, "a", group))) == [1]

    async def test_who_lives_is_counted(self, store: Store) -> None:
        a, b = Groups(store, "g", "a"), Groups(store, "g", "b")
        assert [await a.present(MS), await b.present(MS), await a.present(MS)] == [1, 2, 2]
        await b.present(1)
        while await a.present(MS) != 1:
            pass
        assert await a.present(0) == 0


class TestTaking:
    async def test_what_is_not_done_comes_again_also_to_the_next(self, store: Store) -> None:
        a, unit = await led(store, "a")
        await publish(store, "r", "1", "2", "3")
        first = await take(a, unit, 2)
        assert seqs(first) == [1, 2]
        assert seqs(await take(a, unit)) == [1, 2]
        await a.lease([unit], 0)
        b, _ = await led(store, "b")
        again = await take(b, unit)
        assert seqs(again) == [1, 2]
        await b.done([again])
        assert seqs(await take(b, unit)) == [3]

    async def test_who_lost_the_lease_cannot_say_that_it_is_done(self, store: Store) -> None:
        a, unit = await led(store, "a")
        await publish(store, "r", "1")
        taken = await take(a, unit)
        await a.lease([unit], 0)
        b, _ = await led(store, "b")
        await a.done([taken])
        assert seqs(await take(b, unit)) == [1]

    async def test_a_new_group_begins_where_it_is_told(self, store: Store) -> None:
        await publish(store, "r", "1", "2")
        said = await store.clock_ms()
        while await store.clock_ms() <= said:
            pass
        groups, unit = await led(store, "a")
        assert seqs(await take(groups, unit, first="0")) == []
        await publish(store, "r", "3")
        assert seqs(await take(groups, unit, first="0")) == [3]
        other, _ = await led(store, "a", "h")
        assert seqs(await take(other, unit=other.rooms_units()[0], first=str(MS))) == [1, 2, 3]

    async def test_what_waits_is_counted(self, store: Store) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", "1", "2", "3")
        taken = await take(groups, unit, 1)
        assert (taken.given, taken.lag) == (1, 2)

    async def test_a_unit_that_is_not_leased_gives_nothing(self, store: Store) -> None:
        groups = Groups(store, "g", "a")
        assert await groups.take(groups.rooms_units(), 9, ALL) == []

    async def test_redis_away_is_said_in_the_units_place(self, prefix: str) -> None:
        store = a_store("unix:///nowhere/s.sock", prefix, partitions=1)
        groups = Groups(store, "g", "a")
        [found] = await groups.take(groups.rooms_units(), 9, ALL)
        assert isinstance(found, StoreError)
        [lease] = await groups.lease(groups.rooms_units(), MS)
        assert isinstance(lease, StoreError)
        await store.close()


class TestTrimming:
    async def trimmed(self, raw: Any, store: Store, keep: int) -> None:
        await raw.xtrim(store.keys.fanout(0), maxlen=keep, approximate=False)

    async def test_what_it_took_is_counted_once_it_was_said(self, store: Store, raw: Any) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", "1", "2")
        taken = await take(groups, unit)
        await groups.done([taken])
        await publish(store, "r", *map(str, range(3, 11)))
        await self.trimmed(raw, store, 3)
        left = await take(groups, unit)
        assert seqs(left) == [8, 9, 10]
        assert left.lost is not None
        assert (left.lost.count, left.lost.after) == (5, taken.last.decode())
        again = await take(groups, unit)
        assert again.lost == left.lost
        await groups.done([again])
        assert (await take(groups, unit)).lost is None

    async def test_more_of_it_is_added(self, store: Store, raw: Any) -> None:
        groups, unit = await led(store, "a")
        await take(groups, unit)
        for _ in range(2):
            await publish(store, "r", *"abcd")
            await self.trimmed(raw, store, 1)
            taken = await take(groups, unit)
            await groups.done([Taken(unit, taken.stream, 0, 0, b"", None, taken.entries)])
        assert taken.lost is not None
        assert taken.lost.count == 6

    async def test_before_a_group_has_read_anything(self, store: Store, raw: Any) -> None:
        groups, unit = await led(store, "a")
        assert (await take(groups, unit)).entries == []
        await publish(store, "r", *"abcdef")
        await self.trimmed(raw, store, 2)
        taken = await take(groups, unit)
        assert taken.lost is not None
        assert taken.lost.count == 4

    async def test_what_was_there_before_a_group_is_none_of_its(
        self, store: Store, raw: Any
    ) -> None:
        await publish(store, "r", *"abcdef")
        await self.trimmed(raw, store, 2)
        groups, unit = await led(store, "a")
        taken = await take(groups, unit)
        assert (seqs(taken), taken.lost) == ([5, 6], None)
        await groups.done([taken])
        await publish(store, "r", *"gh")
        await self.trimmed(raw, store, 1)
        taken = await take(groups, unit)
        assert taken.lost is not None
        assert taken.lost.count == 1

    async def test_what_was_given_out_and_is_gone_is_lost_too(self, store: Store, raw: Any) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", *"abcd")
        await take(groups, unit, 3)
        await self.trimmed(raw, store, 2)
        taken = await take(groups, unit)
        assert seqs(taken) == [3]
        assert taken.lost is not None
        assert taken.lost.count == 2

    async def test_done_and_then_trimmed_is_not_lost(self, store: Store, raw: Any) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", *"abcd")
        await groups.done([await take(groups, unit)])
        await self.trimmed(raw, store, 0)
        assert (await take(groups, unit)).lost is None
        await publish(store, "r", "e")
        taken = await take(groups, unit)
        assert (seqs(taken), taken.lost) == ([5], None)

    async def test_what_was_taken_back_is_not_lost(self, store: Store) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", *"abcd")
        await take(groups, unit, 2)
        for seq in (2, 3):
            await Redaction(store, lambda: 5.0).remove("r", seq)
        taken = await take(groups, unit)
        assert (seqs(taken), taken.lost) == ([1], None)
        await groups.done([taken])
        taken = await take(groups, unit)
        assert (seqs(taken), taken.lost) == ([4, 5, 6], None)


class TestSeeking:
    async def test_what_another_said_was_done_is_given_again(self, store: Store) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", *"abcd")
        first = await take(groups, unit, 1)
        await groups.done([first])
        await groups.done([await take(groups, unit, 2)])
        done = first.last.decode()
        assert await groups.seek(unit, unit.streams[0], done, first.given) == 2
        taken = await take(groups, unit)
        assert (seqs(taken), taken.given, taken.lag) == ([2, 3, 4], 4, 0)

    async def test_what_is_done_and_was_not_said_does_not_come_again(self, store: Store) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", *"abcd")
        first, last = (await take(groups, unit, 3)).entries[0][0], b""
        assert await groups.seek(unit, unit.streams[0], first.decode(), -1) == 1
        taken = await take(groups, unit)
        last = taken.entries[-1][0]
        assert (seqs(taken), taken.given) == ([2, 3], 3)
        assert await groups.seek(unit, unit.streams[0], last.decode(), -1) == 1
        assert seqs(await take(groups, unit)) == [4]

    async def test_a_stream_that_ends_before_is_told(self, store: Store) -> None:
        groups, unit = await led(store, "a")
        assert await groups.seek(unit, unit.streams[0], "5-0", 1) == SET_BACK
        await publish(store, "r", "a")
        await take(groups, unit)
        end = f"{1 << 60}-0"
        assert await groups.seek(unit, unit.streams[0], end, 1) == SET_BACK

    async def test_a_group_that_is_gone_is_made_where_it_was(self, store: Store, raw: Any) -> None:
        groups, unit = await led(store, "a")
        await publish(store, "r", *"abcd")
        taken = await take(groups, unit, 2)
        await raw.xgroup_destroy(unit.streams[0], "g")
        assert await groups.seek(unit, unit.streams[0], taken.last.decode(), 2) == 2
        assert seqs(await take(groups, unit)) == [3, 4]

    async def test_only_who_has_the_lease_may(self, store: Store) -> None:
        _, unit = await led(store, "a")
        b = Groups(store, "g", "b")
        assert await b.seek(unit, unit.streams[0], "1-0", 0) == 0


async def test_partitions_of_a_cluster_are_leased_and_read(cluster: Cluster, prefix: str) -> None:
    store = a_store(cluster.url, prefix, partitions=8)
    groups = Groups(store, "g", "a")
    units = [*groups.rooms_units(), groups.everywhere(store.keys.audit)]
    assert outcomes(await groups.lease(units, MS)) == [NEW] * 9
    assert await groups.present(MS) == 1
    rooms = [f"r{i}" for i in range(20)]
    for room in rooms:
        await publish(store, room, "1")
    taken = [one for one in await groups.take(units, 100, ALL) if isinstance(one, Taken)]
    assert sum(len(one.entries) for one in taken) == len(rooms)
    await groups.done(taken)
    again = await groups.take(units, 100, ALL)
    assert [one.entries for one in again if isinstance(one, Taken)] == [[]] * 9
    await store.close()
