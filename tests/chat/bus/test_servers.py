"""Asking servers that are not the one any more, with real ones that have become replicas."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis.asyncio as redis
from redis.exceptions import MovedError, ReadOnlyError

from chat.bus import tail as tail_module
from chat.bus.connect import RefusedError, StoreError
from chat.bus.servers import Servers
from chat.bus.store import MIN_ID, Receipt, Store
from chat.bus.topology import open_servers
from chat.ops.engine import EmbeddedEngine, find_binary
from tests.chat.bus.desk import Desk as Reading
from tests.chat.rig import BOUND_S, a_store, outgoing, until
from tests.relay import Relay

ROOM = "r"


@pytest.fixture
def second_valkey() -> Iterator[EmbeddedEngine]:
    if find_binary() is None:
        pytest.skip("no Valkey or Redis server here")
    with EmbeddedEngine() as engine:
        yield engine


def url_of(relay: Relay) -> str:
    return f"redis://127.0.0.1:{relay.port}"


class Desk:
    """A store behind an address, the server there now, and the one there next."""

    def __init__(self, relay: Relay, first: EmbeddedEngine, second: EmbeddedEngine) -> None:
        self.relay = relay
        self.store: Store = a_store(url_of(relay), "x", partitions=1)
        self.first: Any = redis.from_url(first.url, protocol=2)
        self.second: Any = redis.from_url(second.url, protocol=2)
        self._next = second.socket_path

    async def demote(self, **settings: str) -> None:
        """The server here is a replica now, of nobody who answers. No connection is closed."""
        for name, value in settings.items():
            await self.first.config_set(name.replace("_", "-"), value)
        await self.first.replicaof("127.0.0.1", 1)

    async def replace(self) -> None:
        """The same, and who connects anew gets another server."""
        self.relay.to = self._next
        await self.demote()

    async def publish(self, text: str) -> Receipt | StoreError | None:
        [outcome] = await self.store.publish([outgoing(ROOM, text)], "e1", 1, BOUND_S)
        return outcome

    async def close(self) -> None:
        await self.store.close()
        await self.first.aclose()
        await self.second.aclose()


@pytest.fixture
async def desk(own_valkey: EmbeddedEngine, second_valkey: EmbeddedEngine) -> AsyncIterator[Desk]:
    async with Relay(own_valkey.socket_path) as relay:
        desk = Desk(relay, own_valkey, second_valkey)
        yield desk
        await desk.close()


class TestAReplica:
    async def test_behind_the_same_address_the_next_server_is_asked(self, desk: Desk) -> None:
        assert isinstance(await desk.publish("a"), Receipt)
        await desk.replace()
        assert await desk.publish("b") == Receipt("e1", 1, 1, False)
        assert await desk.second.xlen(desk.store.keys.fanout(0)) == 1

    async def test_no_connection_of_before_is_used_again(self, desk: Desk) -> None:
        await asyncio.gather(*(desk.store.peek_room("r") for _ in range(10)))
        before = desk.relay.accepted
        assert before >= 10
        await desk.replace()
        assert isinstance(await desk.publish("a"), Receipt)
        await asyncio.gather(*(desk.store.peek_room("r") for _ in range(10)))
        assert desk.relay.accepted >= before + 10

    async def test_what_is_under_way_on_the_old_ones_is_answered(self, desk: Desk) -> None:
        server = await desk.store.servers.find("")
        slow = [
            asyncio.create_task(
                desk.store.servers.ask("", lambda pipe, on: pipe.blpop(["nothing"], 60))
            )
            for _ in range(3)
        ]
        blocked = 0
        async with asyncio.timeout(BOUND_S):
            while blocked < 3:
                blocked = (await desk.first.info("clients"))["blocked_clients"]
        await server.leave()
        await desk.first.rpush("nothing", "a", "b", "c")
        assert {answer[1] for answer in await asyncio.gather(*slow)} == {b"a", b"b", b"c"}
        before = desk.relay.accepted
        await desk.store.peek_room("r")
        assert desk.relay.accepted == before + 1

    async def test_that_stays_one_refuses_and_says_why(self, desk: Desk) -> None:
        asked: list[tuple[float, bool]] = []
        desk.store.servers.on_round_trip = lambda seconds, failed: asked.append((seconds, failed))
        await desk.publish("a")
        assert {failed for _, failed in asked} == {False}
        done = len(asked)
        await desk.demote()
        error = await desk.publish("b")
        assert {failed for _, failed in asked[done:]} == {True}
        assert all(seconds > 0 for seconds, _ in asked)
        assert isinstance(error, StoreError)
        assert "READONLY" in str(error) or "read only" in str(error)
        await desk.first.replicaof("NO", "ONE")
        assert await desk.publish("c") == Receipt("e1", 2, 1, False)

    async def test_that_may_not_even_read_is_no_different(self, desk: Desk) -> None:
        await desk.publish("a")
        await desk.demote(replica_serve_stale_data="no")
        for asked in (desk.store.peek_room("r"), desk.store.open_room(ROOM)):
            with pytest.raises(StoreError, match="MasterDown"):
                await asked
        desk.relay.to = desk._next
        assert await desk.store.peek_room("r") is None
        assert await desk.publish("b") == Receipt("e1", 1, 1, False)


class TestHealth:
    async def test_is_that_publishing_is_possible(self, desk: Desk) -> None:
        await desk.store.ping()
        await desk.first.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match="maxmemory"):
            await desk.store.ping()
        assert isinstance(await desk.publish("a"), RefusedError)
        await desk.first.config_set("maxmemory", 0)
        await desk.store.ping()

    async def test_is_not_that_a_replica_answers(self, desk: Desk) -> None:
        await desk.demote()
        with pytest.raises(StoreError, match="ReadOnly"):
            await desk.store.ping()
        desk.relay.to = desk._next
        await desk.store.ping()

    async def test_leaves_next_to_nothing(self, desk: Desk) -> None:
        await desk.store.ping()
        assert await desk.first.keys("*") == [desk.store.keys.health(0).encode()]
        assert 0 < await desk.first.ttl(desk.store.keys.health(0)) <= 60


class TestReading:
    async def test_a_blocked_read_ends_when_its_server_becomes_a_replica(self, desk: Desk) -> None:
        tail = desk.store.tail("s", 300.0)
        reading = asyncio.create_task(tail.read({"s": MIN_ID}, 1))
        blocked = 0
        async with asyncio.timeout(BOUND_S):
            while not blocked:
                blocked = (await desk.first.info("clients"))["blocked_clients"]
        await desk.replace()
        with pytest.raises(StoreError, match="UNBLOCKED"):
            await reading
        added = await desk.second.xadd("s", {"m": "a"})
        assert await tail.read({"s": MIN_ID}, 1) == [("s", [[added, [b"m", b"a"]]])]
        await tail.close()

    async def test_one_that_became_a_replica_between_two_reads_is_found(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tail_module, "CHECK_S", -1.0)
        tail = desk.store.tail("s", 0.001)
        assert await tail.read({"s": MIN_ID}, 1) == []
        await desk.replace()
        with pytest.raises(StoreError, match="replica"):
            await tail.read({"s": MIN_ID}, 1)
        assert await tail.read({"s": MIN_ID}, 1) == []
        await tail.close()

    async def test_who_may_not_ask_what_a_server_is_reads_all_the_same(self, desk: Desk) -> None:
        await desk.first.execute_command("ACL", "SETUSER", "default", "-role")
        tail = desk.store.tail("s", 0.001)
        assert await tail.read({"s": MIN_ID}, 1) == []
        await tail.close()


class Scripted(Servers):
    """Says what it is told to say, in turn, and then the truth; `asked` is how often."""

    def __init__(self, url: str, *says: BaseException) -> None:
        super().__init__(url, BOUND_S)
        self.says = list(says)
        self.asked = 0
        server = self._only
        assert server is not None
        ask = server.ask

        async def scripted(commands: Any, **how: Any) -> list[Any]:
            self.asked += 1
            if self.says:
                return [self.says.pop(0)] * len(commands)
            return await ask(commands, **how)

        server.ask = scripted  # type: ignore[method-assign]


class TestAskingAgain:
    async def test_what_was_not_done_is_asked_again_a_few_times(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        servers = Scripted(valkey.url, ReadOnlyError("a"), ReadOnlyError("b"))
        assert await servers.ask(prefix, lambda pipe, on: pipe.incr(prefix)) == 1
        assert servers.asked == 3
        servers.says = [ReadOnlyError("c")] * 99
        with pytest.raises(StoreError, match="ReadOnly"):
            await servers.ask(prefix, lambda pipe, on: pipe.incr(prefix))
        servers.says = []
        assert await servers.ask(prefix, lambda pipe, on: pipe.incr(prefix)) == 2
        await servers.close()

    @pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), EOFError])
    async def test_what_may_have_been_done_is_not(
        self, valkey: EmbeddedEngine, prefix: str, error: Any
    ) -> None:
        if error is EOFError:
            error = redis.ConnectionError("closed")
        servers = Scripted(valkey.url, error)
        with pytest.raises(StoreError):
            await servers.ask(prefix, lambda pipe, on: pipe.incr(prefix))
        assert servers.asked == 1
        await servers.close()

    async def test_only_they_are_and_the_others_keep_their_answers(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        servers = open_servers(valkey.url, BOUND_S)
        server = await servers.find("")
        ask, parts = server.ask, []

        async def partly(commands: Any, **how: Any) -> list[Any]:
            parts.append(len(commands))
            if len(parts) == 1:
                return ["first", ReadOnlyError("x"), "third"]
            return await ask(commands, **how)

        server.ask = partly  # type: ignore[method-assign]
        requests = [(prefix, lambda pipe, on: pipe.incr(prefix))] * 3
        assert await servers.ask_each(requests) == ["first", 1, "third"]
        assert parts == [3, 1]
        await servers.close()

    async def test_a_cluster_behind_a_single_servers_url_is_an_error_that_says_so(
        self, valkey: EmbeddedEngine
    ) -> None:
        servers = Scripted(valkey.url, *[MovedError("1 127.0.0.1:7000")] * 9)
        with pytest.raises(StoreError, match="redis\\+cluster"):
            await servers.ask("k", lambda pipe, on: pipe.get("k"))
        await servers.close()


async def test_a_feed_follows_its_address_to_another_server(desk: Desk) -> None:
    """One that took over what was published, as a replica that was promoted has."""
    reading = Reading(url_of(desk.relay), "x")
    await reading.start()
    reading.subscribe("s")
    await desk.first.xadd("x:s", {"m": "s/a"}, id="5-0")
    await reading.heard("s", "a")
    await desk.second.xadd("x:s", {"m": "s/a"}, id="5-0")
    await desk.replace()
    await until(lambda: reading.resyncs, "the comparison")
    await desk.second.xadd("x:s", {"m": "s/b"}, id="5-1")
    await reading.heard("s", "a", "b")
    await reading.reader.stop()
    await reading.store.close()
    await reading.raw.aclose()
