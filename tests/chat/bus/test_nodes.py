"""What nodes tell each other of themselves, on a real Valkey."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.nodes import GONE_S, STALE_S, Nodes, own_name
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


class TestNodes:
    async def test_each_sees_all_and_what_it_told_last(self, store: Store) -> None:
        nodes = Nodes(store)
        assert await nodes.all() == {}
        assert await nodes.tell("a:1", b"{}") == {"a:1": b"{}"}
        assert await nodes.tell("b:1", b"1:2") == {"a:1": b"{}", "b:1": b"1:2"}
        assert await nodes.tell("a:1", b"[]") == {"a:1": b"[]", "b:1": b"1:2"}
        assert await nodes.all() == {"a:1": b"[]", "b:1": b"1:2"}

    async def test_who_ends_says_so(self, store: Store) -> None:
        nodes = Nodes(store)
        await nodes.tell("a", b"x")
        await nodes.gone("a")
        await nodes.gone("nobody")
        assert await nodes.all() == {}

    async def test_who_begins_where_another_was_takes_its_place(self, store: Store) -> None:
        nodes = Nodes(store)
        for name in ("host:1:7", "host:1:8", "host:12:7", "other:1:7"):
            await nodes.tell(name, b"x")
        await nodes.begun("host:1:8", "host:1")
        assert sorted(await nodes.all()) == ["host:12:7", "host:1:8", "other:1:7"]
        await nodes.begun("host:1:9", "host:1")
        assert sorted(await nodes.all()) == ["host:12:7", "other:1:7"]
        await nodes.begun("new:1:1", "new:1")

    async def test_this_node_is_not_another_whatever_its_port(self, store: Store) -> None:
        nodes = Nodes(store)
        assert not await nodes.has_others()
        await nodes.tell(own_name(8000), b"x")
        assert not await nodes.has_others()
        for name in ("elsewhere:8000:7", f"{own_name(8000)}0", "x"):
            await nodes.tell(name, b"x")
            assert await nodes.has_others()
            await nodes.gone(name)
        assert not await nodes.has_others()

    async def test_who_says_nothing_for_long_is_none_and_is_taken_out(
        self, store: Store, raw: Any
    ) -> None:
        nodes, now = Nodes(store), await store.clock_ms()
        old = now - int(STALE_S * 1000) - 1
        await raw.hset(store.keys.nodes, mapping={"old": f"{old}:x", "new": f"{now}:y"})
        assert await nodes.all() == {"new": b"y"}
        assert await nodes.tell("a", b"z") == {"new": b"y", "a": b"z"}
        assert sorted(await raw.hkeys(store.keys.nodes)) == ["a", "new"]
        assert 0 < await raw.ttl(store.keys.nodes) <= GONE_S

    @pytest.mark.parametrize("junk", [b"", b"x", b":", b"-1:x", b"9" * 5000 + b":x", b"1.5:x"])
    async def test_what_is_none_of_ours_is_passed_over(
        self, store: Store, raw: Any, junk: bytes
    ) -> None:
        nodes = Nodes(store)
        await raw.hset(store.keys.nodes, b"\xff", junk)
        assert await nodes.all() == {}
        assert await nodes.tell("a", b"x") == {"a": b"x"}
        assert await raw.hkeys(store.keys.nodes) == ["a"]
