"""The node's door to Redis: what is kept there of rooms, asked for and changed.

Rules. It knows keys and scripts, not rooms' viewers. Nothing is retried here, and what goes wrong
is StoreError.

Danger: every command under way holds a connection, of which a thousand rooms opened at once would
exhaust both ends, so they take turns.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from chat.bus.connect import FAILURES, RefusedError, ReusedError, StoreError, connect
from chat.bus.entries import BadEntry, digest, read
from chat.bus.keys import Keys
from chat.bus.scripts import Script
from chat.bus.tail import Tail
from chat.config.sections import Config
from chat.wire.schema import Sequenced

MIN_ID: Final = b"0-0"

PUBLISHED, DUPLICATE, REFUSED, REUSED = range(4)
"""What the publish script says of a message."""
LANES: Final = 32
"""Commands under way at once; publishing has as many again, so that nothing delays it."""
PEEKED: Final = 500
"""Rooms per pipeline when positions are compared: some ten ms for either side."""


class Outgoing(Struct, gc=False):
    """A message for the publish script. `message_id` guards against publishing it twice.

    An entry that has one must be readable.
    """

    room: str
    uid: str
    entry: bytes
    message_id: str | None = None


@dataclass(slots=True)
class Receipt:
    """Where a message ended up. `ts` is when it was first published."""

    epoch: str
    seq: int
    ts: int
    duplicate: bool


@dataclass(slots=True)
class RoomState:
    """A room as Redis knows it; `fanout_id` is how far its partition's stream had come.

    `base` is the seq its epoch began at: what lies before it belonged to an earlier one.
    """

    epoch: str
    seq: int
    base: int
    fanout_id: bytes
    places: list[Sequenced]


@dataclass(slots=True)
class Peek:
    """A room's position in Redis; `found` is its message at the seq that was asked for."""

    epoch: str
    seq: int
    fanout_id: bytes
    found: Sequenced | None


class Store:
    """The node's door to Redis.

    url          redis://, rediss:// or unix://
    timeout_s    how long a command may take
    history      messages kept per room; fanout_entries: about how many per partition stream
    ttl_s        how long a room without viewers or messages is kept
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        *,
        timeout_s: float,
        history: int,
        fanout_entries: int,
        ttl_s: int,
        dup_ttl_s: int = 300,
    ) -> None:
        self.keys = keys
        self._url = url
        self._timeout_s = timeout_s
        self._history = history
        self._fanout_entries = fanout_entries
        self._ttl_s = ttl_s
        self._dup_ttl_s = dup_ttl_s
        self._lanes = asyncio.Semaphore(LANES)
        self._publish_lanes = asyncio.Semaphore(LANES)
        self._client = connect(url, timeout_s, timeout_s)
        self._publish = Script(self._client, "publish")
        self._open = Script(self._client, "open")
        self._renew = Script(self._client, "renew")
        self._online = Script(self._client, "online")

    async def close(self) -> None:
        """Close the command client."""
        await self._client.aclose()

    async def ping(self) -> None:
        """Raises StoreError when Redis does not answer."""
        await self._ask(self._client.ping())

    async def clock_ms(self) -> int:
        """Redis' clock, milliseconds since 1970."""
        seconds, micros = await self._ask(self._client.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def publish(
        self, batch: Sequence[Outgoing], epoch: str, ts: int, deadline_ms: int
    ) -> tuple[int, list[Receipt | StoreError | None]]:
        """Publish messages, those of a room in order; (Redis' clock, what became of each).

        None is one that came later than `deadline_ms` (of Redis' clock, 0 for none): it is not
        published, nor will be. RefusedError is one that Redis did not take, of which nothing is
        left there; any other StoreError is of a whole partition, whose answer did not come.
        Raises StoreError when all share one.
        """
        parts: dict[int, list[int]] = defaultdict(list)
        for i, message in enumerate(batch):
            parts[self.keys.partition(message.room)].append(i)
        calls = [
            self._publish_call(partition, [batch[i] for i in part], epoch, ts, deadline_ms)
            for partition, part in parts.items()
        ]
        now = 0
        outcomes: list[Receipt | StoreError | None] = [None] * len(batch)
        replies = await self._publish.run_each(self._ask_to_publish, calls)
        for part, reply in zip(parts.values(), replies, strict=True):
            if isinstance(reply, Exception):
                places: Sequence[Any] = [StoreError(f"{type(reply).__name__}: {reply}")] * len(part)
            else:
                now = max(now, reply[0])
                places = _outcomes(reply[1:])
            for i, place in zip(part, places, strict=False):  # none, when it was too late
                outcomes[i] = place
        return now, outcomes

    def _publish_call(
        self, partition: int, part: Sequence[Outgoing], epoch: str, ts: int, deadline_ms: int
    ) -> tuple[list[str], list[Any]]:
        keys = [self.keys.fanout(partition)]
        kept = (self._history, self._fanout_entries, self._ttl_s, self._dup_ttl_s)
        args: list[Any] = [deadline_ms, *kept, epoch, ts]
        for message in part:
            room, content = self.keys.room(message.room), ""
            keys += (room, self.keys.history(message.room), room)
            if message.message_id is not None:
                keys[-1] = self.keys.dup(message.room, message.uid, message.message_id)
                content = digest(message.entry)
            args += (message.room, message.entry, content)
        return keys, args

    async def open_room(
        self, room: str, *, newest: int = 0, after: int | None = None, of: str = ""
    ) -> RoomState:
        """A room's state with its newest messages; ("", 0) where nobody has spoken yet.

        With `after`, all messages after that seq too. `of` is the epoch that seq belongs to: when
        the room has another by now, all messages of that.
        """
        keys: list[Any] = [
            self.keys.room(room),
            self.keys.history(room),
            self.keys.fanout(self.keys.partition(room)),
        ]
        args: list[Any] = [newest, "" if after is None else after, of]
        found, seq, base, fanout_id, entries = await self._open.run(self._ask, keys, args)
        known = found.decode()
        return RoomState(known, seq, base, fanout_id, _places(room, known, entries))

    async def renew_room(self, room: str, old: str, new: str) -> None:
        """Begin epoch `new` of a room whose count was set back, unless `old` is over already."""
        await self._renew.run(self._ask, [self.keys.room(room)], [old, new])

    async def peek_rooms(self, positions: Sequence[tuple[str, int]]) -> list[Peek | None]:
        """Where rooms are, and their message at a seq; None for a room that is not known."""
        peeks: list[Peek | None] = []
        for start in range(0, len(positions), PEEKED):
            peeks += await self._peek(positions[start : start + PEEKED])
        return peeks

    async def _peek(self, positions: Sequence[tuple[str, int]]) -> list[Peek | None]:
        pipe = self._client.pipeline(transaction=False)
        partitions = sorted({self.keys.partition(room) for room, _ in positions})
        # First, so that whatever is in the streams up to there is counted in the positions.
        for partition in partitions:
            pipe.xrevrange(self.keys.fanout(partition), count=1)
        for room, seq in positions:
            pipe.hmget(self.keys.room(room), ["epoch", "seq"])
            pipe.xrange(self.keys.history(room), f"{seq}-0", f"{seq}-0")
        found = await self._ask(pipe.execute())
        ends = {
            partition: last[0][0] if last else MIN_ID
            for partition, last in zip(partitions, found[: len(partitions)], strict=True)
        }
        answers = iter(found[len(partitions) :])
        peeks: list[Peek | None] = []
        for (room, _), (epoch, seq), entries in zip(positions, answers, answers, strict=True):
            if epoch is None:
                peeks.append(None)
                continue
            known = epoch.decode()
            found_there = next(iter(_places(room, known, entries)), None)
            at = ends[self.keys.partition(room)]
            peeks.append(Peek(known, int(seq or 0), at, found_there))
        return peeks

    async def peek_room(self, room: str) -> tuple[str, int] | None:
        """A room's epoch and seq without making it."""
        epoch, seq = await self._ask(self._client.hmget(self.keys.room(room), ["epoch", "seq"]))
        return None if epoch is None else (epoch.decode(), int(seq or 0))

    async def history(self, room: str, epoch: str, after: int, limit: int) -> list[Sequenced]:
        """At most `limit` messages of a room after a seq, oldest first."""
        return (await self.page(room, epoch, after, limit))[0]

    async def page(
        self, room: str, epoch: str, after: int, limit: int
    ) -> tuple[list[Sequenced], int]:
        """A room's `history`, and the seq it was read to, be that readable or not."""
        entries = await self._ask(
            self._client.xrange(self.keys.history(room), f"({after}-0", "+", limit)
        )
        end = int(entries[-1][0].partition(b"-")[0]) if entries else after
        return _places(room, epoch, entries), end

    async def report_online(
        self, partition: int, shard: str, counts: Sequence[tuple[str, int]], stale_ms: int
    ) -> list[int]:
        """Report this shard's viewers of rooms of one partition; the sums over all shards."""
        keys = [self.keys.top(partition), self.keys.seen(partition)]
        args: list[Any] = [shard, stale_ms, self._ttl_s]
        for room, count in counts:
            keys += (self.keys.online(room), self.keys.room(room), self.keys.history(room))
            args += (room, count)
        sums: list[int] = await self._online.run(self._ask, keys, args)
        return sums

    async def rooms_reported(self, partition: int, shard: str) -> list[str]:
        """The rooms of a partition of which `shard` has reported viewers."""
        rooms = await self._ask(self._client.zrange(self.keys.top(partition), 0, -1))
        names = [room.decode() for room in rooms]
        found = []
        for start in range(0, len(names), PEEKED):
            part = names[start : start + PEEKED]
            pipe = self._client.pipeline(transaction=False)
            for name in part:
                pipe.hexists(self.keys.online(name), shard)
            reported = await self._ask(pipe.execute())
            found += [name for name, there in zip(part, reported, strict=True) if there]
        return found

    async def top_rooms(self, count: int) -> list[tuple[str, int]]:
        """The rooms with most viewers, of all partitions."""
        pipe = self._client.pipeline(transaction=False)
        for partition in range(self.keys.partitions):
            pipe.zrevrange(self.keys.top(partition), 0, count - 1, withscores=True)
        found = await self._ask(pipe.execute())
        rooms = [(name.decode(), int(score)) for part in found for name, score in part]
        return sorted(rooms, key=lambda room: (-room[1], room[0]))[:count]

    async def online(self, room: str) -> int:
        """A room's viewers on all shards, as last reported."""
        key = self.keys.top(self.keys.partition(room))
        score = await self._ask(self._client.zscore(key, room))
        return int(score or 0)

    async def guest_secret(self, fresh: str) -> str:
        """The secret of guests' keys that all nodes share: `fresh`, if there was none."""
        pipe = self._client.pipeline(transaction=False)
        pipe.set(self.keys.guests, fresh, nx=True)
        pipe.get(self.keys.guests)
        _, secret = await self._ask(pipe.execute())
        return str(secret.decode())

    async def notify(self, entry: bytes, keep: int = 10_000) -> str:
        """Append a notice to the broadcast stream; its ID."""
        added = await self._ask(
            self._client.xadd(self.keys.broadcast, {"m": entry}, maxlen=keep, approximate=True)
        )
        return str(added.decode())

    async def last_ids(self, streams: Sequence[str]) -> list[bytes]:
        """The last ID of each stream, 0-0 for an empty one."""
        pipe = self._client.pipeline(transaction=False)
        for stream in streams:
            pipe.xrevrange(stream, count=1)
        return [found[0][0] if found else MIN_ID for found in await self._ask(pipe.execute())]

    async def wake(self, shard: str) -> None:
        """Make a shard's blocked read return."""
        key = self.keys.wake(shard)
        pipe = self._client.pipeline(transaction=False)
        pipe.xadd(key, {"w": ""}, maxlen=1)
        pipe.expire(key, 3600)
        await self._ask(pipe.execute())

    def tail(self, block_s: float) -> Tail:
        """A connection of its own for blocking reads."""
        return Tail(self._url, block_s, self._timeout_s)

    async def _ask(self, answer: Any) -> Any:
        """The answer of a coroutine of redis-py, in its turn. Raises StoreError."""
        return await _in_turn(self._lanes, answer)

    async def _ask_to_publish(self, answer: Any) -> Any:
        return await _in_turn(self._publish_lanes, answer)


async def _in_turn(lanes: asyncio.Semaphore, answer: Any) -> Any:
    try:
        async with lanes:
            return await answer
    except FAILURES as error:
        raise StoreError(f"{type(error).__name__}: {error}") from error
    finally:
        answer.close()  # if we were cancelled while it waited for its turn


def open_store(config: Config, url: str) -> Store:
    """A door to the Redis at `url`, as configured."""
    return Store(
        url,
        Keys(config.bus.prefix, config.bus.partitions),
        timeout_s=config.bus.timeout_ms / 1000,
        history=config.rooms.history,
        fanout_entries=config.bus.stream_entries,
        ttl_s=config.rooms.history_ttl_s,
    )


def _outcomes(places: Sequence[Any]) -> list[Receipt | StoreError]:
    """The publish script's four values a message."""
    return [
        Receipt(first.decode(), seq, ts, outcome == DUPLICATE)
        if outcome in (PUBLISHED, DUPLICATE)
        else _refusal(outcome, first.decode())
        for first, seq, ts, outcome in zip(*[iter(places)] * 4, strict=True)
    ]


def _refusal(outcome: int, why: str) -> RefusedError:
    return ReusedError() if outcome == REUSED else RefusedError(why)


def _places(room: str, epoch: str, entries: Sequence[Any]) -> list[Sequenced]:
    """History entries at their places; their ID is seq-0, their one field the entry.

    A script gives fields as a list, redis-py as a dict. What is no entry of ours is left out.
    """
    places = []
    for entry_id, fields in entries:
        entry = fields.get(b"m", b"") if isinstance(fields, dict) else fields[1]
        with suppress(BadEntry):
            places.append(read(entry, room, epoch, int(entry_id.partition(b"-")[0])))
    return places
