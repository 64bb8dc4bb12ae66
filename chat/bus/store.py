"""The node's door to Redis: what is kept there of rooms, asked for and changed.

Rules. It knows keys and scripts, not rooms' viewers, nor which server has what. What goes wrong is
StoreError.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from chat.bus.connect import StoreError, store_error
from chat.bus.keys import Keys, Retention
from chat.bus.likes import read_likes
from chat.bus.lives import Lives, first
from chat.bus.outgoing import Outgoing as Outgoing
from chat.bus.outgoing import Receipt as Receipt
from chat.bus.outgoing import RoomLimits as RoomLimits
from chat.bus.outgoing import arguments, outcomes_of
from chat.bus.places import Page, cut, read_places, removed_at
from chat.bus.scripts import Call, Script
from chat.bus.servers import Request, Server, Servers
from chat.bus.tail import Tail
from chat.bus.topology import open_servers
from chat.config.sections import Config
from chat.wire.redaction import unlapsed
from chat.wire.schema import Sequenced

MIN_ID: Final = b"0-0"

TOGETHER: Final = 64
"""Messages per call of the publish script: one or two ms of Redis' one thread."""
PEEKED: Final = 500
"""Rooms per pipeline when positions are compared: some ten ms for either side."""


@dataclass(slots=True)
class RoomState:
    """A room as Redis knows it; `fanout_id` is how far its partition's stream had come.

    `base` is the seq its epoch began at: what lies before it belonged to an earlier one; `rules`
    are the fields of their hash, if they were asked for; `likes` are sums by kind.
    """

    epoch: str
    seq: int
    base: int
    fanout_id: bytes
    places: list[Sequenced]
    rules: dict[bytes, bytes] = field(default_factory=dict)
    likes: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Peek:
    """A room's position in Redis; `found` is its message at the seq that was asked for."""

    epoch: str
    seq: int
    fanout_id: bytes
    found: Sequenced | None
    likes: dict[str, int] = field(default_factory=dict)


class Store:
    """The node's door to Redis.

    servers      where it is
    history      messages kept per room; fanout_entries: about how many per partition stream
    ttl_s        how long a room without viewers or messages is kept
    room_events  about how many of rooms getting and losing viewers per partition; 0: none
    wall_ms      milliseconds since 1970: what had its time is not given out of a history
    """

    def __init__(
        self,
        servers: Servers,
        keys: Keys,
        *,
        history: int,
        fanout_entries: int,
        ttl_s: int,
        dup_ttl_s: int = 300,
        room_events: int = 0,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.keys = keys
        self.servers = servers
        self.retention = Retention(history, fanout_entries, ttl_s)
        self._dup_ttl_s = dup_ttl_s
        self.room_events = room_events
        self._wall_ms = wall_ms
        self.lives = Lives(servers, keys)
        self._publish = Script(servers, "publish", "append")
        self._open = Script(servers, "open", "removed")
        self._page = Script(servers, "page", "removed")
        self._redact = Script(servers, "redact", "append", "removed")
        self._renew = Script(servers, "renew")

    def lane(self, room: str) -> int:
        """Rooms of one lane are published in order with each other; a lane's trouble is its own."""
        return self.keys.partition(room) if self.servers.apart else 0

    async def close(self) -> None:
        """Close what connections there are."""
        await self.servers.close()

    async def ping(self) -> None:
        """Raises StoreError when some partition could not be published in: a server does not
        answer, or may not write."""
        health = [self.keys.health(partition) for partition in range(self.keys.partitions)]
        one_each = {self.servers.of(key) or await self.servers.find(key): key for key in health}
        await self.servers.ask_all([_mark(key) for key in one_each.values()])

    async def clock_ms(self, key: str = "") -> int:
        """The clock of the Redis that has a key, milliseconds since 1970."""
        seconds, micros = await self.servers.ask(key, lambda pipe, on: pipe.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def publish(
        self, batch: Sequence[Outgoing], epoch: str, ts: int, patience_s: float = 0.0
    ) -> list[Receipt | StoreError | None]:
        """Publish messages, those of a room in order: what became of each.

        None is one that came later than in `patience_s` (0: for ever): it is not published, nor
        will be. RefusedError is one that Redis did not take, of which nothing is left there, a
        LimitedError one that the room's limits did not let by; any other StoreError is of a whole
        call of the script, whose answer did not come.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s if patience_s else 0.0
        served: dict[int, Server] = {}
        kept = self.retention
        settings = (kept.history, kept.fanout_entries, kept.ttl_s, self._dup_ttl_s, epoch, ts)

        def call(number: int, part: Sequence[int]) -> Call:
            keys, args = arguments(self.keys, [batch[i] for i in part], settings)

            def at(server: Server) -> list[Any]:
                served[number] = server
                return [server.time_ms(until) if until else 0, *args]

            return keys, at

        parts = self._parts(batch)
        calls = [call(number, part) for number, part in enumerate(parts)]
        outcomes: list[Receipt | StoreError | None] = [None] * len(batch)
        replies = await self._publish.run_each(calls, publishing=True)
        for number, (part, reply) in enumerate(zip(parts, replies, strict=True)):
            if isinstance(reply, Exception):
                error = reply if isinstance(reply, StoreError) else store_error(reply)
                places: Sequence[Any] = [error] * len(part)
            else:
                served[number].told_time(reply[0])
                places = outcomes_of(reply[1:])
            for i, place in zip(part, places, strict=False):  # none, when it was too late
                outcomes[i] = place
        return outcomes

    def _parts(self, batch: Sequence[Outgoing]) -> Sequence[Sequence[int]]:
        """Which messages of a batch share a call of the script: a partition's, where they may be
        different servers', else any."""
        if not self.servers.apart:
            every = range(len(batch))
            return [every[start : start + TOGETHER] for start in range(0, len(batch), TOGETHER)]
        parts: dict[int, list[int]] = defaultdict(list)
        for i, message in enumerate(batch):
            parts[self.keys.partition(message.room)].append(i)
        return list(parts.values())

    async def open_room(
        self,
        room: str,
        *,
        newest: int = 0,
        after: int | None = None,
        of: str = "",
        rules: bool = False,
    ) -> RoomState:
        """A room's state with its newest messages; ("", 0) where nobody has spoken yet.

        With `after`, all messages after that seq too. `of` is the epoch that seq belongs to: when
        the room has another by now, all messages of that. With `rules`, these.
        """
        partition = self.keys.partition(room)
        keys: list[Any] = [
            self.keys.room(room),
            self.keys.history(room),
            self.keys.fanout(partition),
            self.keys.life(partition),
            *([self.keys.rules(room)] if rules else ()),
        ]
        args: list[Any] = [newest, "" if after is None else after, of]
        reply = await self._open.run(keys, args)
        found, seq, base, fanout_id, entries, flat, removed, likes, life = reply
        await self.lives.read({partition: life})
        known = found.decode()
        fields = dict(zip(*[iter(flat)] * 2, strict=True))
        places = unlapsed(read_places(room, known, entries, removed), self._wall_ms())
        return RoomState(known, seq, base, fanout_id, places, fields, read_likes(likes))

    async def redact(
        self, room: str, entry: bytes, *, epoch: str, seq: int | None, uid: str | None
    ) -> tuple[int, str, int, int]:
        """Take back the message at `seq`, or all, or those of `uid`; `redact.lua` says what came
        of it. The entry is what tells of it."""
        fanout = self.keys.fanout(self.keys.partition(room))
        keys = [fanout, self.keys.room(room), self.keys.history(room)]
        kept = self.retention
        bounds = (kept.history, kept.fanout_entries, kept.ttl_s)
        args = [*bounds, room, entry, epoch, "" if seq is None else seq, uid or ""]
        outcome, found, at, count = await self._redact.run(keys, args)
        return outcome, found.decode(), at, count

    async def renew_room(self, room: str, old: str, new: str) -> None:
        """Begin epoch `new` of a room whose count was set back, unless `old` is over already."""
        await self._renew.run([self.keys.room(room)], [old, new])

    async def peek_rooms(self, positions: Sequence[tuple[str, int]]) -> list[Peek | None]:
        """Where rooms are, and their message at a seq; None for a room that is not known."""
        peeks: list[Peek | None] = []
        for start in range(0, len(positions), PEEKED):
            peeks += await self._peek(positions[start : start + PEEKED])
        return peeks

    async def _peek(self, positions: Sequence[tuple[str, int]]) -> list[Peek | None]:
        partitions = sorted({self.keys.partition(room) for room, _ in positions})
        # First, so that whatever is in the streams up to there is counted in the positions.
        asked = [_last_of(self.keys.fanout(partition)) for partition in partitions]
        asked += [self.lives.asked(partition) for partition in partitions]
        for room, seq in positions:
            head = _head_of(self.keys.room(room), "removed", "likes")
            asked += (head, _entry_of(self.keys.history(room), seq))
        answers = iter(await self.servers.ask_all(asked))
        ends = {
            partition: last[0][0] if last else MIN_ID
            for partition, last in zip(partitions, islice(answers, len(partitions)), strict=True)
        }
        lives = dict(zip(partitions, islice(answers, len(partitions)), strict=True))
        await self.lives.read(lives)
        peeks: list[Peek | None] = []
        for (room, at), head, entries in zip(positions, answers, answers, strict=True):
            epoch, seq, gone, likes = head
            if epoch is None:
                peeks.append(None)
                continue
            known = epoch.decode()
            there = read_places(room, known, entries, () if entries else removed_at(gone, at))
            end = ends[self.keys.partition(room)]
            found_there = there[0] if there else None
            peeks.append(Peek(known, int(seq or 0), end, found_there, read_likes(likes)))
        return peeks

    async def peek_room(self, room: str) -> tuple[str, int] | None:
        """A room's epoch and seq without making it."""
        return (await self.peek_heads([room]))[0]

    async def peek_heads(self, rooms: Sequence[str]) -> list[tuple[str, int] | None]:
        """Those of several."""
        heads = await self.servers.ask_all([_head_of(self.keys.room(room)) for room in rooms])
        return [None if epoch is None else (epoch.decode(), int(seq or 0)) for epoch, seq in heads]

    async def history(self, room: str, epoch: str, after: int, limit: int) -> list[Sequenced]:
        """At most `limit` places of a room after a seq, oldest first; none in another epoch."""
        page = await self.page(room, after, limit)
        return page.places if page.epoch == epoch else []

    async def page(self, room: str, after: int, limit: int) -> Page:
        """The first `limit` places of a room's history after a seq."""
        return await self._read_page(room, after, None, limit)

    async def page_before(self, room: str, before: int, limit: int) -> Page:
        """The last `limit` places of a room's history before a seq."""
        return await self._read_page(room, 0, before, limit)

    async def _read_page(self, room: str, after: int, before: int | None, limit: int) -> Page:
        keys = [self.keys.room(room), self.keys.history(room)]
        # One more than is given tells whether there are more.
        args = [after, "" if before is None else before, limit + 1]
        found, seq, entries, removed = await self._page.run(keys, args)
        page = cut(room, found.decode(), seq, entries, removed, limit, before is not None)
        page.places = unlapsed(page.places, self._wall_ms())
        return page

    async def guest_secret(self, fresh: str) -> str:
        """The secret of guests' keys that all nodes share: `fresh`, if there was none."""
        _, secret = await self.servers.ask_all(first(self.keys.guests, fresh))
        return str(secret.decode())

    async def notify(self, entry: bytes, keep: int = 10_000) -> str:
        """Append a notice to the broadcast stream; its ID."""
        key = self.keys.broadcast
        added = await self.servers.ask(
            key, lambda pipe, on: pipe.xadd(key, {"m": entry}, maxlen=keep, approximate=True)
        )
        return str(added.decode())

    async def last_ids(self, streams: Sequence[str]) -> list[bytes]:
        """The last ID of each stream, 0-0 for an empty one."""
        found = await self.servers.ask_all([_last_of(stream) for stream in streams])
        return [last[0][0] if last else MIN_ID for last in found]

    async def wake(self, shard: str) -> None:
        """Make a shard's blocked read return."""
        key = self.keys.wake(shard)
        await self.servers.ask_all(
            [
                (key, lambda pipe, on: pipe.xadd(key, {"w": ""}, maxlen=1)),
                (key, lambda pipe, on: pipe.expire(key, 3600)),
            ]
        )

    def tail(self, stream: str, block_s: float) -> Tail:
        """A connection of its own for blocking reads of streams of the feed of `stream`."""
        return Tail(self.servers, stream, block_s)


def open_store(config: Config, url: str) -> Store:
    """A door to the Redis at `url`, as configured."""
    followed = config.webhooks.wants("room_occupied", "room_vacated")
    return Store(
        open_servers(url, config.bus.timeout_ms / 1000),
        Keys(config.bus.prefix, config.bus.partitions),
        history=config.rooms.history,
        fanout_entries=config.bus.stream_entries,
        ttl_s=config.rooms.history_ttl_s,
        room_events=config.bus.stream_entries if followed else 0,
    )


def _mark(key: str) -> Request:
    return key, lambda pipe, on: pipe.set(key, "", 60)


def _last_of(stream: str) -> Request:
    return stream, lambda pipe, on: pipe.xrevrange(stream, count=1)


def _head_of(room: str, *more: str) -> Request:
    return room, lambda pipe, on: pipe.hmget(room, ["epoch", "seq", *more])


def retain(store: Store, config: Config) -> None:
    """Keep as much from now on as a configuration says that has changed."""
    rooms = config.rooms
    store.retention = replace(store.retention, history=rooms.history, ttl_s=rooms.history_ttl_s)


def _entry_of(history: str, seq: int) -> Request:
    return history, lambda pipe, on: pipe.xrange(history, f"{seq}-0", f"{seq}-0")
