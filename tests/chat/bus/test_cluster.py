"""A real Cluster of three masters: everybody is found, also when a slot moves or a master dies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import takewhile
from typing import Any

import pytest
from msgspec import structs

from chat.bus.cluster import ClusterServers
from chat.bus.connect import LimitedError, StoreError
from chat.bus.crowds import Crowds
from chat.bus.outgoing import RoomLimits
from chat.bus.redaction import Redaction
from chat.bus.store import MIN_ID, Receipt, Store
from tests.chat.bus.desk import NOTICES, running
from tests.chat.bus.desk import Desk as Reading
from tests.chat.desk import texts
from tests.chat.rig import BOUND_S, a_store, outgoing, publish, until
from tests.servers import Cluster, TestServer

PARTITIONS = 16
ROOMS = [f"r{i}" for i in range(60)]


@pytest.fixture
async def store(cluster: Cluster, prefix: str) -> AsyncIterator[Store]:
    store = a_store(cluster.url, prefix, PARTITIONS)
    yield store
    await store.close()


def owner(cluster: Cluster, store: Store, room: str) -> TestServer:
    return cluster.master_of(store.keys.room(room))


class TestAsking:
    async def test_rooms_of_all_masters_are_published_in_and_read(self, store: Store) -> None:
        for text in "ab":
            got = await store.publish([outgoing(room, text) for room in ROOMS], "e1", 1, BOUND_S)
            assert [type(one) for one in got] == [Receipt] * len(ROOMS), got
        peeks = await store.peek_rooms([(room, 2) for room in ROOMS])
        assert [peek and (peek.epoch, peek.seq) for peek in peeks] == [("e1", 2)] * len(ROOMS)
        for room in ROOMS[::10]:
            assert texts(await store.history(room, "e1", 0, 9)) == ["a", "b"]
            assert (await store.open_room(room, newest=1)).seq == 2
            assert (await Redaction(store, lambda: 5.0).remove(room, 1)).seq == 3
            assert [one.seq for one in (await store.page_before(room, 4, 9)).places] == [1, 2, 3]
        assert isinstance(store.servers, ClusterServers)
        served = {store.servers.of(store.keys.room(room)) for room in ROOMS}
        assert len(served) == 3

    async def test_limits_of_rooms_hold_wherever_they_are(self, store: Store) -> None:
        limits = RoomLimits(60, 60, 5)
        batch = [structs.replace(outgoing(room, "a"), limits=limits) for room in ROOMS * 2]
        got = await store.publish(batch, "e1", 1, BOUND_S)
        assert [type(one) for one in got[: len(ROOMS)]] == [Receipt] * len(ROOMS)
        assert [type(one) for one in got[len(ROOMS) :]] == [LimitedError] * len(ROOMS)

    async def test_all_else_too(self, store: Store) -> None:
        await store.ping()
        crowds = Crowds(store, 20)
        for i, room in enumerate(ROOMS):
            counts, uids = [(room, i + 1)], {room: [f"u{j}" for j in range(i + 1)]}
            p = store.keys.partition(room)
            assert await crowds.report(p, "s1", counts, uids) == [i + 1]
        found = [(one.room, one.online, one.peak, one.unique) for one in await crowds.top(2)]
        assert found == [(ROOMS[-1], 60, 60, 60), (ROOMS[-2], 59, 59, 59)]
        assert (await crowds.of(ROOMS[3])).online == 4
        assert await store.peek_room("nowhere") is None
        added = await store.notify(b"x")
        assert await store.last_ids([store.keys.broadcast]) == [added.encode()]

    async def test_a_master_that_does_not_know_a_script_is_told(
        self, store: Store, cluster: Cluster
    ) -> None:
        await publish(store, "r", "a")
        owner(cluster, store, "r").ask("SCRIPT", "FLUSH")
        got = await store.publish([outgoing(room, "b") for room in ["r", *ROOMS]], "e", 1, BOUND_S)
        assert [type(one) for one in got] == [Receipt] * 61

    async def test_a_table_that_is_all_wrong_is_mended(self, store: Store) -> None:
        await store.ping()
        servers = store.servers
        assert isinstance(servers, ClusterServers)
        wrong = servers.of(store.keys.room("r"))
        servers._slots = [wrong] * 16384
        got = await store.publish([outgoing(room, "a") for room in ROOMS], "e1", 1, BOUND_S)
        assert [type(one) for one in got] == [Receipt] * len(ROOMS)
        await until(lambda: len(set(servers._slots)) == 3, "the table")

    async def test_one_node_is_enough_to_know(self, cluster: Cluster, prefix: str) -> None:
        store = a_store(f"redis+cluster://127.0.0.1:{cluster.servers[4].port}", prefix, PARTITIONS)
        await publish(store, "r", "a")
        await store.close()

    async def test_nobody_there_is_a_store_error(self) -> None:
        store = a_store("redis+cluster://127.0.0.1:1,127.0.0.1:2", "x")
        for asked in (store.ping(), store.peek_rooms([("r", 1)]), store.notify(b"x")):
            with pytest.raises(StoreError, match="no node"):
                await asked
        [outcome] = await store.publish([outgoing("r", "a")], "e1", 1, BOUND_S)
        assert isinstance(outcome, StoreError)
        await store.close()


class TestMovingSlots:
    """By hand, as redis-cli does it: from one node's slot, importing at another."""

    @pytest.fixture
    def move(self, store: Store, cluster: Cluster) -> "Iterator[Move]":
        move = Move(store, cluster)
        yield move
        move.end()

    async def test_who_is_sent_elsewhere_for_once_asks_there(
        self, store: Store, move: "Move"
    ) -> None:
        await publish(store, "r", "a")
        move.begin()
        move.migrate_all()
        assert [one.seq for one in await publish(store, "r", "b", "c")] == [2, 3]
        assert store.servers.of(store.keys.room("r")) is move.known(move.source)
        move.end()
        assert [one.seq for one in await publish(store, "r", "d")] == [4]
        assert store.servers.of(store.keys.room("r")) is move.known(move.target)
        state = await store.open_room("r", newest=9)
        assert texts(state.places) == ["a", "b", "c", "d"]

    async def test_keys_that_are_half_here_half_there_are_asked_for_later(
        self, store: Store, move: "Move"
    ) -> None:
        await publish(store, "r", "a")
        move.begin()
        move.migrate(store.keys.history("r"))
        [outcome] = await store.publish([outgoing("r", "b")], "e1", 1, BOUND_S)
        assert isinstance(outcome, StoreError)
        assert "TryAgain" in str(outcome)
        move.end()
        assert [one.seq for one in await publish(store, "r", "b")] == [2]

    async def test_a_slot_that_is_nobodys_is_a_store_error_until_it_is_somebodys(
        self, store: Store, move: "Move"
    ) -> None:
        await publish(store, "r", "a")
        move.source.ask("CLUSTER", "DELSLOTS", move.slot)
        [outcome] = await store.publish([outgoing("r", "b")], "e1", 1, BOUND_S)
        assert isinstance(outcome, StoreError)
        move.source.ask("CLUSTER", "ADDSLOTS", move.slot)
        again: list[Any] = []
        async with asyncio.timeout(BOUND_S):
            while not (again and isinstance(again[0], Receipt)):
                again = await store.publish([outgoing("r", "b")], "e1", 1, BOUND_S)
        assert again[0].seq == 2


class Move:
    """The slot of room `r`, from its master to another."""

    def __init__(self, store: Store, cluster: Cluster) -> None:
        self._store = store
        self._begun = False
        self.source = owner(cluster, store, "r")
        self.slot = self.source.ask("CLUSTER", "KEYSLOT", store.keys.room("r"))
        partitions = range(PARTITIONS)
        masters = [cluster.master_of(store.keys.health(one)) for one in partitions]
        self.target = next(one for one in masters if one is not self.source)
        self._source_id = self.source.ask("CLUSTER", "MYID")
        self._target_id = self.target.ask("CLUSTER", "MYID")

    def begin(self) -> None:
        self._begun = True
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self._source_id)
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self._target_id)

    def migrate(self, *keys: str) -> None:
        there = ("127.0.0.1", self.target.port, "", 0, 5_000, "KEYS")
        self.source.ask("MIGRATE", *there, *keys)

    def migrate_all(self) -> None:
        while keys := self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, 100):
            self.migrate(*keys)

    def known(self, server: TestServer) -> Any:
        """As the store knows it."""
        return self._store.servers.at("127.0.0.1", server.port)

    def end(self) -> None:
        if not self._begun:
            return
        self._begun = False
        self.migrate_all()
        for server in (self.target, self.source):
            server.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self._target_id)


def put(cluster: Cluster, reading: Reading, name: str, text: str) -> None:
    key = reading.key(name)
    cluster.master_of(key).ask("XADD", key, "*", "m", f"{name}/{text}")


class TestReading:
    @pytest.fixture
    async def reading(self, cluster: Cluster, prefix: str) -> AsyncIterator[Reading]:
        async for reading in running(Reading(cluster.url, prefix)):
            yield reading

    async def test_each_stream_is_read_where_it_is(
        self, reading: Reading, cluster: Cluster
    ) -> None:
        names = [f"s{i}" for i in range(12)]
        for name in names:
            reading.subscribe(name)
            cluster.master_of(reading.key(name)).ask(
                "XADD", reading.key(name), "*", "m", f"{name}/a"
            )
        await reading.store.notify(b"notices/hi")
        for name in names:
            await reading.heard(name, "a")
        await reading.heard(NOTICES, "hi")
        assert reading.reader.streams == 12
        assert reading.reader.connected

    async def test_one_that_nobody_needs_is_not_read_any_more(self, reading: Reading) -> None:
        before = asyncio.all_tasks()
        reading.subscribe("s")
        reading.subscribe("s")
        reading.unsubscribe("s")
        assert len(asyncio.all_tasks() - before) == 1
        reading.unsubscribe("s")
        await until(
            lambda: not [t for t in asyncio.all_tasks() - before if not t.done()], "its end"
        )
        assert reading.reader.streams == 0

    async def test_a_masters_successor_is_read(
        self, reading: Reading, cluster: Cluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        """That a server is away is said once, not by each of its feeds at each try."""
        caplog.set_level("INFO", "chat.bus.reader")
        names = [f"s{i}" for i in range(6)]
        for name in names:
            reading.subscribe(name)
            cluster.master_of(reading.key(name)).ask(
                "XADD", reading.key(name), "*", "m", f"{name}/a"
            )
        for name in names:
            await reading.heard(name, "a")
        gone = cluster.master_of(reading.key("s0"))
        gone.ask("WAIT", 1, 5_000)
        gone.kill()
        for name in names:
            cluster.master_of(reading.key(name)).ask(
                "XADD", reading.key(name), "*", "m", f"{name}/b"
            )
        for name in names:
            await reading.heard(name, "a", "b")
        said = [one.getMessage() for one in caplog.records if one.name == "chat.bus.reader"]
        assert said, "nothing was said of the outage"
        away = [one.split()[2] for one in takewhile(lambda one: "read again" not in one, said)]
        assert len(away) == len(set(away))


class TestAMastersDeath:
    async def test_publishing_goes_on_with_its_successor(
        self, store: Store, cluster: Cluster
    ) -> None:
        await publish(store, "r", "a")
        gone = owner(cluster, store, "r")
        gone.ask("WAIT", 1, 5_000)
        gone.kill()
        outcomes: list[Any] = [None]
        async with asyncio.timeout(BOUND_S):
            while not isinstance(outcomes[0], Receipt):
                outcomes = await store.publish([outgoing("r", "b")], "e2", 1, BOUND_S)
        assert (outcomes[0].epoch, outcomes[0].seq) == ("e00001", 2)
        assert texts(await store.history("r", "e00001", 0, 9)) == ["a", "b"]

    async def test_others_are_not_held_up_by_one_that_hangs(
        self, store: Store, cluster: Cluster
    ) -> None:
        from tests.chat.bus.test_publisher import Desk

        await store.ping()
        desk = Desk(store)
        frozen = owner(cluster, store, "r")
        well = next(room for room in ROOMS if owner(cluster, store, room) is not frozen)
        frozen.freeze()
        desk.say("waits", "r")
        for i in range(5):
            desk.say(i, well)
            await until(lambda i=i: len(desk.outcomes) > i)  # type: ignore[misc]
        assert [tag for tag, _ in desk.outcomes] == list(range(5))
        assert all(isinstance(outcome, Receipt) for _, outcome in desk.outcomes)
        frozen.thaw()
        await until(lambda: len(desk.outcomes) == 6)
        await desk.publisher.close()


async def test_a_follower_begins_where_it_is_told(cluster: Cluster, prefix: str) -> None:
    async for reading in running(Reading(cluster.url, prefix)):
        await reading.store.notify(b"notices/old")
        await reading.heard(NOTICES, "old")
        reading.subscribe("s", MIN_ID)
        assert not reading.texts("s")
