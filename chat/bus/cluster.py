"""The masters of a Cluster, each with its slots.

Rules. A key's slot says its master, by a table that most of the nodes agree on. MOVED mends one
slot of it at once; that and everything else that goes wrong has the table asked for again, in the
background, at most every REFRESH_S: whoever asks meanwhile fails fast or is sent on. ASK holds for
one question only and changes nothing.

Danger: redis-py has a client for Clusters, which asks again by itself when a connection is lost,
also for what may have been done. So there is none of it here but how a slot is computed.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError

from chat.bus.connect import StoreError
from chat.bus.majority import majority
from chat.bus.servers import Server, Servers
from chat.config.busurl import BusUrl
from chat.tasks import Tasks, begin

REFRESH_S: Final = 0.25
CONFIRM_S: Final = 2.0
"""A table as old as that is asked for again though nothing seems wrong."""
LANES_EACH: Final = 8
"""Commands under way at once on each master: what descriptors are kept for is LANES of them."""
ASKED: Final = 7
"""Nodes asked for the table at once."""

Address = tuple[str, int]
Table = frozenset[tuple[int, int, str, int]]
"""First slot, last slot, and whose they are."""


class ClusterServers(Servers):
    """All masters of the Cluster that `url` names some nodes of."""

    apart = True

    def __init__(self, url: BusUrl, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._url = url
        self._servers: dict[Address, Server] = {}
        self._slots: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_at = 0.0
        self._tasks = Tasks("cluster")

    def of(self, key: str) -> Server | None:
        return self._slots[key_slot(key.encode())]

    async def find(self, key: str) -> Server:
        server = self.of(key)
        if server is None:
            await asyncio.shield(self._refresh())
            server = self.of(key)
        if server is None:
            raise StoreError("no node of the Cluster answers, or the slot is nobody's")
        return server

    def feed(self, stream: str) -> str:
        return stream

    async def wrong(self, server: Server, error: BaseException) -> None:
        if not isinstance(error, AskError):  # nor MOVED: both come from one that is well
            await server.leave()
        if not isinstance(error, AskError) or isinstance(error, MovedError):
            self._refresh()

    async def confirm(self, key: str, server: Server) -> None:
        # Not waited for: whoever is read has to be looked at again anyway.
        if asyncio.get_running_loop().time() - self._refresh_at > CONFIRM_S:
            self._refresh()
        if self.of(key) is not server:
            raise StoreError(f"{server.name} does not serve this any more")

    def moved(self, error: MovedError) -> None:
        self._slots[error.slot_id] = self.at(error.host, error.port)

    def at(self, host: str, port: int) -> Server:
        server = self._servers.get((host, port))
        if server is None:
            url = self._url.at(host, port)
            server = Server(url, f"{host}:{port}", self.timeout_s, LANES_EACH)
            self._servers[host, port] = server
        return server

    async def close(self) -> None:
        await self._tasks.stop()
        if self._refreshing is not None:
            self._refreshing.cancel()
        await asyncio.gather(*(server.client.aclose() for server in self._servers.values()))

    # --- the table -----------------------------------------------------------------------------

    def _refresh(self) -> "asyncio.Task[None]":
        """Ask for the table, once for all who want it at a time."""
        if self._refreshing is None:
            self._refreshing = begin(self._load())
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    def _refreshed(self, task: "asyncio.Task[None]") -> None:
        self._refreshing = None

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._refresh_at + REFRESH_S - loop.time())
        asked = {self.at(*host) for host in self._url.hosts} | set(filter(None, self._slots))
        some = random.sample(sorted(asked, key=id), min(ASKED, len(asked)))
        table = await majority([self._ask(server) for server in some])
        self._refresh_at = loop.time()
        if table:
            await self._take(table)

    async def _ask(self, server: Server) -> Table | None:
        [found] = await server.ask([lambda pipe, on: pipe.execute_command("CLUSTER", "SLOTS")])
        if isinstance(found, Exception) or not found:
            return None
        asked_host = server.name.rpartition(":")[0]
        return frozenset(_ranges(found, asked_host))

    async def _take(self, table: Table) -> None:
        slots: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, host, port in table:
            slots[first : last + 1] = [self.at(host, port)] * (last + 1 - first)
        self._slots = slots
        kept = set(filter(None, slots)) | {self.at(*host) for host in self._url.hosts}
        gone = [address for address, server in self._servers.items() if server not in kept]
        for server in [self._servers.pop(address) for address in gone]:
            await server.leave()


def _ranges(found: Sequence[Any], asked: str) -> Iterable[tuple[int, int, str, int]]:
    """Whose the slots are; a node that does not know its own host has the one it was asked by."""
    for first, last, (host, port, *_), *_ in found:
        yield first, last, (host or b"").decode() or asked, port
