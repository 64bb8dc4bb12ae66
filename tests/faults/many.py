"""A bus of several servers: a Cluster, or a master with Sentinels. One dies, another takes over.

Rules. What a fault does, it does to a master that it chooses by chance; who takes over is theirs to
find out. Replication is asynchronous: what a dead master had not passed on is lost, and what one
that was frozen took before it knew it was deposed.
"""

import asyncio
import random
import time
from contextlib import suppress
from typing import Final

from chat.ops.engine import EngineError
from tests.servers import Cluster, Sentinels, TestServer

REPLACED_S: Final = 30.0
PATIENCE: Final = 3
"""How often to wait for them to be settled, half a minute each: Sentinels take their time."""


class Many:
    """What Cluster and Sentinels have in common."""

    nodes = 2
    volatile = False
    powers = frozenset({"masters"})

    def __init__(self, servers: Cluster | Sentinels) -> None:
        self._all: Cluster | Sentinels = servers
        self._count = 0
        self.url = ""

    def start(self) -> None:
        self._all.__enter__()
        self.url = self._all.url
        self._count = len(self._masters())

    async def ready(self) -> None: ...

    def adopt(self, supervisor: int) -> None: ...

    async def a_master(self, chance: random.Random) -> TestServer:
        """One of the masters there are now."""
        masters: list[TestServer] = []
        while not masters:
            masters = await asyncio.to_thread(self._masters)
        return chance.choice(masters)

    def _masters(self) -> list[TestServer]:
        alive = [server for server in self._all.servers if server.poll() is None]
        return [one for one in alive if one.info("replication")["role"] == "master"]

    async def replaced(self) -> None:
        """Wait until there are as many masters as there should be. Before that, nobody who runs
        servers that keep nothing on a disk starts a dead one again: it would be empty."""
        deadline = time.monotonic() + REPLACED_S
        while len(await asyncio.to_thread(self._masters)) < self._count:
            assert time.monotonic() < deadline, "nobody took the dead master's place"
            await asyncio.sleep(0.1)

    async def mend(self) -> None:
        await self.replaced()
        for server in self._all.servers:
            server.revive()
        for _ in range(PATIENCE - 1):
            with suppress(EngineError):
                await asyncio.to_thread(self._all.settled)
                return
        await asyncio.to_thread(self._all.settled)

    async def stop(self) -> None:
        self._all.__exit__()


class ClusterBus(Many):
    def __init__(self, durable: bool = False, proxied: bool = False) -> None:
        assert not durable
        assert not proxied
        super().__init__(Cluster())


class SentinelBus(Many):
    def __init__(self, durable: bool = False, proxied: bool = False) -> None:
        assert not durable
        assert not proxied
        self._sentinels = Sentinels()
        super().__init__(self._sentinels)

    def _masters(self) -> list[TestServer]:
        """The one that Sentinels name: clients ask them, and not the server that was promoted."""
        named = self._sentinels.master
        return [named] if named.poll() is None else []
