"""Pages of a stream, against a real Valkey."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.pages import BEGINNING, is_id, page
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
