"""Which connection a user has, where it may have only one: leases in Redis, which all shards see.

Rules. A user's string holds the name of a connection, for LEASE_S. Whoever has it says so again
before that; a shard that died does not, and its users are free again. Those of a partition are
asked for in one call. What an answer means is its caller's.

Danger: questions overtake each other, on their way and while Redis is away. A connection is surely
newer where the earliest it can have become the user's, by the server's clock as it was last heard,
is behind the latest that the other can, by for how long it was when it asked. Where these do not
tell, who asks last is the newer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

from chat.bus.connect import StoreError, store_error
from chat.bus.scripts import Call, Script
from chat.bus.servers import Server
from chat.bus.store import Store

LEASE_S: Final = 30
"""How long the users of a shard that died wait where a second connection is refused."""


class Asked(NamedTuple):
    """take: to have a user, unless a surely newer one has; keep: if nobody else; free: no longer.

    since  when the connection became the user's, seconds by the loop's clock
    """

    what: Literal["take", "keep", "free"]
    uid: str
    conn: str
    since: float


class Other(NamedTuple):
    """Another connection that had a user, or `has` it still; "" for none."""

    conn: str = ""
    has: bool = False


NONE: Final = Other()


class Leases:
    """Those of all users. `lease_s` is when one ends that is not kept."""

    def __init__(self, store: Store, lease_s: int = LEASE_S) -> None:
        self._keys = store.keys
        self._script = Script(store.servers, "devices")
        self._lease_s = lease_s

    async def settle(self, asked: Sequence[Asked]) -> list[Other | StoreError]:
        """Do what is asked, that of one user in order; for each the other connection, or that Redis
        did not say."""
        parts: dict[int, list[int]] = defaultdict(list)
        for i, one in enumerate(asked):
            parts[self._keys.partition(one.uid)].append(i)
        served: list[Server | None] = [None] * len(parts)
        calls = [
            self._call([asked[i] for i in part], partial(served.__setitem__, number))
            for number, part in enumerate(parts.values())
        ]
        answers: list[Other | StoreError] = [NONE] * len(asked)
        replies = await self._script.run_each(calls, publishing=True)
        for part, reply, server in zip(parts.values(), replies, served, strict=True):
            if isinstance(reply, Exception):
                failed = store_error(reply)
                for i in part:
                    answers[i] = failed
                continue
            assert server is not None
            server.told_time(reply[0])
            for i, conn, has in zip(part, reply[1::2], reply[2::2], strict=True):
                answers[i] = Other(conn.decode(), bool(has)) if conn else NONE
        return answers

    def _call(self, asked: Sequence[Asked], served: Callable[[Server], None]) -> Call:
        clock = asyncio.get_running_loop().time

        def args(server: Server) -> list[str | int]:
            served(server)
            found: list[str | int] = [self._lease_s]
            for one in asked:
                for_ms = max(0, int((clock() - one.since) * 1000))
                found += (one.what, one.conn, server.time_ms(one.since), for_ms)
            return found

        return [self._keys.device(one.uid) for one in asked], args
