"""One connection a user, where `auth.devices` says so, on whatever shard of whatever node.

    replace    the newer one is let in, the older one closed with 4506
    refuse     the newer one is closed with 4507, unless the older one ends within RETRY_S

Rules. For bearers of tokens. Who comes is let in at once, and asked for in Redis then, with all who
came in the same turn. While Redis does not answer everybody stays; it is counted, and made good
when leases are kept, of a tenth of the connections every second. That is also how one finds out
that it was replaced whom no word of it reached. Who is newer is told by when a connection became
the user's, not by which question came to Redis first.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

from msgspec import Struct

from chat.bus.connect import StoreError
from chat.bus.devices import Asked, Leases, Other
from chat.bus.entries import Replaced, pack
from chat.counters import ChatCount
from chat.hub.users import Users
from chat.tasks import Tasks
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections

KEEP_TICKS: Final = 10
"""A third of a lease: two tries may fail."""
RETRY_S: Final = 0.5
"""A page that is loaded again comes before its former self is known to have gone."""
MOST_WAITING: Final = 100_000
"""Beyond it whoever comes is let in unchecked, and the leases of those who go end by themselves."""
MOST: Final = 2_000
"""Asked for at once: a few ms of work for either side."""
STOP_S: Final = 1.0


What = Literal["take", "keep", "free"]


class Device(Struct, eq=False):
    """A user's connection, `since` a time of the loop's clock, in seconds. `claimed`: whether Redis
    has said that it has the user; None at first, False when it was asked and did not answer."""

    handle: Handle
    uid: str
    conn: str
    since: float
    claimed: bool | None = None
    retried: bool = False


class Devices:
    """Those of one shard. `notify` tells all shards, as Store does."""

    def __init__(
        self,
        connections: Connections,
        users: Users,
        leases: Leases,
        notify: Callable[[bytes], Awaitable[str]],
        policy: Literal["replace", "refuse"],
        counts: "memoryview[int]",
    ) -> None:
        self._connections = connections
        self._users = users
        self._leases = leases
        self._notify = notify
        self._claims_by: What = "take" if policy == "replace" else "keep"
        self._counts = counts
        self._held: list[dict[int, Device]] = [{} for _ in range(KEEP_TICKS)]
        self._asked: deque[tuple[What, Device]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks = Tasks("devices")

    async def stop(self) -> None:
        """End; what is to be given back still is, if Redis answers soon."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), STOP_S)
        await self._tasks.stop()

    def claim(self, fd: int, uid: str) -> None:
        """A connection is a user's from now on, unless it is told otherwise."""
        handle = self._connections.handle(fd)
        now = asyncio.get_running_loop().time()
        device = Device(handle, uid, self._users.name(handle), now)
        self._held[fd % KEEP_TICKS][fd] = device
        self._ask(self._claims_by, device)

    def close(self, fd: int) -> None:
        """The connection is over."""
        device = self._held[fd % KEEP_TICKS].pop(fd, None)
        if device is not None:
            self._ask("free", device)

    def tick(self, tick: int) -> None:
        """A second has passed."""
        if not self._asked:  # else Redis is behind, and a lease has time for two more tries
            for device in self._held[tick % KEEP_TICKS].values():
                self._ask("keep" if device.claimed else self._claims_by, device)

    def replaced(self, told: Replaced) -> None:
        """Other connections have the users of these, which may be on any shard."""
        for conn in told.conns:
            handle = self._users.named(conn)
            if handle is not None:
                self._send_away(handle)

    # --- asking --------------------------------------------------------------------------------

    def _ask(self, what: What, device: Device) -> None:
        if len(self._asked) == MOST_WAITING:
            self._unchecked(device)
            return
        self._asked.append((what, device))
        if self._idle.is_set():
            self._idle.clear()
            self._tasks.spawn(self._work())

    async def _work(self) -> None:
        try:
            await self._ask_all()
        finally:
            self._idle.set()

    async def _ask_all(self) -> None:
        while self._asked:
            some = [self._asked.popleft() for _ in range(min(MOST, len(self._asked)))]
            answers = await self._leases.settle(
                [Asked(what, device.uid, device.conn, device.since) for what, device in some]
            )
            elsewhere: list[str] = []
            for (what, device), other in zip(some, answers, strict=True):
                if what != "free":
                    elsewhere += self._answered(device, other)
            if elsewhere:
                with suppress(StoreError):  # then they find out themselves
                    await self._notify(pack(Replaced(elsewhere)))

    def _answered(self, device: Device, other: Other | StoreError) -> list[str]:
        """What follows; the names of other shards' connections that are to go."""
        if isinstance(other, StoreError):
            self._unchecked(device)
        elif not other.has:
            device.claimed = True
            return self._replace(other.conn) if other.conn else []
        elif self._claims_by == "take":
            self._send_away(device.handle)
        elif device.retried or device.claimed:
            self._refuse(device)
        else:
            device.retried = True
            asyncio.get_running_loop().call_later(RETRY_S, self._retry, device)
        return []

    def _unchecked(self, device: Device) -> None:
        if device.claimed is None:
            device.claimed = False
            self._counts[ChatCount.DEVICES_UNCHECKED] += 1

    def _replace(self, other: str) -> list[str]:
        if not self._users.ours(other):
            return [other]
        handle = self._users.named(other)
        if handle is not None:
            self._send_away(handle)
        return []

    def _send_away(self, handle: Handle) -> None:
        if self._connections.alive(handle):
            self._counts[ChatCount.DEVICES_REPLACED] += 1
            self._connections.close(handle.fd, CloseCode.REPLACED)

    def _refuse(self, device: Device) -> None:
        if self._connections.alive(device.handle):
            self._counts[ChatCount.REFUSED_DEVICE] += 1
            self._connections.close(device.handle.fd, CloseCode.ALREADY_CONNECTED)

    def _retry(self, device: Device) -> None:
        if self._connections.alive(device.handle):
            self._ask("keep", device)
