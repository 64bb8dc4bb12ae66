"""Connections to Redis, and what goes wrong with them.

Rules. The only file that opens one. Nothing is retried here: a command that timed out may have been
done, so only its caller knows whether to ask again. What goes wrong is StoreError, whatever
redis-py called it.

Danger: redis-py retries by itself unless told not to, which would publish twice; and RESP3 changes
the shape of XREAD's reply, so the protocol is pinned.
"""

from typing import Any, Final

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

FAILURES: Final = (TimeoutError, RedisError, OSError)
"""What a command may raise."""


class StoreError(Exception):
    """Redis did not answer, or not with what was asked for."""


class RefusedError(StoreError):
    """Redis answered, and did nothing of what was asked for."""


class ReusedError(RefusedError):
    """The message's ID was given to another before."""


def connect(url: str, timeout_s: float, connect_s: float, **options: Any) -> "redis.Redis":
    """A client of the Redis at `url`: redis://, rediss:// or unix://."""
    client: redis.Redis = redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=connect_s,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    return client
