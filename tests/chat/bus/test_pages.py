"""Pages of a stream, against a real Valkey."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.pages import BEGINNING, is_id, page, page_before, page_of_fields
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 5, 6, 100])
    async def test_all_of_them_once_in_order_and_no_page_is_empty(
        self, store: Store, raw: Any, limit: int
    ) -> None:
        stream = store.keys.reports
        for i in range(6):
            await raw.xadd(stream, {"m": str(i)})
        found: list[bytes] = []
        after: str | None = BEGINNING
        while after is not None:
            entries, after = await page(store, stream, after, limit)
            assert 0 < len(entries) <= limit
            found += [entry for _, entry in entries]
        assert found == [b"%d" % i for i in range(6)]

    async def test_there_is_none_of_what_is_not_there(self, store: Store) -> None:
        assert await page(store, store.keys.reports, BEGINNING, 9) == ([], None)
        assert await page(store, store.keys.reports, f"{2**63 - 1}-{2**63 - 1}", 9) == ([], None)

    async def test_an_entry_without_our_field_is_an_empty_one(self, store: Store, raw: Any) -> None:
        await raw.xadd(store.keys.reports, {"x": "1"}, id="7-1")
        assert await page(store, store.keys.reports, BEGINNING, 9) == ([("7-1", b"")], None)


class TestPagesBackwards:
    @pytest.mark.parametrize("limit", [1, 2, 5, 6, 100])
    async def test_all_of_them_once_newest_first(self, store: Store, raw: Any, limit: int) -> None:
        stream = store.keys.reports
        for i in range(6):
            await raw.xadd(stream, {"m": str(i)})
        entries, before = await page_before(store, stream, None, limit)
        found = [entry for _, entry in entries]
        while before is not None:
            entries, before = await page_before(store, stream, before, limit)
            assert 0 < len(entries) <= limit
            found += [entry for _, entry in entries]
        assert found == [b"%d" % i for i in reversed(range(6))]

    async def test_there_is_none_of_what_is_not_there(self, store: Store) -> None:
        assert await page_before(store, store.keys.reports, None, 9) == ([], None)
        for first in (BEGINNING, "00-0"):
            assert await page_before(store, store.keys.reports, first, 9) == ([], None)

    async def test_they_may_go_down_to_one_that_is_known(self, store: Store, raw: Any) -> None:
        stream = store.keys.reports
        for i in range(1, 7):
            await raw.xadd(stream, {"m": "x"}, id=f"{i}-0")
        found, before = await page_before(store, stream, None, 2, "3-0")
        assert ([entry_id for entry_id, _ in found], before) == (["6-0", "5-0"], "5-0")
        found, before = await page_before(store, stream, before, 2, "3-0")
        assert ([entry_id for entry_id, _ in found], before) == (["4-0"], None)
        assert await page_before(store, stream, "3-0", 2, "3-0") == ([], None)


class TestFields:
    async def pages(self, store: Store, limit: int) -> list[list[tuple[str, bytes]]]:
        """All of the kind `mute`."""
        found = []
        after: str | None = ""
        while after is not None:
            key = store.keys.rules("r")
            entries, after = await page_of_fields(store, key, "mute", after, limit)
            found.append(entries)
        return found

    @pytest.mark.parametrize("limit", [1, 2, 6, 7, 100])
    async def test_those_of_a_kind_by_name_each_once(
        self, store: Store, raw: Any, limit: int
    ) -> None:
        uids = ["guest:1", "a/b", "阿花", "😀", "u:2", "u:10", "ban:u"]
        others = {"ban:u1": "no", "v": "7", "mute": "no", "muted:u1": "no"}
        key = store.keys.rules("r")
        await raw.hset(key, mapping={f"mute:{uid}": uid for uid in uids} | others)
        pages = await self.pages(store, limit)
        assert all(len(page) <= limit for page in pages)
        assert [one for page in pages for one in page] == [
            (uid, uid.encode()) for uid in sorted(uids)
        ]

    async def test_a_name_that_is_no_text_is_left_out_and_passed(
        self, store: Store, raw: Any
    ) -> None:
        key = store.keys.rules("r")
        for name in (b"mute:a", b"mute:\xff", b"mute:\xff\xff", "mute:\U0010ffff".encode()):
            await raw.hset(key, name, "1")
        found = [whose for page in await self.pages(store, 1) for whose, _ in page]
        assert found == ["a", "\U0010ffff"]

    async def test_what_goes_meanwhile_moves_nothing_else(self, store: Store, raw: Any) -> None:
        key = store.keys.rules("r")
        await raw.hset(key, mapping={f"mute:{i}": "1" for i in range(6)})
        first, after = await page_of_fields(store, key, "mute", "", 2)
        assert after is not None
        await raw.hdel(key, "mute:0", "mute:1")
        second, _ = await page_of_fields(store, key, "mute", after, 2)
        assert [whose for whose, _ in first + second] == ["0", "1", "2", "3"]

    async def test_there_are_none_where_there_is_nothing(self, store: Store) -> None:
        assert await self.pages(store, 9) == [[]]


class TestIds:
    @pytest.mark.parametrize("text", ["0-0", "1764000000123-0", f"{2**63 - 1}-{2**63 - 1}"])
    def test_are_two_numbers(self, text: str) -> None:
        assert is_id(text)

    @pytest.mark.parametrize(
        "text", ["", "-", "+", "1", "1-", "-1", "1-1-1", " 1-1", "1-1\n", "٣-١", f"{2**63}-0"]
    )
    def test_are_nothing_else(self, text: str) -> None:
        assert not is_id(text)

    @given(st.text(max_size=50))
    def test_whatever_it_is_it_is_answered(self, text: str) -> None:
        assert is_id(text) in (True, False)
