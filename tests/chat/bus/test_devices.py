"""Leases on users in a real Valkey: one connection has a user, and gives it up or loses it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.connect import StoreError
from chat.bus.devices import Asked, Leases, Other
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store
from tests.servers import Cluster


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


@pytest.fixture
def leases(store: Store) -> Leases:
    return Leases(store)


def asked(what: Any, uid: str, conn: str, ago_s: float = 0.0) -> Asked:
    return Asked(what, uid, conn, asyncio.get_running_loop().time() - ago_s)


async def ask(leases: Leases, what: Any, uid: str, conn: str, ago_s: float = 0.0) -> Any:
    """The other connection's name; an error where Redis did not say."""
    [answer] = await leases.settle([asked(what, uid, conn, ago_s)])
    return answer.conn if isinstance(answer, Other) else answer


class TestLeases:
    async def test_who_takes_a_user_has_it_and_is_told_who_had_it(self, leases: Leases) -> None:
        assert await ask(leases, "take", "u7", "s1-0-a") == ""
        assert await ask(leases, "take", "u7", "s1-0-a") == ""
        assert await ask(leases, "take", "u7", "s2-0-b") == "s1-0-a"
        assert await ask(leases, "keep", "u7", "s1-0-a") == "s2-0-b"
        assert await ask(leases, "keep", "u7", "s2-0-b") == ""

    async def test_who_asks_for_one_that_is_free_has_it(self, leases: Leases) -> None:
        assert await ask(leases, "keep", "u7", "s1-0-a") == ""
        assert await ask(leases, "keep", "u7", "s2-0-b") == "s1-0-a"
        assert await ask(leases, "free", "u7", "s1-0-a") == ""
        assert await ask(leases, "keep", "u7", "s2-0-b") == ""

    async def test_an_older_one_that_asks_later_does_not_take_it(
        self, store: Store, leases: Leases, raw: Any
    ) -> None:
        assert await ask(leases, "take", "u7", "s2-0-b") == ""
        before = [asked("take", "u7", "s1-0-a", ago_s=5.0), asked("keep", "u7", "s2-0-b")]
        assert await leases.settle(before) == [Other("s2-0-b", True), Other()]
        assert await leases.settle([asked("take", "u7", "s3-0-c")]) == [Other("s2-0-b", False)]

    async def test_a_time_that_means_nothing_makes_none_newer(
        self, store: Store, leases: Leases, raw: Any
    ) -> None:
        key = store.keys.device("u7")
        for nothing in (b"s1-0-a", b"s1-0-a 9999999999999"):
            await raw.set(key, nothing)
            assert await ask(leases, "take", "u7", "s2-0-b", ago_s=5.0) == "s1-0-a"
            assert await ask(leases, "keep", "u7", "s2-0-b") == ""

    async def test_only_who_has_one_gives_it_up(self, leases: Leases) -> None:
        await ask(leases, "take", "u7", "s1-0-a")
        assert await ask(leases, "free", "u7", "s2-0-b") == "s1-0-a"
        assert await ask(leases, "keep", "u7", "s2-0-b") == "s1-0-a"

    async def test_one_that_is_not_kept_ends(self, store: Store, raw: Any) -> None:
        leases = Leases(store, lease_s=20)
        await ask(leases, "take", "u7", "s1-0-a")
        key = store.keys.device("u7")
        assert 0 < await raw.ttl(key) <= 20
        await raw.expire(key, 5)
        await ask(leases, "keep", "u7", "s2-0-b")
        assert await raw.ttl(key) <= 5
        await ask(leases, "keep", "u7", "s1-0-a")
        assert 5 < await raw.ttl(key) <= 20

    async def test_users_are_asked_for_together_each_in_order(self, leases: Leases) -> None:
        uids = [f"u{i}" for i in range(50)] + ["a{b}c", "弹"]
        await leases.settle([asked("take", uid, "s1-0-a") for uid in uids])
        both = [asked("take", uid, conn) for uid in uids for conn in ("s2-0-b", "s3-0-c")]
        before = [Other("s1-0-a"), Other("s2-0-b")]
        assert await leases.settle(both) == before * len(uids)
        assert await leases.settle([]) == []

    async def test_a_redis_that_does_not_answer_is_told(
        self, own_valkey: EmbeddedEngine, prefix: str
    ) -> None:
        store = a_store(own_valkey.url, prefix)
        own_valkey.stop()
        assert isinstance(await ask(Leases(store), "take", "u7", "s1-0-a"), StoreError)
        await store.close()


async def test_in_a_cluster_each_master_has_some(cluster: Cluster, prefix: str) -> None:
    store = a_store(cluster.url, prefix, 16)
    leases = Leases(store)
    uids = [f"u{i}" for i in range(60)]
    for conn, before in (("s1-0-a", ""), ("s2-0-b", "s1-0-a")):
        found = await leases.settle([asked("take", uid, conn) for uid in uids])
        assert found == [Other(before)] * len(uids)
    await store.close()
