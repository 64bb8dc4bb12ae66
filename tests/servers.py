"""Redis as it is run where one server is not enough: a Cluster, and Sentinels with their master.

Rules. Real servers of the embedded binary on 127.0.0.1 and free ports, data in temporary
directories, ended with whoever started them. They take two seconds to believe that another is dead,
which is what a test waits for. Synchronous, because a fixture of a session has no loop.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis
from redis.exceptions import RedisError

from bench.local import free_port
from chat.ops.engine import EmbeddedEngine, EngineError, find_binary
from tests.patience import PATIENCE_S

DEAD_MS = 2_000
"""Silence after which a server is taken for dead."""
MASTERS = 3
NAME = "mymaster"


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Returns when `condition` holds; what a server cannot answer yet does not."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if condition():
                return
        except (RedisError, OSError):
            pass
        if time.monotonic() > deadline:
            raise EngineError(f"{what} did not come")
        time.sleep(0.02)


class TestServer(EmbeddedEngine):
    """One server, with `more` settings; `client` speaks to it by its socket."""

    __test__ = False

    def __init__(self, binary: Path | None = None, **more: str) -> None:
        super().__init__(tcp_port=free_port(), binary=binary)
        self._more = {name.replace("_", "-"): value for name, value in more.items()}

    def settings(self) -> dict[str, str]:
        return super().settings() | self._more

    @property
    def port(self) -> int:
        assert self.tcp_port is not None
        return self.tcp_port

    def client(self) -> Any:
        return redis.Redis(
            unix_socket_path=str(self.socket_path),
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=2.0,
        )

    def ask(self, *command: Any) -> Any:
        """The answer to one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        """A section of its INFO."""
        with self.client() as client:
            found: dict[str, Any] = client.info(section)
            return found

    def kill(self) -> None:
        """It is gone at once; what was not yet replicated, with it."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """It answers nobody, though all its connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on as if no time had passed."""
        self._signal(signal.SIGCONT)

    def stop(self, timeout_s: float = 10.0) -> None:
        if self.pid is not None and self.poll() is None:
            self.thaw()
        super().stop(timeout_s)

    def revive(self) -> None:
        """It runs, whatever was done to it."""
        if self.poll() is None:
            self.thaw()
        else:
            self.restart()

    def _signal(self, number: int) -> None:
        assert self.pid is not None
        os.kill(self.pid, number)


class Cluster:
    """Three masters with a replica each; `settings` are every server's."""

    def __init__(self, binary: Path | None = None, **settings: str) -> None:
        usual = {
            "cluster_enabled": "yes",
            "cluster_node_timeout": str(DEAD_MS),
            "cluster_replica_validity_factor": "0",
            "repl_diskless_sync_delay": "0",
        }
        self.servers = [
            TestServer(binary, cluster_port=str(free_port()), **(usual | settings))
            for _ in range(2 * MASTERS)
        ]

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            self._introduce()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self.servers:
            server.stop()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:MASTERS])
        return f"redis+cluster://{hosts}"

    def _introduce(self) -> None:
        first, *others = self.servers
        share = 16384 // MASTERS
        for i, server in enumerate(self.servers[:MASTERS]):
            last = 16383 if i == MASTERS - 1 else (i + 1) * share - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", i * share, last)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        bus = dict(zip(self.servers, self._bus_ports(), strict=True))
        for server in others:
            first.ask("CLUSTER", "MEET", "127.0.0.1", server.port, bus[server])
        everybody = len(self.servers)
        wait_for(
            lambda: all(one.known() == everybody for one in map(_Node, self.servers)),
            "a Cluster that knows all its nodes",
        )
        for i, server in enumerate(self.servers[MASTERS:]):
            server.ask("CLUSTER", "REPLICATE", self.servers[i].ask("CLUSTER", "MYID"))
        self.settled()

    def _bus_ports(self) -> list[str]:
        return [server.settings()["cluster-port"] for server in self.servers]

    def settled(self) -> None:
        """Wait until all slots are served, every server knows it, and replicas follow."""
        wait_for(lambda: all(_Node(one).well() for one in self._alive()), "a Cluster that is well")

    def repair(self) -> None:
        """Every server runs, and all is settled again."""
        for server in self.servers:
            server.revive()
        self.settled()

    def fail_over(self, master: TestServer) -> None:
        """Have its replica take a master's place, both being well."""
        known = master.ask("CLUSTER", "MYID")
        for server in self.servers:
            nodes = server.ask("CLUSTER", "NODES")
            if f"myself,slave {known}" in nodes:
                server.ask("CLUSTER", "FAILOVER")
                return
        raise EngineError("it has no replica")

    def _alive(self) -> list[TestServer]:
        return [server for server in self.servers if server.poll() is None]

    def master_of(self, key: str) -> TestServer:
        """The server that has a key, when there is one."""
        found: list[TestServer] = []

        def look() -> bool:
            nodes = map(_Node, self._alive())
            found[:] = [node.server for node in nodes if node.is_master() and node.has(key)]
            return bool(found)

        wait_for(look, f"a master that has {key}")
        return found[0]


class _Node:
    """What one server of a Cluster thinks of it."""

    def __init__(self, server: TestServer) -> None:
        self.server = server

    def known(self) -> int:
        return int(self.server.ask("CLUSTER INFO")["cluster_known_nodes"])

    def is_master(self) -> bool:
        return bool(self.server.info("replication")["role"] == "master")

    def has(self, key: str) -> bool:
        try:
            self.server.ask("EXISTS", key)
        except RedisError:
            return False
        return True

    def well(self) -> bool:
        if self.server.ask("CLUSTER INFO")["cluster_state"] != "ok":
            return False
        found = self.server.info("replication")
        return bool(found["role"] == "master" or found.get("master_link_status") == "up")


class Sentinels:
    """A master with a replica, and three Sentinels who agree on which is which."""

    def __init__(self, binary: Path | None = None, **settings: str) -> None:
        usual = {"repl_diskless_sync_delay": "0"} | settings
        self.servers = [TestServer(binary, **usual) for _ in range(2)]
        self.sentinels: list[TestServer] = []
        self._scripts = tempfile.TemporaryDirectory(prefix="sentinels-")
        self._binary = binary

    def __enter__(self) -> Self:
        master, replica = self.servers
        try:
            for server in self.servers:
                server.start()
            replica.ask("REPLICAOF", "127.0.0.1", master.port)
            self._follows(replica)  # Sentinels look for replicas every ten seconds only
            for i in range(3):
                script = Path(self._scripts.name) / f"{i}.sh"
                self.sentinels.append(_Sentinel(script, self._binary, master.port))
                self.sentinels[-1].start()
            self.settled()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()
        self._scripts.cleanup()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}"

    def settled(self) -> None:
        """Wait until the Sentinels know each other and the replica, and the replica follows."""
        wait_for(lambda: all(map(self._knows_all, self.sentinels)), "Sentinels who know all")
        self._follows(self.other)

    def repair(self) -> None:
        """Every server runs, and all is settled again."""
        for server in (*self.servers, *self.sentinels):
            server.revive()
        if self.other.info("replication")["role"] == "master":  # of itself, in half a minute
            self.other.ask("REPLICAOF", "127.0.0.1", self.master.port)
        self.settled()

    def fail_over(self) -> None:
        """Have the Sentinels put the replica in the master's place, both being well."""
        before = self.master

        def replaced() -> bool:
            with suppress(RedisError):  # a replica may not seem fit yet, or it is under way
                self.sentinels[0].ask("SENTINEL", "FAILOVER", NAME)
            return self.master is not before

        wait_for(replaced, "the replica in the master's place")

    def _follows(self, replica: TestServer) -> None:
        wait_for(
            lambda: replica.info("replication").get("master_link_status") == "up",
            "a replica that follows",
        )

    def _knows_all(self, sentinel: TestServer) -> bool:
        found = sentinel.ask("SENTINEL MASTER", NAME)
        return (found["num-other-sentinels"], found["num-slaves"]) == (2, 1)

    @property
    def master(self) -> TestServer:
        """The one that most Sentinels name."""
        named = [sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1]
                 for sentinel in self.sentinels]  # fmt: skip
        port = int(max(set(named), key=named.count))
        return next(server for server in self.servers if server.port == port)

    @property
    def other(self) -> TestServer:
        """The server that is not the master."""
        return next(server for server in self.servers if server is not self.master)


class _Sentinel(TestServer):
    """A Sentinel. It writes down what it learns in its configuration, which has to be a file."""

    def __init__(self, script: Path, binary: Path | None, master_port: int) -> None:
        super().__init__(script)
        self._script, self._real = script, binary
        self._master_port = master_port

    def settings(self) -> dict[str, str]:
        return {}

    def start(self, *args: Any, **how: Any) -> None:
        real = self._real or find_binary()
        assert real is not None
        self._script.write_text(self._text(real))
        self._script.chmod(0o700)
        super().start(*args, **how)

    def _text(self, binary: Path) -> str:
        # Run in the server's directory, where a later life finds what an earlier one learnt.
        lines = [
            *(f"port {self.port}", "bind 127.0.0.1", "unixsocket engine.sock", "dir ."),
            f"sentinel monitor {NAME} 127.0.0.1 {self._master_port} 2",
            f"sentinel down-after-milliseconds {NAME} {DEAD_MS}",
            f"sentinel failover-timeout {NAME} 3000",
        ]
        config = "\\n".join(lines)
        return (
            f"#!/bin/sh\n[ -e s.conf ] || printf '{config}\\n' > s.conf\n"
            f"exec '{binary}' s.conf --sentinel\n"
        )
