"""The master that Sentinels name.

Rules. Most of the Sentinels are believed, not the first: one of them may not have heard of a
failover. What they name has to say itself that it is a master. They are asked whenever the one
there was does not answer or is no master, and every WATCH_S.

Danger: a master that was replaced goes on taking messages, which its successor never sees, until
the Sentinels reach it; after a failover by hand that is ten seconds. So nobody waits for it to say
what it is. One that is cut off together with us is bounded by its min-replicas-to-write only.
"""

import asyncio
import logging
from typing import Any, Final

from redis.exceptions import ResponseError

from chat.bus.connect import FAILURES, StoreError, connect, store_error
from chat.bus.majority import majority
from chat.bus.servers import Server, Servers
from chat.config.busurl import BusUrl
from chat.tasks import Tasks, begin

log = logging.getLogger(__name__)

WATCH_S: Final = 1.0

Address = tuple[str, int]


class SentinelServers(Servers):
    """One server at a time: the master called `url.master`."""

    most_block_s = WATCH_S

    def __init__(self, url: BusUrl, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._url = url
        self._only: Server | None = None
        self._known: dict[Address, Server] = {}
        self._sentinels: list[Any] = [
            connect(url.sentinel_at(*host), timeout_s, timeout_s) for host in url.hosts
        ]
        self._finding: asyncio.Task[Server] | None = None
        self._watching = False
        self._tasks = Tasks("sentinels")

    async def find(self, key: str) -> Server:
        if self._only is not None:
            return self._only
        if self._finding is None:  # whoever else asks meanwhile gets the same answer
            self._finding = begin(self._find())
            self._finding.add_done_callback(self._found)
        return await asyncio.shield(self._finding)

    async def _find(self) -> Server:
        address = await self._master()
        if address is None:
            raise StoreError("no Sentinel answers, or none knows the master")
        server = self._known.get(address)
        if server is None:
            name = f"{address[0]}:{address[1]}"
            server = self._known[address] = Server(self._url.at(*address), name, self.timeout_s)
        [role] = await server.ask([lambda pipe, on: pipe.execute_command("ROLE")])
        if isinstance(role, Exception):
            if not isinstance(role, ResponseError):
                raise store_error(role)
        elif role[0] != b"master":
            raise StoreError(f"{server.name} is no master yet")
        self._only = server
        if not self._watching:
            self._watching = True
            self._tasks.spawn(self._watch())
        return server

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            address, server = await self._master(), self._only
            if address and server is not None and self._known.get(address) is not server:
                log.warning("%s:%d is the master now", *address)
                self._only = None
                await server.leave()

    def _found(self, task: "asyncio.Task[Server]") -> None:
        self._finding = None
        if not task.cancelled():
            task.exception()  # whoever asked has it

    async def _master(self) -> Address | None:
        return await majority([self._ask(sentinel) for sentinel in self._sentinels])

    async def _ask(self, sentinel: Any) -> Address | None:
        try:
            found = await sentinel.execute_command(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.master
            )
        except FAILURES:
            return None
        return (found[0].decode(), int(found[1])) if found else None

    async def wrong(self, server: Server, error: BaseException) -> None:
        if server is self._only:
            self._only = None
        await server.leave()

    async def confirm(self, key: str, server: Server) -> None:
        if server is not await self.find(key):
            raise StoreError(f"{server.name} is not the master any more")

    async def close(self) -> None:
        await self._tasks.stop()
        if self._finding is not None:
            self._finding.cancel()
        clients = [server.client for server in self._known.values()]
        await asyncio.gather(*(client.aclose() for client in (*self._sentinels, *clients)))
