"""Lives of partitions, in a real Valkey: the same for all, until everything is lost."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, publish
from tests.servers import Cluster, TestServer

ROOM, PARTITIONS = "live:42", 4


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, PARTITIONS)
    yield store
    await store.close()


def life(store: Store, room: str = ROOM) -> str:
    return store.lives.of(store.keys.partition(room))


async def test_all_who_open_a_room_know_the_same(
    store: Store, valkey: EmbeddedEngine, prefix: str
) -> None:
    assert life(store) == ""
    await store.open_room(ROOM)
    other = a_store(valkey.url, prefix, PARTITIONS)
    await other.open_room(ROOM)
    assert life(store) == life(other) != ""
    await publish(store, ROOM, "a")
    await store.open_room(ROOM, newest=1, rules=True)
    assert life(store) == life(other)
    await other.close()


async def test_each_partition_has_its_own(store: Store) -> None:
    rooms = {store.keys.partition(f"r{i}"): f"r{i}" for i in range(40)}
    for room in rooms.values():
        await store.open_room(room)
    assert len({life(store, room) for room in rooms.values()}) == len(rooms) == PARTITIONS


@pytest.mark.parametrize("compared", [True, False])
async def test_another_begins_where_all_was_lost(store: Store, raw: Any, compared: bool) -> None:
    await store.open_room(ROOM)
    before = life(store)
    await raw.delete(store.keys.life(store.keys.partition(ROOM)))
    if compared:
        assert await store.peek_rooms([(ROOM, 0)]) == [None]
    else:
        await store.open_room(ROOM)
    assert life(store) not in ("", before)


async def test_where_none_can_be_made_the_room_is_read_all_the_same() -> None:
    with TestServer() as server:
        store = a_store(server.url, "d", PARTITIONS)
        server.ask("CONFIG", "SET", "maxmemory", 1)
        assert (await store.open_room(ROOM)).seq == 0
        assert await store.peek_rooms([(ROOM, 0)]) == [None]
        assert life(store) == ""
        server.ask("CONFIG", "SET", "maxmemory", 0)
        await store.open_room(ROOM)
        assert life(store) != ""
        await store.close()


async def test_in_a_cluster_too(cluster: Cluster, prefix: str) -> None:
    rooms = [f"r{i}" for i in range(60)]
    store, other = (a_store(cluster.url, prefix, 16) for _ in range(2))
    await store.peek_rooms([(room, 0) for room in rooms])
    for room in rooms[::6]:
        await other.open_room(room)
        assert life(other, room) == life(store, room) != ""
    await store.close()
    await other.close()
