"""Rules in Redis: those of a room and those of everywhere, loaded whole, changed field by field.

Rules. Each is one hash, which does not expire; what its fields mean is `policy`'s. A change is one
script, which also tells all shards by the stream they read anyway: it is done and told, or neither.
Every change has the next version. Who knows one and is told of the next but one has missed
something, and loads them whole; who is told of one it knows has nothing to do. Rules that are made
anew after Redis lost them are told apart by where their versions begin, which is the time.

`None`, where a room is named, is everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chat.bus.entries import Changed, pack
from chat.bus.kept import Kept, kept
from chat.bus.names import new_epoch
from chat.bus.scripts import Script
from chat.bus.servers import Request
from chat.bus.store import Store

MOST_OF_ROOM: Final = 10_000
"""Fields of a room's rules: mutes and bans, above all."""
MOST_EVERYWHERE: Final = 100_000
TOLD_BYTES: Final = 16_384
"""A field that is larger is fetched by those who need it: streams keep what they are told."""
BROADCAST_ENTRIES: Final = 10_000
GIVEN_BACK: Final = 1_000
"""Fields in one call: some ms of Redis' one thread."""
AT_ONCE: Final = 500
"""Rooms per pipeline when many are loaded again."""

CHANGED, OUTDATED, FULL = range(3)
"""What the script says."""


class Outdated(Exception):
    """The rules are of another version than was expected; nothing was changed."""


class Full(Exception):
    """There are too many mutes and bans already; nothing was changed."""


class Rules:
    """All rules, in one store."""

    def __init__(
        self,
        store: Store,
        most_of_room: int = MOST_OF_ROOM,
        most_everywhere: int = MOST_EVERYWHERE,
    ) -> None:
        self._store = store
        self._most_of_room = most_of_room
        self._most_everywhere = most_everywhere
        self._change = Script(store.servers, "change", "append")

    async def load(self, rooms: Sequence[str | None]) -> list[Kept]:
        """The rules of several rooms; None: of everywhere. Raises StoreError, as all here."""
        found: list[Any] = []
        for start in range(0, len(rooms), AT_ONCE):
            keys = map(self._store.keys.rules, rooms[start : start + AT_ONCE])
            found += await self._store.servers.ask_all([_all_of(key) for key in keys])
        return [kept(fields) for fields in found]

    async def fetch(self, room: str | None, names: Sequence[str]) -> Kept:
        """Some fields of rules; those that are not there are left out."""
        key = self._store.keys.rules(room)
        values = await self._store.servers.ask(key, lambda pipe, on: pipe.hmget(key, ["v", *names]))
        both = zip(names, values[1:], strict=True)
        there = {name: value for name, value in both if value is not None}
        return Kept(int(values[0] or 0), there)

    async def change(
        self,
        room: str | None,
        fields: Mapping[str, bytes | None],
        *,
        expected: int | None = None,
        state: bytes = b"",
    ) -> int:
        """Set fields, or take them out (None), and tell all shards; the new version.

        expected  the version these rules must have; None: any
        state     an entry that takes the room's next place in the same moment

        Raises StoreError (whether it was done is not known then: do it again), Outdated, Full.
        """
        return await self._run(room, fields, _told(fields), expected, state=state)

    async def give_back(self, room: str | None, fields: Mapping[str, bytes]) -> None:
        """Set those of these fields that are not there, which Redis has lost.

        Shards are told their names only, because what is there may be something else. Raises
        StoreError, Full.
        """
        names = list(fields)
        for start in range(0, len(names), GIVEN_BACK):
            part = names[start : start + GIVEN_BACK]
            some = {name: fields[name] for name in part}
            await self._run(room, some, Changed({}, part), None, absent=True)

    async def _run(
        self,
        room: str | None,
        fields: Mapping[str, bytes | None],
        told: Changed,
        expected: int | None,
        absent: bool = False,
        state: bytes = b"",
    ) -> int:
        keys, retention = self._store.keys, self._store.retention
        most = self._most_everywhere if room is None else self._most_of_room
        stream, length = keys.broadcast, BROADCAST_ENTRIES
        if room is not None:
            stream, length = keys.fanout(keys.partition(room)), retention.fanout_entries
        put = {name: value for name, value in fields.items() if value is not None}
        args: list[Any] = [
            *("" if expected is None else expected, most, pack(told), length),
            *(room or "", state, new_epoch(), retention.history, retention.ttl_s),
            *("1" if absent else "", len(put)),
        ]
        for name, value in put.items():
            args += (name, value)
        args += [name for name, value in fields.items() if value is None]
        touched = [keys.rules(room), stream]
        if state:
            assert room is not None, "everywhere is no room"
            touched += [keys.room(room), keys.history(room)]
        outcome, number, _, _ = await self._change.run(touched, args)
        if outcome == OUTDATED:
            raise Outdated(f"version {number}, not {expected}")
        if outcome == FULL:
            raise Full(f"{number} of {most} fields are taken")
        return int(number)


def _told(fields: Mapping[str, bytes | None]) -> Changed:
    large = [name for name, value in fields.items() if value and len(value) > TOLD_BYTES]
    return Changed({name: fields[name] for name in fields if name not in large}, large)


def _all_of(key: str) -> Request:
    return key, lambda pipe, on: pipe.hgetall(key)
