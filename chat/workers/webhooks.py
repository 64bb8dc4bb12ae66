"""The worker that tells an operator's service what happens.

Rules. One request at a time, an array of events each; what it is about is acknowledged when the
service has taken it. Order holds within a unit, which is where a room's events come from. All
nodes' workers are one group: each tells of the partitions it leases.

What trimming took is told too, as an event of its own, as soon as the service takes anything.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import uvloop

from chat.bus.connect import StoreError
from chat.bus.crowds import Crowds
from chat.bus.groups import Groups, Taken, Unit
from chat.bus.names import new_shard
from chat.bus.store import Store, open_store
from chat.config.sections import Config, public_url
from chat.counters import NodeCount
from chat.tasks import Tasks
from chat.workers import events as made
from chat.workers.consumer import LEASE_S, Consumer
from chat.workers.deliveries import Deliveries, TooLarge
from chat.workers.events import Event, Placed, Reader

log = logging.getLogger(__name__)

GROUP: Final = "webhooks"
MOST_EVENTS: Final = 200
MOST_BYTES: Final = 262_144
"""Of a body, beyond its first event."""

_encode: Final = msgspec.json.Encoder().encode


class Webhooks:
    """One worker. By its `name` a next life has its leases at once.

    wall  seconds since 1970; clock  seconds, monotonic
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        counts: "memoryview[int]",
        name: str = "",
        lease_s: float = LEASE_S,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._store = store
        self._crowds = Crowds(store, config.rooms.online_interval_s)
        self._counts = counts
        self._wall = wall
        self._clock = clock
        self._began = clock()
        self._most = MOST_EVENTS
        self._groups = Groups(store, GROUP, name or new_shard())
        self._readers: dict[str, tuple[str, Reader]] = {}
        self.deliveries = Deliveries(config.webhooks, counts, clock)
        self.consumer = Consumer(
            *(store, self._groups, self._units(), self._tell),
            first=self._since,
            lease_s=lease_s,
        )
        self._tasks = Tasks("webhooks")

    def _units(self) -> list[Unit]:
        """What has to be read for the events that are wanted."""
        wants, keys = self._config.webhooks.wants, self._store.keys
        wanted = self._config.webhooks.events
        here: list[str] = []
        for name, stream in (("moderation", keys.audit), ("report", keys.reports)):
            if name in wanted:
                self._readers[stream] = name, made.documents(name)
                here.append(stream)
        if wants("connected", "disconnected"):
            self._readers[keys.connections] = "connections", made.arrivals(wanted)
            here.append(keys.connections)
        spoken, rooms = wants("message"), wants("room_occupied", "room_vacated")
        for partition in range(keys.partitions):
            self._readers[keys.fanout(partition)] = "messages", made.messages
            self._readers[keys.events(partition)] = "rooms", made.rooms(wanted)
        units = self._groups.rooms_units(spoken=spoken, events=rooms) if spoken or rooms else []
        return [*units, self._groups.everywhere(*here)] if here else units

    def _since(self) -> str:
        """A new group begins when this worker did."""
        return str(int(1000 * (self._clock() - self._began)))

    async def run(self, serving: Callable[[], None]) -> None:
        """Tell until the consumer is told to end; `serving` is called when Redis has first been
        asked."""
        self._tasks.spawn(self._say_ready(serving))
        if self._config.webhooks.wants("room_vacated"):
            self._tasks.spawn(self._sweep())
        try:
            await self.consumer.run()
        finally:
            await self._tasks.stop()
            await self.deliveries.close()

    async def _say_ready(self, serving: Callable[[], None]) -> None:
        await self.consumer.ready.wait()
        serving()

    # --- telling ---------------------------------------------------------------------------------

    async def _tell(self, taken: Sequence[Taken]) -> None:
        self._counts[NodeCount.WEBHOOK_WAITING] = self.consumer.lag + sum(
            len(one.entries) for one in taken
        )
        units: dict[Unit, list[Placed]] = {}
        first: dict[Unit, list[Event]] = {}
        gone = 0
        for one in taken:
            kind, read = self._readers[one.stream]
            found, bad = read(one.unit.name, one.entries)
            self._counts[NodeCount.WEBHOOK_BAD_ENTRIES] += bad
            units.setdefault(one.unit, []).extend(found)
            if one.lost is not None:
                gone += max(1, one.lost.count)
                event = made.lost(kind, one, one.lost, int(self._wall() * 1000))
                first.setdefault(one.unit, []).append(event)
                log.error(
                    "%s entries of %s in partition %s were trimmed before they could be sent",
                    *("unknown many" if one.lost.count < 0 else one.lost.count, kind),
                    one.unit.name,
                )
        events = [
            (unit, _encode(event))
            for unit, placed in units.items()
            for event in [*first.get(unit, ()), *made.in_order(placed)]
        ]
        while events:
            events = await self._send(events)
        self._counts[NodeCount.WEBHOOK_EVENTS_LOST] += gone
        self._counts[NodeCount.WEBHOOK_WAITING] = self.consumer.lag

    async def _send(self, events: list[tuple[Unit, bytes]]) -> list[tuple[Unit, bytes]]:
        """Send the first of them; which are left. Those of a unit that is another's go."""
        events = [one for one in events if self.consumer.holds(one[0])]
        count = size = 0
        for _, event in events[: self._most]:
            size += len(event) + 1
            if count and size > MOST_BYTES:
                break
            count += 1
        if not count:
            return events
        part = events[:count]
        units = {unit for unit, _ in part}
        body = b"[" + b",".join(event for _, event in part) + b"]"
        try:
            sent = await self.deliveries.deliver(
                body, lambda: all(self.consumer.holds(unit) for unit in units)
            )
        except TooLarge:
            await self._smaller(count)
            return events
        if not sent:
            return events
        self._counts[NodeCount.WEBHOOK_EVENTS_SENT] += count
        self._most = min(MOST_EVENTS, 2 * self._most)
        return events[count:]

    async def _smaller(self, count: int) -> None:
        """A body of so many events was too large."""
        self._counts[NodeCount.WEBHOOK_REQUESTS_FAILED] += 1
        if count > 1:
            self._most = count // 2
            return
        where = public_url(self._config.webhooks.url)
        log.error("%s answers 413 even to one event: nothing goes out until it takes it", where)
        await asyncio.sleep(5.0)

    # --- rooms that only a dead shard had -------------------------------------------------------

    async def _sweep(self) -> None:
        """Find rooms nobody reports any more, also where nobody reports anything."""
        interval_s = self._config.rooms.online_interval_s
        while True:
            await asyncio.sleep(interval_s)
            for unit in self.consumer.held:
                if unit.name.isdecimal():
                    try:
                        await self._crowds.report(int(unit.name), "", ())
                    except StoreError as error:
                        log.debug("rooms are not looked at: %s", error)


async def serve(
    config: Config,
    url: str,
    counts: "memoryview[int]",
    name: str,
    serving: Callable[[], None],
    begun: Callable[[], None] = lambda: None,
) -> None:
    """One worker's life, until SIGTERM."""
    begun()
    store = open_store(config, url)
    webhooks = Webhooks(config, store, counts, name)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, webhooks.consumer.end)
    if not config.webhooks.secret:
        log.warning("webhooks.secret is not set: who receives them cannot tell whose they are")
    try:
        await webhooks.run(serving)
    finally:
        await store.close()


def run(
    config: Config,
    url: str,
    counts: "memoryview[int]",
    name: str,
    serving: Callable[[], None],
    begun: Callable[[], None] = lambda: None,
) -> None:
    """In a worker's process: tell the service until SIGTERM. `counts` is the node's row; `name` is
    what all lives of this worker share, of which one at most lives; `begun` is called in the
    loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config, url, counts, name, serving, begun))
