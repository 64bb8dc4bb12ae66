"""Likes in Redis: how often each room was liked, in all, by kind.

Rules. They are sums in the room's hash, so they are gone when the room is. Shards add what they
have gathered, a partition's rooms in one call of a script, which also tells all shards of the
sums: at most so often, however many shards there are. A call has a number, and one that is made
again under it adds nothing: an answer that was lost costs no like and doubles none.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from chat.bus.keys import Keys, Retention
from chat.bus.scripts import Script
from chat.bus.servers import Servers
from chat.config.sections import MOST_LIKE_KINDS

TOLD_MS: Final = 900
"""Between two times that shards are told of a room: less than the second in which viewers are, or
shards that ask in step would miss every other one."""
NUMBER_S: Final = 86_400
"""How long a call may be made again."""

_TOTAL: Final = re.compile(r"(\S+):(\d+)")


def read_likes(packed: bytes | None) -> dict[str, int]:
    """Sums by kind, as they are kept."""
    found = _TOTAL.findall((packed or b"").decode(errors="replace"))
    return {kind: int(total) for kind, total in found}


def _written(counts: Mapping[str, int]) -> str:
    return " ".join(f"{kind}:{count}" for kind, count in counts.items())


async def room_likes(servers: Servers, keys: Keys, room: str) -> dict[str, int]:
    """A room's sums. Raises StoreError."""
    key = keys.room(room)
    return read_likes(await servers.ask(key, lambda pipe, on: pipe.hget(key, "likes")))


class LikeCounts:
    """The sums, as one shard adds to them. What goes wrong is StoreError."""

    def __init__(self, servers: Servers, keys: Keys, retention: Retention, shard: str) -> None:
        self._keys = keys
        self.retention = retention
        self._shard = shard
        self._script = Script(servers, "likes")

    async def add(
        self, partition: int, number: int, rooms: Mapping[str, Mapping[str, int]]
    ) -> tuple[int, list[str]]:
        """Add counts to rooms of a partition: how many likes were not taken, because their room has
        enough kinds; and of which rooms shards are yet to be told. `number` is another one than
        that of the call before, unless this is that call again."""
        keys = [self._keys.liked(partition, self._shard), self._keys.fanout(partition)]
        keys += map(self._keys.room, rooms)
        kept = self.retention
        args: list[Any] = [number, NUMBER_S, kept.fanout_entries, kept.ttl_s]
        args += (MOST_LIKE_KINDS, TOLD_MS)
        for room, counts in rooms.items():
            args += (room, _written(counts))
        lost, later = await self._script.run(keys, args)
        return lost, [room.decode() for room in later]
