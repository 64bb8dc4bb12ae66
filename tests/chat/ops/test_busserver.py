"""What the doctor finds at a URL: real servers, alone, with Sentinels, and a Cluster."""

import time
from collections.abc import Iterator

import pytest
from redis.exceptions import RedisError

from chat.ops.busserver import SLOTS, _ahead, look
from chat.ops.engine import find_binary
from tests.servers import Cluster, Sentinels, TestServer

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no Valkey or Redis server here")


class TestOne:
    @pytest.fixture
    def server(self) -> Iterator[TestServer]:
        with TestServer() as server:
            yield server

    def test_is_a_master_without_replicas(self, server: TestServer) -> None:
        found = look(server.url, 5.0)
        assert found.version >= (6, 2)
        assert found.latency_ms > 0
        assert (found.kind, found.role, found.clustered) == ("single", "master", False)
        assert (found.masters, found.replicas, found.slots) == (1, 0, SLOTS)

    @pytest.mark.parametrize(
        ("setting", "value", "persistence"),
        [
            ("save", "", ""),
            ("save", "60 1", "snapshots"),
            ("appendonly", "yes", "append-only file"),
        ],
    )
    def test_says_what_it_keeps(
        self, server: TestServer, setting: str, value: str, persistence: str
    ) -> None:
        server.ask("CONFIG", "SET", setting, value)
        assert look(server.url, 5.0).persistence == persistence

    def test_says_when_it_evicts(self, server: TestServer) -> None:
        server.ask("CONFIG", "SET", "maxmemory", 10**9)
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        found = look(server.url, 5.0)
        assert (found.maxmemory, found.policy) == (10**9, "allkeys-lru")

    def test_may_be_a_replica(self, server: TestServer) -> None:
        server.ask("REPLICAOF", "127.0.0.1", 1)
        assert look(server.url, 5.0).role == "replica"

    def test_may_not_let_us_ask_everything(self, server: TestServer) -> None:
        server.ask("ACL", "SETUSER", "default", "-config")
        assert look(server.url, 5.0).persistence == "unknown"


class TestSentinels:
    def test_name_a_master_with_a_replica(self) -> None:
        with Sentinels() as sentinels:
            found = look(sentinels.url, 5.0)
            assert (found.kind, found.role, found.replicas) == ("sentinel", "master", 1)
            assert found.sentinels == (3, 3)
            sentinels.sentinels[0].kill()
            assert look(sentinels.url, 5.0).sentinels == (2, 3)
            with pytest.raises(RedisError, match="no Sentinel"):
                look(sentinels.url.replace("mymaster", "other"), 5.0)


class TestCluster:
    def test_is_its_masters_as_one(self) -> None:
        with Cluster() as cluster:
            found = look(cluster.url, 5.0)
            assert (found.kind, found.clustered) == ("cluster", True)
            assert (found.masters, found.replicas, found.slots) == (3, 3, SLOTS)
            assert found.persistence == ""
            cluster.servers[1].ask("CONFIG", "SET", "maxmemory", 10**9)
            cluster.servers[2].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            found = look(cluster.url, 5.0)
            assert (found.maxmemory, found.policy) == (10**9, "allkeys-lru")
            alone = f"redis://127.0.0.1:{cluster.servers[0].port}"
            assert look(alone, 5.0).clustered
            cluster.servers[0].ask("CLUSTER", "DELSLOTS", 0, 1)
            assert look(cluster.url, 5.0).slots == SLOTS - 2


class Clock:
    """A client whose server's clock is before ours."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> tuple[int, int]:
        whole, part = divmod(time.time() + self._seconds, 1)
        return int(whole), int(part * 1e6)


class TestClocks:
    @pytest.mark.parametrize("seconds", [-3600.0, 0.0, 3600.0])
    def test_a_server_that_is_ahead_is_so_by_so_much(self, seconds: float) -> None:
        assert _ahead(Clock(seconds)) == pytest.approx(seconds, abs=60)

    def test_that_of_a_server_here_is_ours(self) -> None:
        with TestServer() as server:
            assert abs(look(server.url, 5.0).ahead_s) < 60
            server.ask("ACL", "SETUSER", "default", "-time")
            assert look(server.url, 5.0).ahead_s == 0
