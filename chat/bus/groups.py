"""Consumer groups over streams, for workers that share the work: each thing is done at least once.

    unit    streams of one slot, read by one worker at a time, who leases it: so what is in them
            is done in order
    group   workers with one purpose, by its name

Rules. A worker may read and acknowledge only while it holds the lease; the scripts see to that, so
one that was away too long does nothing that another does by now. All workers of a group are the
same consumer to Redis: what a dead one has left undone is simply given to the next.

Danger: streams are trimmed, whoever has not read them yet. What was lost by that is counted in the
same script that reads on, and noted in Redis until somebody has said so. Redis before 7 does not
number what was added: there it is not known.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from chat.bus.connect import StoreError, store_error
from chat.bus.scripts import Script
from chat.bus.store import Store

ALL: Final = "all"
"""A new group begins with the oldest entry there is."""
TAKEN, OURS, NEW = 0, 1, 2
"""A lease: another's, this worker's already, this worker's from now on."""
SET_BACK: Final = 3
"""A stream, or what is known of its group, ends before what was done."""


class Unit(Struct, frozen=True):
    """Streams that are leased together; `state` is the key of what is known of that."""

    name: str
    state: str
    streams: tuple[str, ...]


class Lost(Struct, frozen=True):
    """Entries that were trimmed before the group was given them, between two IDs; -1: nobody knows
    how many."""

    count: int
    after: str
    before: str


class Taken(Struct):
    """What a stream had for the group: [ID, [field, value, …]] each.

    given, lag  entries it has and has not been given, -1 where the server does not say
    last        the ID of the last it was given
    """

    unit: Unit
    stream: str
    given: int
    lag: int
    last: bytes
    lost: Lost | None
    entries: list[Any]


class Groups:
    """One worker of a group, as Redis knows it. What goes wrong is StoreError."""

    def __init__(self, store: Store, group: str, worker: str) -> None:
        self._store = store
        self._group = group
        self._worker = worker
        self._members = store.keys.members(group)
        self._lease = Script(store.servers, "lease")
        self._present = Script(store.servers, "present")
        self._take = Script(store.servers, "take", "groups")
        self._seek = Script(store.servers, "seek", "groups")
        self._done = Script(store.servers, "done")

    def rooms_units(self, *, spoken: bool = True, events: bool = False) -> list[Unit]:
        """A unit for each partition: what was said in its rooms, what happened to them."""
        keys = self._store.keys
        return [
            Unit(
                str(partition),
                keys.group(partition, self._group),
                ((keys.fanout(partition),) if spoken else ())
                + ((keys.events(partition),) if events else ()),
            )
            for partition in range(keys.partitions)
        ]

    def everywhere(self, *streams: str) -> Unit:
        """The unit of streams in the slot of the broadcast stream."""
        return Unit("everywhere", self._store.keys.group(None, self._group), streams)

    async def present(self, ms: int) -> int:
        """Say that this worker lives for so long, 0: that it leaves; how many do."""
        return int(await self._present.run([self._members], [self._worker, ms]))

    async def lease(
        self, units: Sequence[Unit], ms: int, by: str = ""
    ) -> list[tuple[int, str] | StoreError]:
        """Lease units, or go on to, for so long; 0 gives them back. TAKEN, OURS or NEW, and by what
        its last worker worked; or what went wrong."""
        calls: Any = [([u.state], lambda server: [self._worker, ms, by]) for u in units]
        replies = await self._lease.run_each(calls)
        return [
            _error(reply) if isinstance(reply, Exception) else (reply[0], reply[1].decode())
            for reply in replies
        ]

    async def take(self, units: Sequence[Unit], most: int, first: str) -> list[Taken | StoreError]:
        """At most so many entries of each stream of leased units: those that were given out and are
        not done, else new ones. Those of units that are not leased are left out.

        first  where a group begins that is not there: ALL, or so many ms before now
        """
        asked = [(unit, stream) for unit in units for stream in unit.streams]
        args = [self._worker, self._group, most, first]
        calls: Any = [([unit.state, stream], lambda server: args) for unit, stream in asked]
        found: list[Taken | StoreError] = []
        for (unit, stream), reply in zip(asked, await self._take.run_each(calls), strict=True):
            if isinstance(reply, Exception):
                found.append(_error(reply))
            elif reply:
                given, lag, last, count, after, before, entries = reply
                lost = Lost(count, after.decode(), before.decode()) if count else None
                found.append(Taken(unit, stream, given, lag, last, lost, entries))
        return found

    async def seek(self, unit: Unit, stream: str, done: str, given: int) -> int:
        """Have a leased stream's entries behind `done` given again, if they were; `given` entries
        came up to there (-1: not known). SET_BACK when it ends before that."""
        args = [self._worker, self._group, done, given]
        return int(await self._seek.run([unit.state, stream], args))

    async def done(self, taken: Sequence[Taken]) -> None:
        """All of that is done, and what was lost was said. Raises StoreError."""
        calls: Any = []
        for one in taken:
            args = [self._worker, self._group, int(one.lost is not None)]
            args += [entry_id for entry_id, _ in one.entries]
            calls.append(([one.unit.state, one.stream], lambda server, args=args: args))
        for reply in await self._done.run_each(calls):
            if isinstance(reply, Exception):
                raise _error(reply)


def _error(error: Exception) -> StoreError:
    return error if isinstance(error, StoreError) else store_error(error)
