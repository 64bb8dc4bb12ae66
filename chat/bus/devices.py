"""Which connection a user has, where it may have only one: leases in Redis, which all shards see.

Rules. A user's string holds the name of a connection, for LEASE_S. Whoever has it says so again
before that; a shard that died does not, and its users are free again. Those of a partition are
asked for in one call. What an answer means is its caller's.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from chat.bus.connect import StoreError, store_error
from chat.bus.scripts import Call, Script
from chat.bus.store import Store

LEASE_S: Final = 30
"""How long the users of a shard that died wait where a second connection is refused."""


class Asked(NamedTuple):
    """take: to have a user whoever has it; keep: if nobody else has; free: no longer."""

    what: Literal["take", "keep", "free"]
    uid: str
    conn: str


class Leases:
    """Those of all users. `lease_s` is when one ends that is not kept."""

    def __init__(self, store: Store, lease_s: int = LEASE_S) -> None:
        self._keys = store.keys
        self._script = Script(store.servers, "devices")
        self._lease_s = lease_s

    async def settle(self, asked: Sequence[Asked]) -> list[str | StoreError]:
        """Do what is asked, that of one user in order; for each the name of the other connection
        that had the user (take) or has it (keep, free), "" for none; or that Redis did not say."""
        parts: dict[int, list[int]] = defaultdict(list)
        for i, one in enumerate(asked):
            parts[self._keys.partition(one.uid)].append(i)
        calls = [self._call([asked[i] for i in part]) for part in parts.values()]
        answers: list[str | StoreError] = [""] * len(asked)
        for part, reply in zip(parts.values(), await self._script.run_each(calls), strict=True):
            for place, i in enumerate(part):
                failed = isinstance(reply, Exception)
                answers[i] = store_error(reply) if failed else reply[place].decode()
        return answers

    def _call(self, asked: Sequence[Asked]) -> Call:
        args: list[str | int] = [self._lease_s]
        for one in asked:
            args += (one.what, one.conn)
        return [self._keys.device(one.uid) for one in asked], lambda server: args
