"""Lists of words on a real Valkey: what the rules name is there, what they do not name goes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.rules import Rules
from chat.bus.store import Store
from chat.bus.wordlists import FIELD, LATE_S, SHORT_BYTES, WordLists, named
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store

ROOM = "live:42"
LONG = b"x" * (SHORT_BYTES + 1)
ROOMS = pytest.mark.parametrize("room", [ROOM, None])


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


@pytest.fixture
def lists(store: Store) -> WordLists:
    return WordLists(store)


def key_of(store: Store, room: str | None, field: bytes) -> str:
    name = named(field)
    assert name is not None
    return store.keys.words(room, name.digest)


class TestLists:
    @ROOMS
    async def test_a_short_one_is_in_the_rules_themselves(
        self, lists: WordLists, raw: Any, prefix: str, room: str | None
    ) -> None:
        field = await lists.keep(room, b"short")
        assert await lists.find(room, field) == b"short"
        assert await raw.keys(f"*{prefix}*") == []

    @ROOMS
    async def test_a_long_one_is_beside_them_and_stays(
        self, lists: WordLists, store: Store, raw: Any, room: str | None
    ) -> None:
        field = await lists.keep(room, LONG)
        assert len(field) < 100
        assert await lists.find(room, field) == LONG
        assert await raw.ttl(key_of(store, room, field)) == -1

    async def test_none_is_nothing(self, lists: WordLists) -> None:
        assert await lists.keep(ROOM, b"") == b""
        assert await lists.find(ROOM, b"") == b""
        assert await lists.field(ROOM) == b""

    @pytest.mark.parametrize("field", [b"\x00", b"junk", b"\x93\x01\x02\x03", b"\xc1"])
    async def test_what_is_none_of_ours_is_an_empty_one(
        self, lists: WordLists, field: bytes
    ) -> None:
        assert named(field) is None
        assert await lists.find(ROOM, field) == b""

    async def test_one_that_is_gone_is_none(self, lists: WordLists, store: Store, raw: Any) -> None:
        field = await lists.keep(ROOM, LONG)
        await raw.delete(key_of(store, ROOM, field))
        assert await lists.find(ROOM, field) is None

    async def test_the_same_is_named_alike(self, lists: WordLists) -> None:
        assert await lists.keep(ROOM, b"a") == await lists.keep("other", b"a")
        assert await lists.keep(ROOM, b"a") != await lists.keep(ROOM, b"b")


class TestReplacing:
    @ROOMS
    async def test_the_one_before_goes_in_a_while(
        self, lists: WordLists, store: Store, raw: Any, room: str | None
    ) -> None:
        before, after = await lists.keep(room, LONG), await lists.keep(room, LONG + b"y")
        await Rules(store).change(room, {FIELD: after})
        assert await lists.field(room) == after
        await lists.replaced(room, before, after)
        assert 0 < await raw.ttl(key_of(store, room, before)) <= LATE_S
        assert await raw.ttl(key_of(store, room, after)) == -1

    async def test_the_same_again_stays(self, lists: WordLists, store: Store, raw: Any) -> None:
        field = await lists.keep(ROOM, LONG)
        await lists.replaced(ROOM, field, field)
        assert await raw.ttl(key_of(store, ROOM, field)) == -1

    async def test_one_that_somebody_named_again_meanwhile_stays(
        self, lists: WordLists, store: Store, raw: Any
    ) -> None:
        before, after = await lists.keep(ROOM, LONG), await lists.keep(ROOM, LONG + b"y")
        await Rules(store).change(ROOM, {FIELD: before})
        await lists.replaced(ROOM, before, after)
        assert await raw.ttl(key_of(store, ROOM, before)) == -1

    async def test_one_that_was_about_to_go_stays_when_it_holds_again(
        self, lists: WordLists, store: Store, raw: Any
    ) -> None:
        first, second = await lists.keep(ROOM, LONG), await lists.keep(ROOM, LONG + b"y")
        await raw.expire(key_of(store, ROOM, second), LATE_S)
        await lists.replaced(ROOM, first, second)
        assert await raw.ttl(key_of(store, ROOM, second)) == -1
