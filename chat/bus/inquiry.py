"""Asking all shards of all nodes about a user: by the broadcast stream, answered in a key.

Rules. Every shard answers, also the one that has nothing of the user: only so can it be said
whether the answer is complete. Who is to answer are the shards that lately said that they live. The
wait is bounded; who has not answered by then is counted, and waited for no longer.

Danger: anybody who reaches Redis can write into the key. What is no answer of ours is passed over.
"""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from chat.bus.entries import Inquired, pack
from chat.bus.store import Store
from chat.wire.schema import UNREADABLE

ALIVE_S: Final = 5.0
"""How often a shard says that it lives."""
SILENT_S: Final = 16.0
"""After which one that has not is none any more: three times that, and a moment."""
ANSWER_S: Final = 0.3
"""How long an answer may take, beyond the interval at which shards read."""
LOOK_S: Final = 0.01
KEPT_S: Final = 10
MOST_LISTED: Final = 100
"""Connections that a shard lists of a user; it counts them all."""
MOST_FOUND: Final = 200
"""Users that a shard lists of those that were searched for."""


class Connection(Struct):
    """One connection of a user: its `name`, as `welcome.conn` has it, and the rooms it is in.

    role     in the room that was asked about, else everywhere
    address  of the viewer, where it was asked for
    """

    name: str
    role: str
    rooms: list[str]
    address: str | None = None


class Seen(Struct):
    """A user that was searched for; `count` connections of a shard's, and their rooms."""

    uid: str
    name: str
    role: str
    count: int
    rooms: list[str]


class Found(Struct):
    """What a shard has of a user; or the users that were searched for, of very many some."""

    count: int
    connections: list[Connection]
    users: list[Seen] = []


@dataclass(frozen=True, slots=True)
class Answers:
    """By shard what was found, where anything was; `answered` of the `known` shards said so."""

    found: dict[str, Found]
    answered: int
    known: int


class Inquiry:
    """Both sides of it; `interval_s` is how often shards read. What goes wrong is StoreError."""

    def __init__(self, store: Store, interval_s: float) -> None:
        self._store = store
        self._servers = store.servers
        self._keys = store.keys
        self._wait_s = interval_s + ANSWER_S

    # --- asking --------------------------------------------------------------------------------

    async def ask(self, uid: str, addresses: bool = False, room: str = "") -> Answers:
        """What all shards have of a user, and what it is in a room; with `addresses`, also from
        where it came."""
        return await self._ask(Inquired(secrets.token_hex(8), uid, addresses, room))

    async def search(self, like: str) -> Answers:
        """Which users all shards have with this in uid or name."""
        return await self._ask(Inquired(secrets.token_hex(8), "", like=like))

    async def _ask(self, asked: Inquired) -> Answers:
        known = await self._known()
        await self._store.notify(pack(asked))
        found = await self._collect(asked.inquiry, known)
        some = {shard: one for shard, one in found.items() if one.count or one.users}
        return Answers(some, len(found.keys() & known), len(known))

    async def _known(self) -> set[str]:
        key = self._keys.shards
        since = await self._store.clock_ms(key) - 1000 * SILENT_S
        shards = await self._servers.ask(
            key, lambda pipe, on: pipe.zrangebyscore(key, since, "+inf")
        )
        return {shard.decode() for shard in shards}

    async def _collect(self, inquiry: str, known: set[str]) -> dict[str, Found]:
        """The answers, when all have come, or it is time."""
        key = self._keys.found(inquiry)
        clock = asyncio.get_running_loop().time
        until = clock() + self._wait_s
        while True:
            last = clock() >= until
            answers = await self._servers.ask(key, lambda pipe, on: pipe.hgetall(key))
            found = {shard.decode(errors="replace"): one for shard, one in answers.items()}
            if last or known <= found.keys():
                return _read(found)
            await asyncio.sleep(LOOK_S)

    # --- answering -----------------------------------------------------------------------------

    async def answer(self, inquiry: str, shard: str, found: Found) -> None:
        """What a shard has of whom was asked for."""
        key = self._keys.found(inquiry)
        answer = msgspec.json.encode(found)
        await self._servers.ask_all(
            [
                (key, lambda pipe, on: pipe.hset(key, shard, answer)),
                (key, lambda pipe, on: pipe.expire(key, KEPT_S)),
            ]
        )

    async def alive(self, shard: str) -> None:
        """A shard lives, and hears what is asked; those that have not for long are forgotten."""
        key = self._keys.shards
        now = await self._store.clock_ms(key)
        before = now - 1000 * SILENT_S
        _, _, silent = await self._servers.ask_all(
            [
                (key, lambda pipe, on: pipe.zadd(key, {shard: now})),
                (key, lambda pipe, on: pipe.expire(key, int(2 * SILENT_S))),
                (key, lambda pipe, on: pipe.zrangebyscore(key, "-inf", before)),
            ]
        )
        if silent:
            await self._servers.ask(key, lambda pipe, on: pipe.zrem(key, *silent))

    async def gone(self, shard: str) -> None:
        """A shard is about to end."""
        key = self._keys.shards
        await self._servers.ask(key, lambda pipe, on: pipe.zrem(key, shard))


def _read(answers: dict[str, bytes]) -> dict[str, Found]:
    found = {}
    for shard, answer in answers.items():
        with suppress(*UNREADABLE):
            found[shard] = msgspec.json.decode(answer, type=Found)
    return found
