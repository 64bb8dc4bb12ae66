"""Lists of words in Redis: which one holds is said in the rules; a long one is kept beside them.

    {prefix}:{p}:words:ROOM:DIGEST       string   a list of a room, packed
    {{prefix}:broadcast}:words:DIGEST    string   a list of everywhere

Rules. Lists are opaque bytes here. The field of the rules names a list by a digest of it, and has
it whole if it is short, so that rules stay small: they are loaded with every room, and told in
streams. A long list is there before the rules name it; one they do not name any more stays for a
while, for shards that are late.

`None`, where a room is named, is everywhere.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.bus.rules import Rules
from chat.bus.servers import Request
from chat.bus.store import Store
from chat.wire.schema import UNREADABLE

FIELD: Final = "words"
SHORT_BYTES: Final = 8_192
"""A list of so many bytes stands in the rules itself."""
LATE_S: Final = 600
"""How long a list stays that does not hold any more."""


class Named(Struct, array_like=True, gc=False, frozen=True):
    """The field of the rules; `packed` is the list itself, if that is short."""

    digest: str
    packed: bytes = b""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Named).decode


def named(field: bytes) -> Named | None:
    """Which list holds by a field of the rules; None: none, or nothing of ours."""
    if not field:
        return None
    try:
        return _decode(field)
    except UNREADABLE:
        return None


class WordLists:
    """All lists, in one store. Its methods raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules = Rules(store)

    async def keep(self, room: str | None, packed: bytes) -> bytes:
        """Have a list where rules can name it; the field that does. b"" for none."""
        if not packed:
            return b""
        digest = blake2b(packed, digest_size=16).hexdigest()
        if len(packed) <= SHORT_BYTES:
            return _encode(Named(digest, packed))
        key = self._store.keys.words(room, digest)
        await self._store.servers.ask(key, lambda pipe, on: pipe.set(key, packed))
        return _encode(Named(digest))

    async def field(self, room: str | None) -> bytes:
        """What the rules say now."""
        return (await self._rules.fetch(room, [FIELD])).fields.get(FIELD, b"")

    async def find(self, room: str | None, field: bytes) -> bytes | None:
        """The list that a field names; None where it is not there any more."""
        name = named(field)
        if name is None:
            return b""
        if name.packed:
            return name.packed
        key = self._store.keys.words(room, name.digest)
        found: bytes | None = await self._store.servers.ask(key, lambda pipe, on: pipe.get(key))
        return found

    async def is_there(self, room: str | None, field: bytes) -> bool:
        """Whether what a field names can be found."""
        key = self._key(room, field)
        if not key:
            return True
        return bool(await self._store.servers.ask(key, lambda pipe, on: pipe.exists(key)))

    async def restore(self, room: str | None, field: bytes, packed: bytes) -> None:
        """Redis has lost what a field names; this is it."""
        key = self._key(room, field)
        await self._store.servers.ask(key, lambda pipe, on: pipe.set(key, packed, nx=True))

    async def replaced(self, room: str | None, before: bytes, after: bytes) -> None:
        """The rules name another list now: the one before goes, in a while.

        Two who change lists at once may each have named the other's: what is named stays.
        """
        keeps, goes = self._key(room, after), self._key(room, before)
        if keeps:
            await self._store.servers.ask(*_persist(keeps))
        if goes and goes != keeps:
            await self._store.servers.ask(goes, lambda pipe, on: pipe.expire(goes, LATE_S))
            if await self.field(room) == before:
                await self._store.servers.ask(*_persist(goes))

    def _key(self, room: str | None, field: bytes) -> str:
        """Where a list is kept; "" for one that is in the rules."""
        name = named(field)
        return "" if name is None or name.packed else self._store.keys.words(room, name.digest)


def _persist(key: str) -> Request:
    def persist(pipe: Any, on: object) -> object:
        return pipe.persist(key)

    return key, persist
