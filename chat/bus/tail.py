"""Blocking reads of streams over one connection.

Rules. A connection of its own, because a blocking read holds it. It keeps no cursor and decides
nothing: the feed does. Whatever goes wrong ends the connection, and the next read looks anew for
who has the streams.

Danger: redis-py quietly makes a new connection when it finds the old one closed, as it will most
often between two paced reads. Where there was a break, streams may have been set back. And a server
that has become a replica, or was replaced while it could not be reached, can be read like before;
it only falls silent. So it is asked what it is, at first and then every CHECK_S.
"""

import asyncio
import math
from typing import Any, Final

import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from chat.bus.connect import FAILURES, StoreError, connect, store_error
from chat.bus.servers import Server, Servers

CHECK_S: Final = 5.0
NEVER: Final = -math.inf


class Tail:
    """Reads of one feed's streams, `stream` among them, that wait for `block_s` seconds at most."""

    def __init__(self, servers: Servers, stream: str, block_s: float) -> None:
        self._servers = servers
        self._stream = stream
        self._block_s = min(block_s, servers.most_block_s)
        self._server: Server | None = None
        self._client: redis.Redis | None = None
        self._unbroken = False
        self._checked = NEVER

    async def read(self, cursors: dict[str, bytes], count: int) -> list[tuple[str, list[Any]]]:
        """Up to `count` entries of each stream after its cursor; waits for the first one.

        Entries are [ID, [field, value, ...]]. Raises StoreError, also when the connection is not
        the one of the read before.
        """
        try:
            client = self._client or await self._open()
            now = asyncio.get_running_loop().time()
            if now - self._checked > CHECK_S:
                await self._check(client, now)
            reply = await client.execute_command(  # type: ignore[no-untyped-call]
                "XREAD",
                *("COUNT", count, "BLOCK", int(self._block_s * 1000)),
                *("STREAMS", *cursors, *cursors.values()),
            )
        except FAILURES as error:
            await self._leave(error)
            raise store_error(error) from error
        except StoreError:
            await self.close()
            raise
        return [(stream.decode(), entries) for stream, entries in reply or ()]

    async def _open(self) -> "redis.Redis":
        self._server = await self._servers.find(self._stream)
        timeout_s = self._servers.timeout_s
        self._client = connect(
            *(self._server.url, self._block_s + timeout_s, timeout_s),
            redis_connect_func=self._connected,
        )
        # The parsed form costs a dict an entry; the raw one is read faster.
        self._client.response_callbacks.pop("XREAD", None)
        self._unbroken = False
        return self._client

    async def _connected(self, connection: AbstractConnection) -> None:
        if self._unbroken:
            raise RedisError("the connection was lost between two reads")
        await connection.on_connect()
        self._unbroken = True

    async def _check(self, client: "redis.Redis", now: float) -> None:
        assert self._server is not None
        try:
            role = await client.execute_command("ROLE")  # type: ignore[no-untyped-call]
        except ResponseError:
            role = ["master"]  # not everybody may ask
        if role[0] not in (b"master", "master"):
            raise ReadOnlyError("it is a replica now")
        await self._servers.confirm(self._stream, self._server)
        self._checked = now

    async def _leave(self, error: BaseException) -> None:
        server = self._server
        await self.close()
        if server is not None:
            await self._servers.wrong(server, error)

    async def close(self) -> None:
        """Close the connection."""
        client, self._client, self._server, self._checked = self._client, None, None, NEVER
        if client is not None:
            await client.aclose()
