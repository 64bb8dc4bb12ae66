"""The server below the nodes, and what can be done to it from outside.

Rules. A Bus is started, has a `url` for nodes, and a `master` that faults are done to; what a kind
of bus cannot suffer it does not offer (`powers`). Every process is ours, listens on 127.0.0.1 and
ends with us. To add a kind of bus is to add a class to BUSES in `run`.

    embedded   the one a node starts for itself: a single node, in memory only
    single     a Valkey of ours that two nodes share, behind a proxy of ours or not
    cluster, sentinel   several servers that two nodes share, in `many`
"""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chat.ops.engine import EmbeddedEngine
from chat.ops.rundir import SOCKET
from tests.relay import Relay

ASK_S: Final = 3.0
MENDED_S: Final = 20.0
ENGINE_TRIES = 200
"""How often a node that is starting its engine again is looked at, every 50 ms."""


class Valkey(EmbeddedEngine):
    """A server of our own on TCP, that may be set up and slowed down by commands."""

    def settings(self) -> dict[str, str]:
        return super().settings() | {
            "enable-debug-command": "yes",
            "repl-diskless-sync-delay": "0",
            "repl-timeout": "60",
            "repl-ping-replica-period": "1",
        }

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal, if there is one."""
        if self.pid is not None and self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def do(self, *command: str | int) -> Any:
        """One command. Raises RedisError."""
        return await asked(str(self.socket_path), *command)


async def asked(socket_path: str, *command: str | int) -> Any:
    """The answer of the server at a Unix socket to one command. Raises RedisError."""
    client = Redis(unix_socket_path=socket_path, socket_timeout=ASK_S, protocol=2)
    try:
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


class Bus(Protocol):
    """What a scene asks of what lies below its nodes.

    url     what nodes are told as bus.url
    nodes   how many there are at most; volatile: it ends with its node
    powers  names of faults' needs that it can meet
    """

    url: str
    nodes: int
    volatile: bool
    powers: frozenset[str]

    def start(self) -> None:
        """Start it; synchronous, from the main thread."""

    async def ready(self) -> None:
        """What needs a loop to be started."""

    def adopt(self, supervisor: int) -> None:
        """A node was started whose supervisor this is."""

    async def mend(self) -> None:
        """Undo whatever was done, so that it works again."""

    async def stop(self) -> None:
        """End it."""


class OneServer(Bus, Protocol):
    """A bus that is one server: what is done to that is done to the bus."""

    async def do(self, *command: str | int) -> Any:
        """A command to it. Raises RedisError."""

    def signal(self, number: signal.Signals) -> None:
        """A signal to its process."""

    def restart(self, empty: bool) -> None:
        """Kill it and start it again at once, with its data or without."""


class Single:
    """One Valkey, with its append-only file or without, and a replica when one is asked for."""

    nodes = 2
    volatile = False
    powers = frozenset({"signal", "commands", "debug", "restart", "durable", "proxy", "replica"})

    def __init__(self, durable: bool = False, proxied: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="danmaku-faults-"))
        self._durable = durable
        self._proxied = proxied
        self.master = self._server("first")
        self.replica: Valkey | None = None
        self.proxy = Relay()
        self.url = ""

    def _server(self, name: str) -> Valkey:
        return Valkey(str(self._folder / name) if self._durable else "", tcp_port=0)

    def start(self) -> None:
        self.master.start()
        self.url = f"redis://127.0.0.1:{self.master.tcp_port}/0"

    async def ready(self) -> None:
        if self._proxied:
            assert self.master.tcp_port is not None
            self.proxy.to = self.master.tcp_port
            await self.proxy.start()
            self.url = f"redis://127.0.0.1:{self.proxy.port}/0"

    def adopt(self, supervisor: int) -> None: ...

    async def do(self, *command: str | int) -> Any:
        return await self.master.do(*command)

    def signal(self, number: signal.Signals) -> None:
        self.master.signal(number)

    def restart(self, empty: bool) -> None:
        self.master.kill()
        data = self.master.data_dir
        if empty and data is not None:
            shutil.rmtree(data, ignore_errors=True)
        self.master.restart()

    async def follow(self) -> None:
        """A replica that has all the master has by now."""
        self.replica = self._server("second")
        self.replica.start()
        await self.replica.do("replicaof", "127.0.0.1", self.master.tcp_port or 0)

    async def in_step(self) -> bool:
        """Whether the replica is connected and has everything."""
        assert self.replica is not None
        mine = await self.replica.do("info", "replication")
        theirs = await self.master.do("info", "replication")
        behind: int = theirs["master_repl_offset"] - mine["slave_repl_offset"]
        return mine["master_link_status"] == "up" and behind <= 0

    async def promote(self) -> None:
        """The master is gone; its replica answers at its address, without what it was not sent."""
        assert self.replica is not None
        self.master.kill()
        self.master.stop()
        await self.replica.do("replicaof", "no", "one")
        self.master, self.replica = self.replica, None
        assert self.master.tcp_port is not None
        self.proxy.to = self.master.tcp_port
        self.proxy.cut()

    async def mend(self) -> None:
        self.master.signal(signal.SIGCONT)
        await undo(self)

    async def stop(self) -> None:
        await self.proxy.stop()
        for one in (self.master, self.replica):
            if one is not None:
                one.signal(signal.SIGCONT)
                one.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class Embedded:
    """The engine of the only node, found among its processes: it starts it again by itself."""

    url = "embedded"
    nodes = 1
    volatile = True
    powers = frozenset({"signal", "commands", "restart"})

    def __init__(self, durable: bool = False, proxied: bool = False) -> None:
        assert not durable
        assert not proxied
        self._supervisor = 0

    def start(self) -> None: ...

    async def ready(self) -> None: ...

    def adopt(self, supervisor: int) -> None:
        self._supervisor = supervisor

    def _engine(self) -> tuple[int, str]:
        """Its process, and its socket."""
        tasks = Path(f"/proc/{self._supervisor}/task/{self._supervisor}/children")
        for process in (Path("/proc") / pid for pid in tasks.read_text().split()):
            with suppress(FileNotFoundError):  # it has just ended
                if (process / "comm").read_text().startswith(("valkey", "redis")):
                    return int(process.name), str((process / "cwd").readlink() / SOCKET)
        raise ProcessLookupError("the node has no engine now")

    async def do(self, *command: str | int) -> Any:
        for _ in range(ENGINE_TRIES):
            with suppress(ProcessLookupError):
                return await asked(self._engine()[1], *command)
            await asyncio.sleep(0.05)
        return await asked(self._engine()[1], *command)

    def signal(self, number: signal.Signals) -> None:
        """To one that has ended, and will be started again, empty, there is none."""
        with suppress(ProcessLookupError):
            os.kill(self._engine()[0], number)

    def restart(self, empty: bool) -> None:
        assert empty, "it keeps nothing"
        self.signal(signal.SIGKILL)

    async def mend(self) -> None:
        with suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        await undo(self)

    async def stop(self) -> None: ...


async def undo(bus: OneServer) -> None:
    """Take back what commands may have done to a master, as soon as it answers."""
    deadline = time.monotonic() + MENDED_S
    for command in (
        ("replicaof", "no", "one"),
        ("config", "set", "maxmemory", "0"),
        ("config", "set", "min-replicas-to-write", "0"),
        ("client", "unpause"),
    ):
        while True:
            try:
                await bus.do(*command)
                break
            except (RedisError, OSError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
