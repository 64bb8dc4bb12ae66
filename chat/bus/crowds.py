"""How many watch each room, over all shards: reported by each, and read by who wants to know.

Rules. One script reports, sums and forgets. A shard that says nothing for three intervals does not
count, nor does a room that nobody reports for so long, whether or not somebody is left to take it
out. Users are counted by HyperLogLog, to 0.8 %; nobody keeps a list of who they were.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from chat.bus.scripts import Script
from chat.bus.servers import Request
from chat.bus.store import PEEKED, Store

STALE: Final = 3
"""Intervals of silence."""
NOBODY: Final[Mapping[str, Sequence[str]]] = {}


class Crowd(Struct, frozen=True):
    """The viewers of a room.

    online  now, as last reported
    peak    most at once, and when that was, ms since 1970: both 0 where nobody was there lately
    unique  users and guests that have been there, about
    """

    room: str
    online: int
    peak: int
    peak_at: int
    unique: int


class Crowds:
    """Those of all rooms; each shard reports them every `interval_s`."""

    def __init__(self, store: Store, interval_s: int) -> None:
        self._store = store
        self._keys = store.keys
        self._stale_ms = STALE * 1000 * interval_s
        self._report = Script(store.servers, "online")

    # --- for shards ----------------------------------------------------------------------------

    async def report(
        self,
        partition: int,
        shard: str,
        counts: Sequence[tuple[str, int]],
        uids: Mapping[str, Sequence[str]] = NOBODY,
    ) -> list[int]:
        """Report a shard's viewers of rooms of one partition, and the uids that came since they
        were last reported; the sums over all shards."""
        named = self._keys.top, self._keys.seen, self._keys.events
        keys = [name(partition) for name in named]
        args: list[Any] = [shard, self._stale_ms, self._store.retention.ttl_s]
        args.append(self._store.room_events)
        for room, count in counts:
            keys += (self._keys.online(room), self._keys.room(room), self._keys.history(room))
            keys += (self._keys.crowd(room), self._keys.users(room))
            came = uids.get(room, ())
            args += (room, count, len(came), *came)
        sums: list[int] = await self._report.run(keys, args)
        return sums

    async def reported(self, partition: int, shard: str) -> list[str]:
        """The rooms of a partition of which `shard` has reported viewers."""
        top, servers = self._keys.top(partition), self._store.servers
        rooms = await servers.ask(top, lambda pipe, on: pipe.zrange(top, 0, -1))
        names = [room.decode() for room in rooms]
        found = []
        for start in range(0, len(names), PEEKED):
            part = names[start : start + PEEKED]
            asked = [_reports(self._keys.online(name), shard) for name in part]
            there = await servers.ask_all(asked)
            found += [name for name, one in zip(part, there, strict=True) if one]
        return found

    # --- for who wants to know -----------------------------------------------------------------

    async def top(self, count: int) -> list[Crowd]:
        """The rooms with most viewers, of all partitions."""

        def top(key: str) -> Request:
            return key, lambda pipe, on: pipe.zrevrange(key, 0, count - 1, withscores=True)

        asked = [top(self._keys.top(one)) for one in range(self._keys.partitions)]
        clock, *found = await self._store.servers.ask_all([_clock(asked[0][0]), *asked])
        rooms = [(name.decode(), score) for part in found for name, score in part]
        rooms = sorted(rooms, key=lambda room: (-room[1], room[0]))[:count]
        more = [request for room, _ in rooms for request in self._more(room)]
        answers = iter(await self._store.servers.ask_all(more))
        every = zip(rooms, answers, answers, answers, strict=True)
        crowds = [self._crowd(*room, clock, *known) for room, *known in every]
        return [one for one in crowds if one.online]

    async def of(self, room: str) -> Crowd:
        """The viewers of a room."""
        top = self._keys.top(self._keys.partition(room))
        score = top, lambda pipe, on: pipe.zscore(top, room)
        asked = [_clock(top), score, *self._more(room)]
        clock, online, *known = await self._store.servers.ask_all(asked)
        return self._crowd(room, online, clock, *known)

    def _more(self, room: str) -> Sequence[Request]:
        """When a room was last reported, its peak and its users."""
        seen = self._keys.seen(self._keys.partition(room))
        crowd, users = self._keys.crowd(room), self._keys.users(room)
        return (
            (seen, lambda pipe, on: pipe.zscore(seen, room)),
            (crowd, lambda pipe, on: pipe.hmget(crowd, ["peak", "peak_at"])),
            (users, lambda pipe, on: pipe.pfcount(users)),
        )

    def _crowd(
        self,
        room: str,
        online: float | None,
        clock: tuple[int, int],
        seen: float | None,
        most: Sequence[bytes | None],
        unique: int,
    ) -> Crowd:
        seconds, micros = clock
        fresh = seen is not None and seconds * 1000 + micros // 1000 - seen <= self._stale_ms
        peak, at = (int(one or 0) for one in most)
        return Crowd(room, int(online or 0) if fresh else 0, peak, at, unique)


def _clock(key: str) -> Request:
    return key, lambda pipe, on: pipe.time()


def _reports(online: str, shard: str) -> Request:
    return online, lambda pipe, on: pipe.hexists(online, shard)
