"""How much each user, or each address, may say: quotas that all nodes share, kept in Redis.

Rules. What is asked about together costs one round trip, whoever it is of: one script call to one
server, in a Cluster one for each slot. A quota that cannot be asked lets everything by, because
whoever publishes next finds the same and says so; a circuit breaker spares the wait.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from chat.bus.breaker import Breaker
from chat.bus.scripts import Call, Script
from chat.bus.store import Store

MOST_KEYS: Final = 200
"""Quotas asked about in one call: about a millisecond of Redis' one thread."""


class Quota:
    """At most `per_s` a second with bursts of `burst`, of each of one kind.

    kind   "user" or "address": what the names are of
    clock  seconds, monotonic
    """

    def __init__(
        self, store: Store, kind: str, per_s: float, burst: int, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._kind = kind
        self.set(per_s, burst)
        self._clock = clock
        self._script = Script(store.servers, "quotas")
        self._breakers: defaultdict[int, Breaker] = defaultdict(Breaker)

    def set(self, per_s: float, burst: int) -> None:
        """So many from now on; what was taken counts on."""
        self._args = (per_s, burst)

    async def take(self, names: Sequence[str]) -> list[float]:
        """One message of each name, which may come several times: 0.0, and it is counted, or the
        seconds until it would be."""
        wanted: dict[int, dict[str, int]] = defaultdict(dict)
        for name in names:
            part = wanted[self._store.lane(name)]
            part[name] = part.get(name, 0) + 1
        asked = [
            (lane, list(part.items())[start : start + MOST_KEYS])
            for lane, part in wanted.items()
            if self._breakers[lane].allows(self._clock())
            for start in range(0, len(part), MOST_KEYS)
        ]
        replies = await self._script.run_each([self._call(counts) for _, counts in asked])
        left: dict[str, tuple[int, float]] = {}
        for (lane, counts), reply in zip(asked, replies, strict=True):
            if isinstance(reply, Exception):
                self._breakers[lane].failed(self._clock())
                continue
            self._breakers[lane].succeeded()
            for (name, _), taken, wait_ms in zip(counts, reply[::2], reply[1::2], strict=True):
                left[name] = taken, wait_ms / 1000
        return [_next(left, name) for name in names]

    def _call(self, counts: Sequence[tuple[str, int]]) -> Call:
        keys = [self._store.keys.quota(self._kind, name) for name, _ in counts]
        args: list[Any] = [*self._args, *(count for _, count in counts)]
        return keys, partial(_same, args)


def _same(args: Sequence[Any], server: object) -> Sequence[Any]:
    return args


def _next(left: dict[str, tuple[int, float]], name: str) -> float:
    """What the next message of a name has to wait; one of those that are let by is used up."""
    taken, wait_s = left.get(name, (1, 0.0))
    if taken:
        if name in left:
            left[name] = taken - 1, wait_s
        return 0.0
    return wait_s
