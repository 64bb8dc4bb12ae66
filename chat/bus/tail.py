"""Blocking reads of many streams over one connection.

Rules. A connection of its own, because a blocking read holds it. It keeps no cursor and decides
nothing: the reader does.

Danger: redis-py quietly makes a new connection when it finds the old one closed, as it will most
often between two paced reads. Where there was a break, streams may have been set back.
"""

from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from chat.bus.connect import FAILURES, StoreError, connect


class Tail:
    """Reads that wait for at most `block_s` seconds; any other answer takes at most `timeout_s`."""

    def __init__(self, url: str, block_s: float, timeout_s: float) -> None:
        self._client = connect(
            url, block_s + timeout_s, timeout_s, redis_connect_func=self._connected
        )
        self._block_ms = int(block_s * 1000)
        self._unbroken = False
        # The parsed form costs a dict an entry; the raw one is read faster.
        self._client.response_callbacks.pop("XREAD", None)

    async def read(self, cursors: dict[str, bytes], count: int) -> list[tuple[str, list[Any]]]:
        """Up to `count` entries of each stream after its cursor; waits for the first one.

        Entries are [ID, [field, value, ...]]. Raises StoreError, also when the connection is not
        the one of the read before.
        """
        try:
            reply = await self._client.execute_command(  # type: ignore[no-untyped-call]
                "XREAD",
                *("COUNT", count, "BLOCK", self._block_ms),
                *("STREAMS", *cursors, *cursors.values()),
            )
        except FAILURES as error:
            self._unbroken = False  # whoever reads again knows
            raise StoreError(f"{type(error).__name__}: {error}") from error
        return [(stream.decode(), entries) for stream, entries in reply or ()]

    async def _connected(self, connection: AbstractConnection) -> None:
        if self._unbroken:
            raise RedisError("the connection was lost between two reads")
        await connection.on_connect()
        self._unbroken = True

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()
