"""Connections to Redis, and what goes wrong with them.

Rules. The only file that opens one. Nothing is retried here: a command that timed out may have been
done, so only its caller knows whether to ask again. What goes wrong is StoreError, whatever
redis-py called it.

Danger: redis-py retries by itself unless told not to, which would publish twice; and RESP3 changes
the shape of XREAD's reply, so the protocol is pinned.
"""

import asyncio
import re
from typing import Any, Final
from weakref import WeakSet

import redis.asyncio as redis
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    DataError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

FAILURES: Final = (TimeoutError, RedisError, OSError, RuntimeError)
"""What a command may raise; RuntimeError is uvloop's, for a connection just closed."""
_ELSEWHERE: Final = (ReadOnlyError, AskError, ClusterDownError, TryAgainError)
"""With those derived from them: MOVED is an AskError, MASTERDOWN a ClusterDownError."""


_SAYS_SO: Final = re.compile("(^UNBLOCKED|-READONLY|-MASTERDOWN) ")
"""A blocked command's end, and a script's as Redis before 7 tells of it."""


class StoreError(Exception):
    """Redis did not answer, or not with what was asked for."""


class RefusedError(StoreError):
    """Redis answered, and did nothing of what was asked for."""


class ReusedError(RefusedError):
    """The message's ID was given to another before."""


class LimitedError(RefusedError):
    """A limit of the room refuses the message for `wait_s` more seconds.

    limit  "slow_mode", "repeated", "room_busy"
    """

    def __init__(self, limit: str, wait_s: float) -> None:
        super().__init__(f"{limit} for {wait_s} s")
        self.limit = limit
        self.wait_s = wait_s


def store_error(error: BaseException) -> StoreError:
    """What redis-py raised, by our name for it."""
    return StoreError(f"{type(error).__name__}: {error}")


def elsewhere(error: object) -> bool:
    """Whether a server says that it is not the one to ask: then it has done nothing."""
    return isinstance(error, _ELSEWHERE) or (
        isinstance(error, ResponseError) and _SAYS_SO.search(str(error)) is not None
    )


class Packing:
    """Commands as bytes by hiredis: redis-py's asyncio connections do it in Python, which is 3 µs
    of each message published."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """A command as bytes. Raises DataError where an argument can be none."""
        if isinstance(args[0], str) and " " in args[0]:  # "CONFIG GET" are two
            args = (*args[0].split(), *args[1:])
        try:
            return [pack_command(args)]
        except TypeError as error:
            raise DataError(str(error)) from None


class TcpConnection(Packing, redis.Connection):
    """To redis://."""


class TlsConnection(Packing, redis.SSLConnection):
    """To rediss://."""


class UnixConnection(Packing, redis.UnixDomainSocketConnection):
    """To unix://."""


OURS: Final = {
    redis.Connection: TcpConnection,
    redis.SSLConnection: TlsConnection,
    redis.UnixDomainSocketConnection: UnixConnection,
}


class Pool(redis.ConnectionPool):
    """Connections to one address, which may be another server's tomorrow."""

    _left: WeakSet[AbstractConnection] | None = None

    def __init__(self, connection_class: type = redis.Connection, **options: Any) -> None:
        super().__init__(OURS[connection_class], **options)

    async def leave(self) -> None:
        """Whoever asks from now on connects anew; what is under way is not disturbed."""
        self._left = WeakSet(self._in_use_connections)
        idle, self._available_connections = self._available_connections, []
        await asyncio.gather(*(one.disconnect() for one in idle), return_exceptions=True)

    async def release(self, connection: AbstractConnection) -> None:
        if self._left and connection in self._left:
            self._left.discard(connection)
            await connection.disconnect()
        await super().release(connection)


def connect(url: str, timeout_s: float, connect_s: float, **options: Any) -> "redis.Redis":
    """A client of the one Redis at `url`: redis://, rediss:// or unix://."""
    pool = Pool.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_s,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    return redis.Redis.from_pool(pool)
