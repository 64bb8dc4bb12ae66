"""Likes on a real Valkey: added up once whatever gets lost, and told to all shards in measure."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.connect import StoreError
from chat.bus.entries import Liked, read_broadcast
from chat.bus.likes import LikeCounts, read_likes
from chat.bus.store import Store
from chat.config.sections import MOST_LIKE_KINDS
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, publish
from tests.servers import Cluster

ROOM = "live:42"


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


class Shard:
    """Adds likes of one room, each time under the next number unless it is told otherwise."""

    def __init__(self, store: Store, name: str = "s1") -> None:
        self._counts = LikeCounts(store.servers, store.keys, store.retention, name)
        self._partition = store.keys.partition(ROOM)
        self.number = 0

    async def add(self, counts: Mapping[str, int], number: int = 0) -> tuple[int, list[str]]:
        self.number = number or self.number + 1
        return await self._counts.add(self._partition, self.number, {ROOM: counts})


@pytest.fixture
def shard(store: Store) -> Shard:
    return Shard(store)


async def kept(store: Store) -> dict[str, int]:
    return (await store.open_room(ROOM)).likes


async def told(store: Store) -> list[dict[str, int]]:
    """What shards were told of the room, in order."""
    stream = store.keys.fanout(store.keys.partition(ROOM))
    found = []
    for _, fields in await store.servers.ask(stream, lambda pipe, on: pipe.xrange(stream)):
        if not fields[b"p"]:
            assert fields[b"r"].decode() == ROOM
            control = read_broadcast(fields[b"m"])
            assert isinstance(control, Liked)
            found.append(control.totals)
    return found


async def later(store: Store) -> None:
    """As if a second had passed since shards were told."""
    key = store.keys.room(ROOM)
    known = await store.servers.ask(key, lambda pipe, on: pipe.hget(key, "liked"))
    at, _, due = known.decode().partition(":")
    past = f"{int(at) - 1_000}:{due}"
    await store.servers.ask(key, lambda pipe, on: pipe.hset(key, "liked", past))


class TestAdding:
    async def test_kinds_are_added_up_over_shards(self, store: Store, shard: Shard) -> None:
        other = Shard(store, "s2")
        assert await shard.add({"like": 3, "heart": 1}) == (0, [])
        await other.add({"like": 100})
        await shard.add({"like": 2})
        assert await kept(store) == {"like": 105, "heart": 1}

    async def test_a_call_that_is_made_again_adds_nothing(self, store: Store, shard: Shard) -> None:
        await shard.add({"like": 3})
        await later(store)
        assert await shard.add({"like": 3}, number=shard.number) == (0, [])
        assert await kept(store) == {"like": 3}
        assert len(await told(store)) == 1

    async def test_a_room_has_so_many_kinds_and_what_is_beyond_is_said(
        self, store: Store, shard: Shard
    ) -> None:
        await shard.add({f"k{i}": 1 for i in range(MOST_LIKE_KINDS)})
        lost, _ = await shard.add({"k0": 5, "more": 7})
        assert lost == 7
        assert await kept(store) == {f"k{i}": 6 if i == 0 else 1 for i in range(MOST_LIKE_KINDS)}

    async def test_a_sum_stays_a_number_that_clients_can_have(
        self, store: Store, shard: Shard
    ) -> None:
        key = store.keys.room(ROOM)
        full = f"like:{2**53 - 2}"
        await store.servers.ask(key, lambda pipe, on: pipe.hset(key, "likes", full))
        await shard.add({"like": 100})
        assert await kept(store) == {"like": 2**53 - 1}
        assert await told(store) == [{"like": 2**53 - 1}]

    async def test_a_room_that_is_no_room_costs_itself_alone(
        self, store: Store, shard: Shard
    ) -> None:
        key = store.keys.room(ROOM)
        await store.servers.ask(key, lambda pipe, on: pipe.set(key, "x"))
        assert await shard.add({"like": 4, "heart": 1}) == (5, [])


class TestTheRoom:
    async def test_that_nobody_spoke_in_keeps_them_as_long_as_any_room(
        self, store: Store, shard: Shard, raw: Any
    ) -> None:
        await shard.add({"like": 3})
        assert 0 < await raw.ttl(store.keys.room(ROOM)) <= 600
        [receipt] = await publish(store, ROOM, "first")
        assert receipt.seq == 1
        assert await kept(store) == {"like": 3}

    async def test_is_looked_at_with_them(self, store: Store, shard: Shard) -> None:
        await publish(store, ROOM, "first")
        await shard.add({"like": 3})
        [peek] = await store.peek_rooms([(ROOM, 1)])
        assert peek is not None
        assert peek.likes == {"like": 3}


class TestTelling:
    async def test_is_once_a_second_and_the_last_word_is_told(
        self, store: Store, shard: Shard
    ) -> None:
        other = Shard(store, "s2")
        await shard.add({"like": 1})
        assert await shard.add({"like": 1}) == (0, [ROOM])
        assert await other.add({"like": 1}) == (0, [ROOM])
        assert await told(store) == [{"like": 1}]
        await later(store)
        assert await shard.add({}) == (0, [])
        assert await told(store) == [{"like": 1}, {"like": 3}]
        await later(store)
        assert await other.add({}) == (0, [])
        assert len(await told(store)) == 2, "nothing has changed since"

    async def test_goes_on_when_the_clock_was_set_back(self, store: Store, shard: Shard) -> None:
        await shard.add({"like": 1})
        key = store.keys.room(ROOM)
        await store.servers.ask(key, lambda pipe, on: pipe.hset(key, "liked", f"{2**44}:0"))
        assert await shard.add({"like": 1}) == (0, [])
        assert len(await told(store)) == 2


class TestFailing:
    async def test_what_memory_is_short_for_is_not_counted_and_may_be_again(
        self, own_valkey: EmbeddedEngine, prefix: str
    ) -> None:
        store = a_store(own_valkey.url, prefix)
        shard = Shard(store)
        await shard.add({"like": 1})

        async def memory(most: int) -> None:
            await store.servers.ask(
                store.keys.broadcast, lambda pipe, on: pipe.config_set("maxmemory", most)
            )

        await memory(1)
        with pytest.raises(StoreError):
            await shard.add({"like": 5})
        await memory(0)
        await shard.add({"like": 5}, number=shard.number)
        assert await kept(store) == {"like": 6}
        await store.close()

    async def test_a_cluster_counts_them_in_the_rooms_slot(
        self, cluster: Cluster, prefix: str
    ) -> None:
        store = a_store(cluster.url, prefix)
        await Shard(store).add({"like": 2})
        assert await kept(store) == {"like": 2}
        await store.close()


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=16)


@given(st.dictionaries(NAMES, st.integers(0, 2**53 - 1), max_size=8))
def test_sums_are_read_as_they_are_kept(sums: dict[str, int]) -> None:
    written = " ".join(f"{kind}:{total}" for kind, total in sums.items())
    assert read_likes(written.encode()) == sums


@given(st.binary(max_size=100))
def test_whatever_is_kept_there_can_be_read(packed: bytes) -> None:
    assert all(total >= 0 for total in read_likes(packed).values())


async def test_the_sum_is_that_of_all_calls(store: Store) -> None:
    """Many shards, many calls, some of them twice."""
    shards = [Shard(store, f"s{i}") for i in range(3)]
    sums: Counter[str] = Counter()
    for turn in range(60):
        shard = shards[turn % 3]
        counts = {f"k{turn % 5}": turn % 7 + 1, "like": turn % 3}
        await shard.add(counts)
        sums.update(counts)
        if turn % 4 == 0:
            await shard.add(counts, number=shard.number)
    assert await kept(store) == dict(sums)
