"""Rules on a real Valkey: changed and told at one moment, version by version."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.entries import Changed, Ruled, pack, read_broadcast
from chat.bus.kept import Kept, version
from chat.bus.rules import TOLD_BYTES, Full, Outdated, Rules
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import State
from tests.chat.rig import a_store, clock_ms, publish
from tests.servers import Cluster

ROOM = "live:42"


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


@pytest.fixture
def rules(store: Store) -> Rules:
    return Rules(store)


async def stream_of(store: Store, room: str | None) -> Sequence[Any]:
    """The entries of the stream by which shards are told."""
    keys = store.keys
    stream = keys.broadcast if room is None else keys.fanout(keys.partition(room))
    found: Sequence[Any] = await store.servers.ask(stream, lambda pipe, on: pipe.xrange(stream))
    return found


async def told(store: Store, room: str | None = ROOM) -> list[tuple[int, Any]]:
    """The changes that shards were told of."""
    entries = await stream_of(store, room)
    assert all(fields.get(b"r", b"").decode() == (room or "") for _, fields in entries)
    changes = [fields for _, fields in entries if b"v" in fields]
    assert all(fields.get(b"p", b"") == b"" for fields in changes)
    return [(version(fields[b"v"]).number, read_broadcast(fields[b"m"])) for fields in changes]


class TestChange:
    @pytest.mark.parametrize("room", [ROOM, None])
    async def test_is_kept_and_told(self, rules: Rules, store: Store, room: str | None) -> None:
        first = await rules.change(room, {"mute:u1": b"a", "mute:u2": b"b"})
        assert await rules.change(room, {"mute:u1": None, "owners": b"c"}) == first + 1
        kept = Kept(first + 1, {"mute:u2": b"b", "owners": b"c"}, first)
        assert await rules.load([room]) == [kept]
        assert await told(store, room) == [
            (first, Changed({"mute:u1": b"a", "mute:u2": b"b"})),
            (first + 1, Changed({"mute:u1": None, "owners": b"c"})),
        ]

    async def test_what_is_large_is_told_by_its_name(self, rules: Rules, store: Store) -> None:
        large = b"w" * (TOLD_BYTES + 1)
        first = await rules.change(ROOM, {"words": large, "owners": b"c"})
        assert await told(store) == [(first, Changed({"owners": b"c"}, ["words"]))]
        assert await rules.fetch(ROOM, ["words", "nothing"]) == Kept(first, {"words": large})

    async def test_of_another_version_than_was_expected_is_not_done(
        self, rules: Rules, store: Store
    ) -> None:
        first = await rules.change(ROOM, {"a": b"1"}, expected=0)
        with pytest.raises(Outdated):
            await rules.change(ROOM, {"a": b"2"}, expected=0)
        await rules.change(ROOM, {"a": b"3"}, expected=first)
        assert (await rules.load([ROOM]))[0] == Kept(first + 1, {"a": b"3"}, first)
        assert len(await told(store)) == 2

    async def test_beyond_the_bound_is_not_done(self, store: Store) -> None:
        rules = Rules(store, most_of_room=3)
        for name in ("a", "b", "c"):
            await rules.change(ROOM, {name: b"1"})
        with pytest.raises(Full):
            await rules.change(ROOM, {"d": b"1"})
        await rules.change(ROOM, {"a": b"2"})
        await rules.change(ROOM, {"b": None})
        await rules.change(ROOM, {"d": b"1"})
        assert (await rules.load([ROOM]))[0].fields == {"a": b"2", "c": b"1", "d": b"1"}
        assert len(await told(store)) == 6

    async def test_while_redis_is_away_is_an_error(self, prefix: str) -> None:
        store = a_store("unix:///nowhere/s.sock", prefix)
        with pytest.raises(StoreError):
            await Rules(store).change(ROOM, {"a": b"1"})
        await store.close()

    async def test_changes_at_once_have_versions_of_their_own(self, rules: Rules) -> None:
        names = [f"mute:{i}" for i in range(50)]
        versions = await asyncio.gather(*(rules.change(ROOM, {name: b"1"}) for name in names))
        first = min(versions)
        assert sorted(versions) == list(range(first, first + 50))
        found = (await rules.load([ROOM]))[0]
        assert (found.version, set(found.fields)) == (first + 49, set(names))


class TestState:
    async def test_takes_the_rooms_next_place(self, rules: Rules, store: Store) -> None:
        await publish(store, ROOM, "hi")
        state = pack(Ruled({"slow_s": 5}, 77))
        await rules.change(ROOM, {"settings": b"s"}, state=state)
        room = await store.open_room(ROOM, newest=9)
        assert (room.epoch, room.seq) == ("e00001", 2)
        assert room.places[-1] == State(ROOM, 2, 77, {"slow_s": 5})

    async def test_gives_a_room_that_nobody_spoke_in_its_epoch(
        self, rules: Rules, store: Store, raw: Any
    ) -> None:
        await rules.change(ROOM, {"settings": b"s"}, state=pack(Ruled({}, 77)))
        room = await store.open_room(ROOM, newest=9)
        assert room.epoch
        assert (room.seq, len(room.places)) == (1, 1)
        [receipt] = await publish(store, ROOM, "hi")
        assert (receipt.epoch, receipt.seq) == (room.epoch, 2)
        assert await raw.ttl(store.keys.room(ROOM)) > 0
        assert await raw.ttl(store.keys.history(ROOM)) > 0
        assert await raw.ttl(store.keys.rules(ROOM)) == -1

    async def test_is_in_the_stream_behind_the_change_it_tells_of(
        self, rules: Rules, store: Store
    ) -> None:
        await rules.change(ROOM, {"settings": b"s"}, state=pack(Ruled({}, 77)))
        entries = await stream_of(store, ROOM)
        assert [fields[b"p"].partition(b"-")[2] for _, fields in entries] == [b"", b"1"]


class TestGivingBack:
    async def test_sets_what_is_not_there_and_tells_its_name(
        self, rules: Rules, store: Store
    ) -> None:
        first = await rules.change(ROOM, {"mute:u1": b"x"})
        await rules.give_back(ROOM, {"mute:u1": b"old", "mute:u2": b"y"})
        found = (await rules.load([ROOM]))[0]
        assert found == Kept(first + 1, {"mute:u1": b"x", "mute:u2": b"y"}, first)
        assert (await told(store))[-1] == (first + 1, Changed({}, ["mute:u1", "mute:u2"]))

    async def test_what_is_there_is_no_change(self, rules: Rules, store: Store) -> None:
        first = await rules.change(ROOM, {"mute:u1": b"x"})
        await rules.give_back(ROOM, {"mute:u1": b"old"})
        assert (await rules.load([ROOM]))[0] == Kept(first, {"mute:u1": b"x"}, first)
        assert len(await told(store)) == 1

    async def test_of_everywhere_after_everything_was_lost(self, rules: Rules) -> None:
        many = {f"ban:{i}": b"x" for i in range(20_000)}
        await asyncio.gather(*(rules.give_back(None, many) for _ in range(3)))
        found = (await rules.load([None]))[0]
        assert found.fields == many
        assert found.version - found.base == 19


async def test_what_is_made_anew_begins_elsewhere(rules: Rules, store: Store, raw: Any) -> None:
    first = await rules.change(ROOM, {"mute:u1": b"x"})
    while await clock_ms(raw) <= first:
        pass
    await raw.delete(store.keys.rules(ROOM))
    anew = await rules.change(ROOM, {"mute:u3": b"x"})
    assert anew > first
    assert (await rules.load([ROOM]))[0] == Kept(anew, {"mute:u3": b"x"}, anew)


class TestLoad:
    async def test_many_at_once(self, rules: Rules) -> None:
        rooms = [f"r{i}" for i in range(1_200)]
        await rules.change("r1100", {"a": b"1"})
        found = await rules.load(rooms)
        assert [room for room, one in zip(rooms, found, strict=True) if one.version] == ["r1100"]

    async def test_of_what_has_none_is_nothing(self, rules: Rules) -> None:
        assert (await rules.load([ROOM]))[0] == Kept(0, {})
        assert (await rules.load([None]))[0] == Kept(0, {})


async def test_a_cluster_has_everything_of_one_room_in_one_slot(
    cluster: Cluster, prefix: str
) -> None:
    store = a_store(cluster.url, prefix, partitions=16)
    rules = Rules(store)
    rooms = [None, *(f"r{i}" for i in range(8))]
    for room in rooms:
        state = pack(Ruled({}, 1)) if room else b""
        assert await rules.change(room, {"mute:u1": b"x"}, state=state)
    assert [one.fields for one in await rules.load(rooms)] == [{"mute:u1": b"x"}] * 9
    await rules.give_back(None, {"mute:u2": b"y"})
    assert (await rules.fetch(None, ["mute:u2"])).fields == {"mute:u2": b"y"}
    assert (await store.open_room("r3", rules=True)).rules[b"mute:u1"] == b"x"
    await store.close()
