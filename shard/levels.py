"""How full the shards of a node are, and whose turn it is to take newcomers.

    count -> board -> the least filled few -> they hold the one listener, the others rest

Rules. Shards share a listener and take from it only while they are not ahead of the least filled by
more than the slack, max(1 %, 16), so addresses have no say in who gets how many. The board is
shared memory, made before the fork; each shard writes its own places in it and everyone ranks all.
Those who live and have room come first; where nobody has, all who live may take, to say no.

Of those a few at a time, because an epoll inside an epoll wakes everyone who waits for a listener.
They are ranked by grains of a part of the slack, so the turn does not pass on at every connection.
Who sees that it is another's turn rings that one's bell: nobody has to look by the clock.

Danger: a process that is stopped, or busy for long, cannot say so. Its beat gets old with the
second tick it misses; until then whoever sees that newcomers wait and nobody takes them doubts
those whose turn it is (`pass_over`), and these take their turns again as soon as they run.
"""

import os
from collections.abc import Iterable
from enum import IntEnum, unique
from typing import Final

from pool.scoreboard import Scoreboard

SLACK: Final = 16
"""Connections one may be ahead of the least filled, where a hundredth of those is less."""
GRAINS: Final = 4
"""How many times the turn passes on while one shard goes ahead by the slack. To pass it on at every
newcomer costs a sixth of a join."""
FINE: Final = 16
"""Connections of each up to which it does so yet: a crowd of few is on all shards."""
FEW: Final = 4
"""Who may take newcomers at the same time, at most; four accept 100,000 a second."""
MAX_ACCEPTS: Final = 64
"""Newcomers of one turn."""
LATE_TICKS: Final = 2
"""A beat so old is that of a shard that does not run."""


@unique
class Column(IntEnum):
    """What the board says of each shard: how many it has, whether it can take more; at which tick
    it lived; whether it holds the listener; turns in which it took newcomers; whether others doubt
    that it runs."""

    CONNECTIONS = 0
    ROOM = 1
    BEAT = 2
    HOLDS = 3
    TURNS = 4
    DOUBTED = 5


class Levels:
    """Those of a node's `shards`; made before they are forked, and closed by who made it."""

    def __init__(self, shards: int) -> None:
        board = Scoreboard([f"shard {i}" for i in range(shards)], len(Column))
        self.shards = shards
        self.connections = board.row(Column.CONNECTIONS)
        self.room = board.row(Column.ROOM)
        self.beat = board.row(Column.BEAT)
        self.holds = board.row(Column.HOLDS)
        self.turns = board.row(Column.TURNS)
        self.doubted = board.row(Column.DOUBTED)
        self._bells = [
            os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            for _ in range(shards if shards > 1 else 0)
        ]
        # Of two one at a time, or the quicker one is given most of a small crowd.
        self._few = min(FEW, max(1, shards // 2))

    def bell(self, shard: int) -> int:
        """A descriptor that becomes readable, for epoll's edge, at each ringing; -1 where there are
        no others to ring."""
        return self._bells[shard] if self._bells else -1

    def due(self, tick: int) -> list[int]:
        """Who should hold the listener, the least filled first."""
        live = self._live(tick)
        able = [i for i in live if self.room[i]]
        if not able:
            return live[: self._few]
        count = self.connections
        least = min(count[i] for i in able)
        slack = _slack(least)
        grain, shards = min(slack // GRAINS, 1 + least // FINE), self.shards
        ranks = sorted(count[i] // grain * shards + i for i in able if count[i] - least < slack)
        return [rank % shards for rank in ranks[: self._few]]

    def most(self, shard: int, tick: int) -> int:
        """How many `shard` may take now, if its turn is due."""
        if not self.room[shard]:
            return MAX_ACCEPTS
        count, room = self.connections, self.room
        others = [count[i] for i in self._live(tick) if room[i] and i != shard]
        if not others:
            return MAX_ACCEPTS
        least = min(others)
        return max(0, min(MAX_ACCEPTS, least + _slack(least) - count[shard]))

    def ring(self, due: Iterable[int]) -> None:
        """Tell those whose turn it is and who rest."""
        for i in due:
            if not self.holds[i]:
                os.eventfd_write(self._bells[i], 1)

    def pass_over(self, shards: Iterable[int]) -> None:
        """Newcomers wait for these in vain: they do not count until they say something."""
        for i in shards:
            self.doubted[i] = 1

    def vacate(self, shard: int, tick: int) -> None:
        """`shard` is not there any more: it takes nobody, and others do."""
        self.beat[shard] = self.room[shard] = self.holds[shard] = self.connections[shard] = 0
        self.ring(self.due(tick))

    def _live(self, tick: int) -> list[int]:
        since, doubted = max(0, tick - LATE_TICKS), self.doubted
        return [i for i, beat in enumerate(self.beat) if beat > since and not doubted[i]]

    def close(self) -> None:
        while self._bells:
            os.close(self._bells.pop())


def _slack(least: int) -> int:
    return max(SLACK, least // 100)
