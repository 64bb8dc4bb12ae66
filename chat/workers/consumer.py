"""A worker's loop: lease units, take what their streams have, have the work done, say that it is.

Rules. One batch at a time: what was taken is done and durable before it is acknowledged, and only
then more is taken. So everything is done at least once, and in order in each stream. Leases are
renewed beside the work, however long that takes. While Redis is away, or the work cannot be done,
there is one line in the log.

The work is told to end by being cancelled: what it has not done by then is another's.

Danger: work may take longer than a lease that could not be renewed. Who works looks with `holds`
before each step that others would see.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.groups import Groups, Taken, Unit
from chat.bus.store import Store
from chat.bus.tail import Tail
from chat.tasks import Tasks, end
from chat.workers.leases import Leases, Opened

log = logging.getLogger(__name__)

LEASE_S: Final = 10.0
BLOCK_S: Final = 2.0
"""How long a worker waits without looking whether there is something else to do."""
RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 1.0
MOST: Final = 200
"""Entries of a stream taken at once."""
GRACE_S: Final = 4.0
"""What work that is under way gets at the end."""
END_S: Final = 2.0
"""How long Redis may take to hear that this worker leaves."""

Work = Callable[[Sequence[Taken]], Awaitable[None]]
Open = Callable[[Unit, str], Awaitable[None]]


class Consumer:
    """One worker of a group.

    work    does what it is given; what it raises is logged, and it is given the same again
    opened  is told of a unit that is leased from now on, before anything of it is taken
    first   where a group begins that is not there, see Groups.take
    ready   is set when Redis has first answered, or has not
    """

    def __init__(
        self,
        store: Store,
        groups: Groups,
        units: Sequence[Unit],
        work: Work,
        *,
        first: Callable[[], str],
        by: str = "",
        opened: Open | None = None,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self.lag = 0
        self._store = store
        self._groups = groups
        self._work = work
        self._first = first
        self._opened = opened
        self._lease_s = lease_s
        self._leases = Leases(
            groups,
            units,
            by=by,
            lease_s=lease_s,
            clock=clock,
            chance=chance or random.Random(),
        )
        self.holds = self._leases.holds
        self._new: list[Opened] = []
        self._tails: dict[str, Tail] = {}
        self._waits: dict[str, asyncio.Task[object]] = {}
        self._ending = asyncio.Event()
        self._away = False
        self._wrong = ""
        self._tasks = Tasks("consumer")

    @property
    def held(self) -> list[Unit]:
        """The units it has."""
        return self._leases.held

    def end(self) -> None:
        """End when the work that is under way is done, within GRACE_S."""
        self._ending.set()

    async def run(self) -> None:
        """Work until told to end, then give the leases back."""
        working = asyncio.create_task(self._run())
        ending = asyncio.create_task(self._ending.wait())
        self._tasks.spawn(self._renew())
        try:
            await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([working], timeout=GRACE_S)
        finally:
            await end([working, ending])
            await self._tasks.stop()
            await self._close()
        if not working.cancelled():
            working.result()

    async def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        while not self._ending.is_set():
            try:
                await self._once()
                retry_s = RETRY_FIRST_S
            except Exception as error:
                self._failed(error)
                self.ready.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), retry_s)
                retry_s = min(2 * retry_s, RETRY_MOST_S)

    async def _once(self) -> None:
        """Take what there is and have it done, or wait for something."""
        self._new += await self._leases.balance()
        while self._new:
            unit, before = self._new[-1]
            if self._opened is not None and self.holds(unit):
                await self._opened(unit, before)
            self._new.pop()
        held = self.held
        replies = await self._groups.take(held, MOST, self._first())
        taken = [one for one in replies if isinstance(one, Taken)]
        failed = [one for one in replies if isinstance(one, StoreError)]
        self.lag = sum(max(0, one.lag) for one in taken)
        if failed and not taken:
            raise failed[0]
        if failed:
            self._failed(failed[0])
        else:
            self._answers()
        self.ready.set()
        found = [one for one in taken if one.entries or one.lost]
        if found:
            await self._work(found)
            self._wrong = ""
            await self._groups.done([one for one in found if self.holds(one.unit)])
        elif not self._ending.is_set():
            await self._wait({one.stream: one.last for one in taken}, bool(failed))

    async def _wait(self, ends: dict[str, bytes], briefly: bool) -> None:
        """Until one of the streams has something behind its end, or long enough."""
        if briefly or not ends:
            await asyncio.sleep(RETRY_MOST_S)
            return
        feeds: dict[str, dict[str, bytes]] = {}
        for stream, last in ends.items():
            feeds.setdefault(self._store.servers.feed(stream), {})[stream] = last
        for feed, cursors in feeds.items():
            if feed not in self._waits:
                tail = self._tails.setdefault(
                    feed, self._store.tail(next(iter(cursors)), min(BLOCK_S, self._lease_s / 3))
                )
                self._waits[feed] = asyncio.create_task(tail.read(cursors, 1))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait(
            [ending, *self._waits.values()], return_when=asyncio.FIRST_COMPLETED, timeout=BLOCK_S
        )
        await end([ending])
        for feed, wait in list(self._waits.items()):
            if wait.done():
                del self._waits[feed]
                if wait.exception() is not None:
                    await asyncio.sleep(RETRY_FIRST_S)  # asking will tell what is wrong

    # --- beside the work -------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            try:
                self._new += await self._leases.renew()
            except StoreError as error:
                self._failed(error)
            await asyncio.sleep(self._lease_s / 3)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            if repr(error) != self._wrong:
                log.error("the work failed and will be tried until it is done", exc_info=error)
            self._wrong = repr(error)
        elif not self._away:
            self._away = True
            log.warning("Redis does not answer, waiting for it: %s", error)

    def _answers(self) -> None:
        if self._away:
            self._away = False
            log.info("Redis answers again")

    async def _close(self) -> None:
        await end(self._waits.values())
        for tail in self._tails.values():
            await tail.close()
        with suppress(StoreError, TimeoutError):
            await asyncio.wait_for(self._leases.end(), END_S)
