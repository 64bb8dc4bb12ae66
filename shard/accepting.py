"""Whether a shard takes newcomers off the listener now.

    HOLD  -(others are behind)->            REST
    REST  -(its turn, or theirs in vain)->  HOLD
    REST  -(nobody waits)->  WATCH  -(somebody has come)->  REST

Rules. The listener is in the group's epoll for good; what epoll is to tell of it changes. Who holds
it is told of all who wait. Who rests looks a moment later: when newcomers wait and no shard has
taken a turn since, those whose turn it is are passed over. When nobody waits, epoll is to tell of
the next who comes, once: where nobody comes, nobody looks. A shard alone always holds the listener.

Danger: a shard's turn may come while it decides to rest. Its bell is edge-triggered and never read,
so no ringing is lost.
"""

import logging
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shard.levels import MAX_ACCEPTS, Levels

log = logging.getLogger(__name__)

PATIENCE_S: Final = 0.1
"""How long newcomers may wait for a shard that does not move. A turn takes milliseconds; where
there are more shards than cores it may begin tens of them late."""

REST: Final = 0
HOLD: Final = select.EPOLLIN
WATCH: Final = select.EPOLLIN | select.EPOLLONESHOT


def never(_delay_s: float, _call: Callable[[], object]) -> None:
    """What is to happen later does not: a shard alone has nobody to wait for."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part in a listener: the one of `shard`, its number in `levels`. `later` calls something
    after so many seconds."""

    levels: Levels
    shard: int = 0
    later: Callable[[float, Callable[[], None]], object] = never


class Accepting:
    """One shard's, which has room for `capacity` connections.

    fd    the listener
    bell  readable when others think it this shard's turn: `look`; -1 where there are no others
    """

    def __init__(
        self, epoll: select.epoll, listener: socket.socket, capacity: int, share: Share
    ) -> None:
        self.fd = listener.fileno()
        self._levels, self._shard, self._later = share.levels, share.shard, share.later
        self.bell = self._levels.bell(self._shard)
        self._alone = self._levels.shards == 1
        self._epoll = epoll
        self._queue = select.poll()
        self._queue.register(self.fd, select.POLLIN)
        self._capacity = capacity
        self._connections = 0
        self._tick = 0
        self._turns = 0
        self._told = REST
        self._registered = self._looks = False
        self._short = self._paused = self._leaving = self._ended = False

    def start(self, tick: int) -> None:
        """Begin to take newcomers; `tick` is the time now."""
        if not self._alone:
            self._epoll.register(self.bell, select.EPOLLIN | select.EPOLLET)
        self.advance(tick)

    def advance(self, tick: int) -> None:
        """Time has come to `tick`: this shard lives, and tries again what it could not do."""
        if self._ended:
            return
        self._tick = tick
        self._short = self._paused = False
        self._levels.beat[self._shard] = tick
        self.count(self._connections)
        self.look()

    def count(self, connections: int) -> None:
        """There are so many now, half-open ones included."""
        if self._ended:
            return
        self._connections = connections
        self._levels.connections[self._shard] = connections
        unable = self._leaving or self._short or connections >= self._capacity
        self._levels.room[self._shard] = not unable

    def most(self) -> int:
        """Somebody has come: how many to take now, 0 when it is others' turn."""
        if self._alone:
            return MAX_ACCEPTS
        levels, shard = self._levels, self._shard
        if self._told == WATCH:
            self._told = REST  # which is what it is after it has told
        levels.doubted[shard] = 0
        most = 0
        if self._told == HOLD and levels.room[shard]:
            most = levels.most(shard, self._tick)
        if not most and self.look():
            most = levels.most(shard, self._tick)
        # Beyond its last place there may be others who have some.
        return min(most, self._capacity - self._connections) if levels.room[shard] else most

    def took(self, connections: int) -> None:
        """A turn of accepting is over: there are so many connections now."""
        self.count(connections)
        if not self._alone:
            self._levels.turns[self._shard] += 1
            self.look()

    def look(self) -> bool:
        """Whose turn is it? Hold the listener or rest, ring for others; whether it is ours."""
        if self._paused or self._ended:
            return False
        levels, shard = self._levels, self._shard
        levels.doubted[shard] = 0
        due = levels.due(self._tick)
        ours = self._alone or shard in due
        levels.holds[shard] = ours
        levels.ring(due)
        if ours:
            self._tell(HOLD)
        elif self._told != WATCH:
            self._rest()
        return ours

    def give_way(self) -> bool:
        """Nobody can be taken here before the next tick; whether it is others' turn then."""
        self._short = True
        self.count(self._connections)
        return not self.look()

    def leave(self) -> None:
        """Leave newcomers to others from now on, as long as there are others."""
        self._leaving = True
        self.count(self._connections)
        self.look()

    def pause(self) -> None:
        """Not even say no to anybody before the next tick."""
        self._paused = True
        self._levels.holds[self._shard] = 0
        self._tell(REST)

    def stop(self) -> None:
        """Take nobody any more."""
        if not self._ended:
            self._ended = True
            self._tell(REST)
            self._levels.vacate(self._shard, self._tick)

    def _rest(self) -> None:
        self._tell(REST)
        if not self._looks:
            self._look_later()

    def _look_later(self) -> None:
        self._looks = True
        self._turns = sum(self._levels.turns)
        self._later(PATIENCE_S, self._look_again)

    def _look_again(self) -> None:
        """After a rest: see to those who still wait, or have the next one told of."""
        levels, turns = self._levels, self._turns
        self._looks = False
        if self._paused or self._ended or self._told == HOLD:
            return
        waited = bool(self._queue.poll(0))
        if waited and sum(levels.turns) == turns:
            levels.pass_over(i for i in levels.due(self._tick) if i != self._shard)
        if waited:
            self.look()
        else:
            self._tell(WATCH)

    def _tell(self, what: int) -> None:
        """Have epoll tell of who waits, or not."""
        if what == self._told:
            return
        try:
            if self._registered:
                self._epoll.modify(self.fd, what)
            else:
                self._epoll.register(self.fd, what)
                self._registered = True
        except OSError as error:
            log.warning("not accepting for another second: %s", error)
        else:
            self._told = what
