"""What is due when: requests that take too long, pings, silence, closes nobody answers.

Rules. One entry in the wheel a connection, and a byte received stores nothing but its tick: a visit
looks whether the deadline really came, and files the connection again if not. What is due is
returned; the group acts on it, or spares whose silence others judge.

After a pause of ours (the process stopped, the machine suspended or starved: ticks are missing)
no peer is to blame for the time we were not there. What we asked before it does not count as asked:
who would be given up is pinged anew and has the whole timeout; `awake` says whether a stalled
reader had its time. Two deadlines are kept, because a turn reads what has come before it meets
them: a request that was complete in time is answered, and a close we wait for only out of courtesy.
To prolong these would let who is slow on purpose hold a place for longer on a starved machine.
"""

import random
from enum import Enum
from itertools import islice
from typing import Final

from pool.table import ConnectionTable
from shard.phases import CLOSING, HANDSHAKE, OPEN
from shard.settings import Settings
from shard.wheel import TimingWheel

MAX_VISITS: Final = 2048
SLEPT_TICKS: Final = 2
"""A step of the clock by more is a pause of ours."""

PINGED: Final = 1
"""A flag: asked whether it lives, and not heard since."""
ASKED: Final = 2
"""A flag: asked once, at least."""


class Due(Enum):
    """What has come for a connection."""

    PING = "ping"
    SILENT = "it did not answer a ping"
    LATE = "its request is not complete"
    UNANSWERED = "our close was not answered"


class Deadlines:
    """One group's; `chance` jitters first pings."""

    def __init__(self, table: ConnectionTable, settings: Settings, chance: random.Random) -> None:
        self.behind = False
        self._tick = 0
        self._woke = 0
        self._table = table
        self._settings = settings
        self._answers = tuple(offer.wire.answers_pings for offer in settings.terms.offers)
        self._jitter = chance.random
        self._wheel = TimingWheel(table.due)
        self._half_open: dict[int, int] = {}

    def start(self, tick: int) -> None:
        """`tick` is the time now, before anything is filed."""
        self._tick = tick
        self._wheel.start(tick)

    def advance(self, tick: int) -> None:
        """Time has come to `tick`: `due` tells, in parts, what that brings."""
        if tick - self._tick > SLEPT_TICKS:
            self._woke = tick
        self._tick = tick
        self.behind = True

    def awake(self, ticks: int) -> bool:
        """Whether the last `ticks` passed without a pause of ours."""
        return self._tick - self._woke >= ticks

    def arrived(self, fd: int) -> None:
        """A connection has to make its request in time."""
        self._half_open[fd] = self._tick
        # One tick more: the current one has partly gone by.
        self._wheel.file(fd, self._tick + self._settings.handshake_ticks + 1)

    def opened(self, fd: int) -> None:  # hot: once per viewer that connects
        """A connection is open: it is pinged when it has been silent."""
        ping = self._settings.ping_ticks
        if self._half_open:
            self._half_open.pop(fd, None)
        # Jitter: those who came together are not pinged together. It lies in `seen`, because a
        # visit before its time only files again.
        seen = self._tick - int(self._jitter() * ping / 2)
        if seen < 0:  # max() would cost more than all else here
            seen = 0
        self._table.seen[fd] = seen
        self._wheel.file(fd, seen + ping)

    def spare(self, fd: int) -> None:
        """Its silence is no sign of anything: neither ping it nor give it up, for a period."""
        self._table.flags[fd] &= ~PINGED
        self._wheel.file(fd, self._tick + self._settings.ping_ticks)

    def closing(self, fd: int) -> None:
        """A connection has to answer our close in time."""
        self._wheel.file(fd, self._tick + self._settings.close_ticks)

    def over(self, fd: int) -> None:
        """Nothing of this connection is due any more."""
        self._wheel.cancel(fd)
        if self._half_open:
            self._half_open.pop(fd, None)

    def half_open(self, most: int) -> list[int]:
        """Connections whose request was not complete at the last tick: the oldest, so many."""
        oldest = islice(self._half_open.items(), most)
        return [fd for fd, arrived in oldest if arrived < self._tick]

    def due(self) -> list[tuple[int, Due]]:
        """What is due for whom; a part of it while `behind`."""
        rows, reached = self._wheel.turn_to(self._tick, MAX_VISITS)
        self.behind = not reached
        found: list[tuple[int, Due]] = []
        for fd in rows:
            phase = self._table.phase[fd]
            if phase == OPEN:
                what = self._visit(fd)
                if what is not None:
                    found.append((fd, what))
            elif phase == HANDSHAKE:
                found.append((fd, Due.LATE))
            elif phase == CLOSING:
                found.append((fd, Due.UNANSWERED))
        return found

    def _visit(self, fd: int) -> Due | None:
        """Ping the silent, give up the dead, file everyone else again."""
        table, settings, tick = self._table, self._settings, self._tick
        silent = tick - table.seen[fd]
        if silent < settings.ping_ticks:
            table.flags[fd] &= ~PINGED
            self._wheel.file(fd, table.seen[fd] + settings.ping_ticks)
            return None
        if not self._answers[table.variant[fd]]:
            self._wheel.file(fd, tick + settings.ping_ticks)
            return Due.PING
        unanswered = silent >= settings.ping_ticks + settings.timeout_ticks
        # A question is a timeout old when it comes to this: asked since we woke, or before.
        if table.flags[fd] & PINGED and unanswered and self.awake(settings.timeout_ticks):
            return Due.SILENT
        # For the first time, or silent again since an answer (a timeout may be the longer one), or
        # anew.
        table.flags[fd] |= PINGED | ASKED
        self._wheel.file(fd, tick + settings.timeout_ticks)
        return Due.PING
