"""The write side of a connection group: one write per viewer, and what happens when it would block.

Rules. A fan-out is a set of descriptors times one immutable `bytes`; nothing else happens per
viewer. Fan-outs are done in order, a slice of writes a turn, so that neither a large room nor very
many small ones hold up the others.
A descriptor whose write would block becomes slow: from then on everything for it goes through its
Backlog until that is empty, so order holds. Past the soft limit droppable data is dropped and
counted, from then on all of it until the reader has caught up, so that what it misses is one hole;
past the hard limit the reader is given up. All backlogs together have a bound, too: beyond it the
largest are given up, until what is left is within. Nothing is called back: what happened is
returned, and the group acts on it.

A backlog is references to shared bytes. Each is counted as if it were a copy: the sum is what would
be held if nothing were shared, and so never less than what is.

Danger: a fan-out in progress holds descriptors of connections that may have closed since. `gone`
keeps those from being written to until no fan-out that may name them is left, and `oldest_tick`
tells the owner how long their numbers must not be reused.
"""

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from errno import EAGAIN
from itertools import filterfalse, islice

from pool.table import ConnectionTable
from shard import writing
from shard.backlog import Backlog
from shard.counters import Count
from shard.phases import OPEN
from shard.writing import WriteAll

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


class Flushed(Enum):
    """What became of a backlog when its descriptor was writable."""

    WAITING = "some of it still waits"
    EMPTY = "all is out: watch for writability no longer"
    CAUGHT_UP = "all is out, but something had been left out of it meanwhile"
    LOST = "the connection is gone"


@dataclass(slots=True)
class FanOut:
    """A fan-out that is not finished: who is left, and with what."""

    fds: Iterator[int]
    left: int
    data: bytes
    droppable: bool
    tick: int


class Outbox:
    """Writes for one group.

    soft_bytes, hard_bytes  limits of one connection's backlog
    total_bytes             limit of all backlogs together
    write_all               how a slice is written

    backlog_bytes  bytes waiting in all backlogs
    """

    def __init__(
        self,
        table: ConnectionTable,
        counts: "memoryview[int]",
        soft_bytes: int,
        hard_bytes: int,
        total_bytes: int,
        write_all: WriteAll = writing.write_all,
    ) -> None:
        self.slow: dict[int, Backlog] = {}
        self.backlog_bytes = 0
        self.tick = 0
        self._table = table
        self._counts = counts
        self._soft_bytes = soft_bytes
        self._hard_bytes = hard_bytes
        self._total_bytes = total_bytes
        self._write_all = write_all
        self._gone: set[int] = set()
        self._fan_outs: deque[FanOut] = deque()
        self._allowance = SLICE

    def shut(self) -> None:
        """Nothing is written any more: let go of what writing needs."""
        self._fan_outs.clear()
        self._write_all = writing.write_all

    @property
    def pending(self) -> bool:
        """Whether a fan-out is unfinished: call `run_slice` again."""
        return bool(self._fan_outs)

    @property
    def oldest_tick(self) -> int:
        """Tick of the oldest unfinished fan-out; now when there is none."""
        return self._fan_outs[0].tick if self._fan_outs else self.tick

    def send(self, fd: int, data: bytes, droppable: bool = False, asked: bool = False) -> Sent:
        """Send `data` to one open connection, behind its backlog. It may overtake a fan-out that
        is not finished. What it `asked` for, of whatever size, is not held against it, if it has
        read everything before."""
        if self._table.phase[fd] != OPEN:
            self._counts[Count.DROPPED_CLOSED] += 1
            return Sent.DROPPED
        if fd in self.slow:
            return self._queue(fd, data, droppable)
        try:
            wrote = os.write(fd, data)
        except BlockingIOError:
            wrote = 0
        except OSError:
            self.forget(fd)
            return Sent.LOST
        self._counts[Count.WRITES] += 1
        self._counts[Count.BYTES_OUT] += wrote
        if wrote == len(data):
            return Sent.SENT
        sent = self._block(fd, data, wrote)
        if asked:
            self.slow[fd].asked = len(data) - wrote
        return sent

    def fan_out(self, fds: Collection[int], data: bytes, droppable: bool = True) -> Happened:
        """Send `data` to every one of `fds`, in order after earlier fan-outs.

        `fds` is copied. What this turn's slice has room for is written before this returns.
        """
        if not fds:
            return []
        members = list(fds)
        self._fan_outs.append(FanOut(iter(members), len(members), data, droppable, self.tick))
        return self._write_some()

    def run_slice(self) -> Happened:
        """Do the next slice of what is to be fanned out, oldest first."""
        self._allowance = SLICE
        return self._write_some()

    def _write_some(self) -> Happened:
        happened: Happened = []
        while self._fan_outs and self._allowance > 0:
            self._write_part(self._fan_outs[0], happened)
        return happened

    def _write_part(self, fan_out: FanOut, happened: Happened) -> None:
        size = min(self._allowance, fan_out.left)
        self._allowance -= size
        fan_out.left -= size
        batch: Iterable[int] = islice(fan_out.fds, size)
        if self.slow or self._gone:
            batch = ready = self._sift(list(batch), fan_out, happened)
            size = len(ready)
        unsent = 0
        for fd, took in self._write_all(batch, fan_out.data):
            unsent += len(fan_out.data) - max(took, 0)
            if took >= 0 or took == -EAGAIN:
                happened.append((fd, self._block(fd, fan_out.data, max(took, 0))))
            else:
                self.forget(fd)
                happened.append((fd, Sent.LOST))
        self._counts[Count.WRITES] += size
        self._counts[Count.BYTES_OUT] += size * len(fan_out.data) - unsent
        if not fan_out.left:
            self._fan_outs.popleft()

    def _sift(self, batch: list[int], fan_out: FanOut, happened: Happened) -> list[int]:
        """The descriptors of `batch` that may be written to; the slow ones get it queued."""
        apart = self.slow.keys() | self._gone
        ready = list(filterfalse(apart.__contains__, batch))
        if len(ready) < len(batch):
            for fd in filter(apart.__contains__, batch):
                if fd in self._gone:
                    self._counts[Count.DROPPED_CLOSED] += 1
                elif self._queue(fd, fan_out.data, fan_out.droppable) is Sent.OVERFLOWED:
                    happened.append((fd, Sent.OVERFLOWED))
        return ready

    def _block(self, fd: int, data: bytes, wrote: int) -> Sent:
        backlog = self.slow[fd] = Backlog(self.tick)
        backlog.push(memoryview(data)[wrote:] if wrote else data)
        self.backlog_bytes += backlog.size
        return Sent.BLOCKED

    def _queue(self, fd: int, data: bytes, droppable: bool) -> Sent:
        backlog = self.slow[fd]
        size = backlog.size - backlog.asked + len(data)
        if droppable and (backlog.dropped or size > self._soft_bytes):
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
        if not self._fan_outs:
            self._gone.clear()
            self._allowance = SLICE

    def stalled(self, since: int) -> list[int]:
        """The slow ones of which no byte went out since tick `since`."""
        return [fd for fd, backlog in self.slow.items() if backlog.since < since]

    def backlog(self, fd: int) -> int:
        """Bytes waiting for one connection."""
        backlog = self.slow.get(fd)
        return 0 if backlog is None else backlog.size

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
