"""Which units a worker has: as many as its share, each leased for a while and renewed.

Rules. A share is the units by the workers that live, rounded up. Who has more gives the rest back,
between two pieces of work; who has less takes what is free. So a worker that comes, ends or dies
moves few units, and there is nobody who decides. A lease counts from before it was asked for.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence

from chat.bus.connect import StoreError
from chat.bus.groups import NEW, TAKEN, Groups, Unit

Opened = tuple[Unit, str]
"""A unit that is leased from now on, and by what its last worker worked."""


class Leases:
    """The leases of one worker.

    by       by what it works, for whoever has a unit after it
    lease_s  seconds a dead worker's units wait for another
    clock    seconds, monotonic
    """

    def __init__(
        self,
        groups: Groups,
        units: Sequence[Unit],
        *,
        by: str,
        lease_s: float,
        clock: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self._groups = groups
        self._units = units
        self._by = by
        self._lease_s = lease_s
        self._clock = clock
        self._chance = chance
        self._until: dict[Unit, float] = {}
        self._share = len(units)
        self._changing = asyncio.Lock()

    def holds(self, unit: Unit) -> bool:
        """Whether nobody else may have a unit yet."""
        return self._clock() < self._until.get(unit, -math.inf)

    @property
    def held(self) -> list[Unit]:
        """The units this worker has."""
        return [unit for unit in self._until if self.holds(unit)]

    async def renew(self) -> list[Opened]:
        """Say that this worker lives, and go on with what it has; what it had lost and has again.
        Raises StoreError."""
        ms = self._ms(self._lease_s)
        self._share = math.ceil(len(self._units) / max(1, await self._groups.present(ms)))
        async with self._changing:
            return await self._lease(list(self._until))

    async def balance(self) -> list[Opened]:
        """Give back what is more than its share, take what it is short of; what is new.
        Raises StoreError."""
        async with self._changing:
            surplus = list(self._until)[self._share :]
            if surplus:
                await self._give_back(surplus)
            free = [unit for unit in self._units if unit not in self._until]
            self._chance.shuffle(free)
            opened: list[Opened] = []
            while free and len(self._until) < self._share:
                short = self._share - len(self._until)
                tried, free = free[:short], free[short:]
                opened += await self._lease(tried)
            return opened

    async def end(self) -> None:
        """Give everything back, and leave. Raises StoreError."""
        async with self._changing:
            await self._give_back(list(self._until))
        await self._groups.present(0)

    async def _give_back(self, units: Sequence[Unit]) -> None:
        for unit in units:
            del self._until[unit]
        await self._groups.lease(units, 0, self._by)

    async def _lease(self, units: Sequence[Unit]) -> list[Opened]:
        until = self._clock() + self._lease_s
        opened = []
        replies = await self._groups.lease(units, self._ms(self._lease_s), self._by)
        failed: StoreError | None = None
        for unit, reply in zip(units, replies, strict=True):
            if isinstance(reply, StoreError):
                failed = reply
                continue
            outcome, before = reply
            if outcome == TAKEN:
                self._until.pop(unit, None)
                continue
            self._until[unit] = until
            if outcome == NEW:
                opened.append((unit, before))
        if failed is not None and len(opened) == 0 and not self.held:
            raise failed
        return opened

    @staticmethod
    def _ms(seconds: float) -> int:
        return max(1, int(seconds * 1000))
