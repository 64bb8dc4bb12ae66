"""The write side of a connection group: one write per viewer, and what happens when it would block.

Rules. A fan-out is a set of descriptors times one immutable `bytes`; nothing else happens per
viewer. Fan-outs wait in their lanes for the turn's slice of writes, and lanes take turns
(`lanes.py`), so that neither a large room nor very many small ones hold up the others, and small
ones are written many in one go. Within a lane nothing is overtaken.
A descriptor whose write would block becomes slow: from then on everything for it goes through its
Backlog until that is empty, so order holds. What it is spared meanwhile is a matter of Keep: LOW
from half the soft limit on; NORMAL past the soft limit, from then on all of it until the reader has
caught up, so that what it misses is one hole; past the hard limit the reader is given up. All that
is left out is counted. All backlogs together have a bound, too: beyond it the largest are given up,
until what is left is within. Nothing is called back: what happened is returned, and the group acts
on it.

A backlog is references to shared bytes. Each is counted as if it were a copy: the sum is what would
be held if nothing were shared, and so never less than what is.

Danger: what is written in one go names no descriptor twice (`writing.py`), for it may be half
written by then; what did not go along is sifted again.

Danger: a fan-out in progress holds descriptors of connections that may have closed since. `gone`
keeps those from being written to until no fan-out that may name them is left, and `oldest_tick`
tells the owner how long their numbers must not be reused.
"""

import os
from collections.abc import Collection, Hashable
from enum import Enum
from errno import EAGAIN
from itertools import filterfalse, islice

from pool.table import ConnectionTable
from shard import writing
from shard.backlog import Backlog, Keep
from shard.counters import Count
from shard.lanes import QUANTUM, FanOut, Lanes
from shard.phases import OPEN
from shard.writing import WriteSome

WRITES, BYTES_OUT = Count.WRITES, Count.BYTES_OUT  # looked up once: a member takes 50 ns
SLICE = 2048
"""Writes per turn: 5 to 15 ms by what a send costs, the longest the other connections wait."""


class Sent(Enum):
    """What became of data for one connection."""

    SENT = "sent"
    QUEUED = "queued"
    BLOCKED = "queued, the first to be: watch for writability"
    DROPPED = "dropped"
    LOST = "dropped, and so is all that waited: the connection is gone"
    OVERFLOWED = "dropped: the backlog is at its hard limit, give the reader up"


Happened = list[tuple[int, Sent]]
"""What a fan-out came to: those it BLOCKED, LOST or OVERFLOWED. The others go unmentioned."""


Part = tuple[list[int], FanOut]
"""Of a fan-out: whom to write to now."""


class Flushed(Enum):
    """What became of a backlog when its descriptor was writable."""

    WAITING = "some of it still waits"
    EMPTY = "all is out: watch for writability no longer"
    CAUGHT_UP = "all is out, but something that is missed had been left out of it meanwhile"
    LOST = "the connection is gone"


class Outbox:
    """Writes for one group.

    soft_bytes, hard_bytes  limits of one connection's backlog
    total_bytes             limit of all backlogs together
    write_some              how a slice is written

    backlog_bytes  bytes waiting in all backlogs
    """

    def __init__(
        self,
        table: ConnectionTable,
        counts: "memoryview[int]",
        soft_bytes: int,
        hard_bytes: int,
        total_bytes: int,
        write_some: WriteSome = writing.write_some,
    ) -> None:
        self.slow: dict[int, Backlog] = {}
        self.backlog_bytes = 0
        self.tick = 0
        self._table = table
        self._counts = counts
        self._soft_bytes = soft_bytes
        self._hard_bytes = hard_bytes
        self._total_bytes = total_bytes
        self._write_some = write_some
        self._gone: set[int] = set()
        self._lanes = Lanes()

    def shut(self) -> None:
        """Nothing is written any more: let go of what writing needs."""
        self._lanes.clear()
        self._write_some = writing.write_some

    @property
    def pending(self) -> bool:
        """Whether a fan-out is unfinished: call `run_slice` again."""
        return len(self._lanes) > 0

    def pending_in(self, lane: Hashable) -> bool:
        """Whether a fan-out of that lane is unfinished."""
        return lane in self._lanes

    def left_beside(self, lane: Hashable) -> int:
        """Writes that fan-outs of all other lanes still come to."""
        return self._lanes.left_beside(lane)

    @property
    def oldest_tick(self) -> int:
        """Tick of the oldest unfinished fan-out; now when there is none."""
        oldest = self._lanes.oldest_tick
        return self.tick if oldest is None else oldest

    def send(self, fd: int, data: bytes, keep: Keep = Keep.ALWAYS, asked: bool = False) -> Sent:
        """Send `data` to one open connection, behind its backlog. It may overtake a fan-out that
        is not finished. What it `asked` for, of whatever size, is not held against it, if it has
        read everything before."""
        if self._table.phase[fd] != OPEN:
            self._counts[Count.DROPPED_CLOSED] += 1
            return Sent.DROPPED
        if fd in self.slow:
            return self._queue(fd, data, keep)
        try:
            wrote = os.write(fd, data)
        except BlockingIOError:
            wrote = 0
        except OSError:
            self.forget(fd)
            return Sent.LOST
        self._counts[WRITES] += 1
        self._counts[BYTES_OUT] += wrote
        if wrote == len(data):
            return Sent.SENT
        sent = self._block(fd, data, wrote)
        if asked:
            self.slow[fd].asked = len(data) - wrote
        return sent

    def fan_out(
        self,
        fds: Collection[int],
        data: bytes,
        keep: Keep = Keep.NORMAL,
        lane: Hashable = None,
    ) -> None:
        """Send `data` to every one of `fds`, in order after earlier fan-outs of its lane.

        `fds` is copied; nothing is written before `run_slice`, so that many small ones are
        written in one go.
        """
        if fds:
            members = list(fds)
            self._lanes.add(lane, FanOut(iter(members), len(members), data, keep, self.tick))

    def run_slice(self) -> Happened:
        """Do the next slice of what is to be fanned out, each lane in turn."""
        happened: Happened = []
        left = SLICE
        while self._lanes and left > 0:
            room = most = min(QUANTUM, left)
            parts: list[Part] = []
            while self._lanes and room > 0:
                fan_out, size = self._lanes.next(room)
                parts.append((list(islice(fan_out.fds, size)), fan_out))
                room -= size
            left -= most - room
            self._write(parts, happened)
        return happened

    def _write(self, parts: list[Part], happened: Happened) -> None:
        """Write parts in as few goes as it takes. Who did not take all in one is sifted out of the
        next."""
        sifted = not (self.slow or self._gone)
        while parts:
            if not sifted:
                parts = self._sift(parts, happened)
                sifted = True
                continue
            done, unsent = self._write_some([(fds, one.data) for fds, one in parts])
            sends = bytes_out = 0
            for fds, one in parts[:done]:
                sends += len(fds)
                bytes_out += len(fds) * len(one.data)
            for part, fd, took in unsent:
                data = parts[part][1].data
                bytes_out -= len(data) - max(took, 0)
                happened.append((fd, self._unsent(fd, data, took)))
            self._counts[Count.WRITES] += sends
            self._counts[Count.BYTES_OUT] += bytes_out
            parts, sifted = parts[done:], not unsent

    def _unsent(self, fd: int, data: bytes, took: int) -> Sent:
        if took >= 0 or took == -EAGAIN:
            return self._block(fd, data, max(took, 0))
        self.forget(fd)
        return Sent.LOST

    def _sift(self, parts: list[Part], happened: Happened) -> list[Part]:
        """Those of the parts that may be written to; the slow ones get it queued."""
        ready = [(self._ready(fds, fan_out, happened), fan_out) for fds, fan_out in parts]
        return [part for part in ready if part[0]]

    def _ready(self, fds: list[int], fan_out: FanOut, happened: Happened) -> list[int]:
        # Two passes and no union: a small part must not cost what all slow readers do.
        ready = list(filterfalse(self.slow.__contains__, fds))
        if self._gone:
            ready = list(filterfalse(self._gone.__contains__, ready))
        if len(ready) == len(fds):
            return ready
        for fd in fds:
            if fd in self._gone:
                self._counts[Count.DROPPED_CLOSED] += 1
            elif fd in self.slow:
                sent = self._queue(fd, fan_out.data, fan_out.keep)
                if sent is Sent.OVERFLOWED:
                    happened.append((fd, sent))
        return ready

    def _block(self, fd: int, data: bytes, wrote: int) -> Sent:
        backlog = self.slow[fd] = Backlog(self.tick)
        backlog.push(memoryview(data)[wrote:] if wrote else data)
        self.backlog_bytes += backlog.size
        return Sent.BLOCKED

    def _queue(self, fd: int, data: bytes, keep: Keep) -> Sent:
        backlog = self.slow[fd]
        size = backlog.size - backlog.asked + len(data)
        if keep is Keep.LOW and (backlog.dropped or 2 * size > self._soft_bytes):
            self._counts[Count.DROPPED_SLOW_LOW] += 1
            return Sent.DROPPED
        if keep is not Keep.ALWAYS and (backlog.dropped or size > self._soft_bytes):
            self._counts[Count.DROPPED_SLOW] += 1
            backlog.dropped = True
            return Sent.DROPPED
        if size > self._hard_bytes:
            self._counts[Count.DROPPED_SLOW] += 1
            return Sent.OVERFLOWED
        backlog.push(data)
        self.backlog_bytes += len(data)
        return Sent.QUEUED

    def flush(self, fd: int) -> Flushed:
        """The descriptor is writable: send what waits; when all is out it is fast again."""
        backlog = self.slow.get(fd)
        if backlog is None:
            return Flushed.EMPTY
        before = backlog.size
        try:
            self._counts[Count.BYTES_OUT] += backlog.flush(fd, self.tick)
        except OSError:
            self.backlog_bytes += backlog.size - before
            self.forget(fd)
            return Flushed.LOST
        self.backlog_bytes += backlog.size - before
        if backlog.size:
            return Flushed.WAITING
        del self.slow[fd]
        return Flushed.CAUGHT_UP if backlog.dropped else Flushed.EMPTY

    def send_last(self, fd: int, last: bytes) -> Sent:
        """Nothing follows `last` to this connection: it is closing.

        What waited is dropped, but for a frame that is half out, so that `last` is a frame too.
        """
        self._gone.add(fd)
        backlog = self.slow.get(fd)
        if backlog is not None:
            before = backlog.size
            self._counts[Count.DROPPED_SLOW] += backlog.cut()
            backlog.push(last)
            self.backlog_bytes += backlog.size - before
            return Sent.QUEUED
        try:
            wrote = os.write(fd, last)
        except BlockingIOError:
            wrote = 0
        except OSError:
            self.forget(fd)
            return Sent.LOST
        return Sent.SENT if wrote == len(last) else self._block(fd, last, wrote)

    def forget(self, fd: int) -> None:
        """The connection is over: drop what it had not read."""
        self._gone.add(fd)
        backlog = self.slow.pop(fd, None)
        if backlog is not None:
            self._counts[Count.DROPPED_CLOSED] += len(backlog.chunks)
            self.backlog_bytes -= backlog.size

    def readmit(self, fd: int) -> None:
        """The number may be given out again: no fan-out that named its last owner is left."""
        self._gone.discard(fd)

    def end_turn(self) -> None:
        """End of a turn, members are up to date: forget the gone unless a fan-out may name them."""
        if not self._lanes:
            self._gone.clear()

    def stalled(self, since: int) -> list[int]:
        """The slow ones of which no byte went out since tick `since`."""
        return [fd for fd, backlog in self.slow.items() if backlog.since < since]

    def backlog(self, fd: int) -> int:
        """Bytes waiting for one connection."""
        backlog = self.slow.get(fd)
        return 0 if backlog is None else backlog.size

    def has_hole(self, fd: int) -> bool:
        """Whether a connection misses something before what it is sent next."""
        backlog = self.slow.get(fd)
        return backlog is not None and backlog.dropped

    def surplus(self) -> list[int]:
        """Whom to give up because all backlogs together are too much: the largest.

        As many as leave a sixteenth free, so that a crowd is not looked through for every frame.
        """
        excess = self.backlog_bytes - self._total_bytes
        if excess <= 0:
            return []
        excess += self._total_bytes // 16
        largest: list[int] = []
        for fd in sorted(self.slow, key=self.backlog, reverse=True):
            if excess <= 0:
                break
            excess -= self.slow[fd].size
            largest.append(fd)
        return largest
