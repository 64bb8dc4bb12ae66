"""Controls of rooms on a real Valkey: in the stream all shards read, and in nobody's way."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.controls import tell_rooms
from chat.bus.entries import Arrived, read_broadcast
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, publish
from tests.servers import Cluster

CONTROL = Arrived(2, ["阿花", "u7"])


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


async def controls(store: Store, room: str) -> list[Any]:
    """What is in the stream of a room without a place."""
    stream = store.keys.fanout(store.keys.partition(room))
    found = await store.servers.ask(stream, lambda pipe, on: pipe.xrange(stream))
    alone = [fields for _, fields in found if fields[b"r"] == room.encode() and not fields[b"p"]]
    return [read_broadcast(fields[b"m"]) for fields in alone]


class TestTelling:
    async def test_each_room_is_told_its_own(self, store: Store) -> None:
        told = {f"r{i}": Arrived(i, [f"u{i}"]) for i in range(9)}
        assert await tell_rooms(store, told) == []
        for room, control in told.items():
            assert await controls(store, room) == [control]

    async def test_it_takes_no_place_and_makes_no_room(self, store: Store) -> None:
        await tell_rooms(store, {"r": CONTROL})
        assert await store.peek_room("r") is None
        [receipt] = await publish(store, "r", "first")
        await tell_rooms(store, {"r": CONTROL})
        assert (receipt.seq, (await store.peek_room("r"))) == (1, ("e00001", 1))

    async def test_of_what_could_not_be_told_the_rooms_are_named(
        self, store: Store, raw: Any
    ) -> None:
        await raw.set(store.keys.fanout(store.keys.partition("r")), "no stream")
        other = next(
            f"r{i}"
            for i in range(9)
            if store.lane(f"r{i}") == store.lane("r")
            and store.keys.partition(f"r{i}") != store.keys.partition("r")
        )
        assert await tell_rooms(store, {"r": CONTROL, other: CONTROL}) == ["r"]
        assert await controls(store, other) == [CONTROL]

    async def test_rooms_of_a_cluster_are_in_many_slots(
        self, cluster: Cluster, prefix: str
    ) -> None:
        store = a_store(cluster.url, prefix)
        rooms = [f"r{i}" for i in range(9)]
        assert await tell_rooms(store, dict.fromkeys(rooms, CONTROL)) == []
        assert [await controls(store, room) for room in rooms] == [[CONTROL]] * 9
        await store.close()
