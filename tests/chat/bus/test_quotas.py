"""Quotas on a real Valkey: they hold for all who ask, and nobody waits for a Redis that is away."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.bus.quotas import MOST_KEYS, Quota
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import a_store, new_prefix
from tests.servers import Cluster


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


def a_quota(store: Store, per_s: float = 0.01, burst: int = 2, kind: str = "user") -> Quota:
    return Quota(store, kind, per_s, burst, asyncio.get_running_loop().time)


def passed(names: list[str], waits: list[float]) -> Counter[str]:
    assert len(names) == len(waits)
    return Counter(name for name, wait in zip(names, waits, strict=True) if not wait)


async def set_back(store: Store, raw: Any, name: str, seconds: float) -> None:
    """Let some seconds pass for a user."""
    key = store.keys.quota("user", name)
    await raw.set(key, float(await raw.get(key)) - seconds * 1000, px=60_000)


class TestTaking:
    async def test_each_has_a_burst_of_its_own_and_is_told_how_long_to_wait(
        self, store: Store
    ) -> None:
        waits = await a_quota(store).take(["u", "v", "u", "u", "v", "w", "u"])
        assert waits[:3] == [0, 0, 0]
        assert waits[4:6] == [0, 0]
        assert 0 < waits[3] <= 100
        assert waits[6] == waits[3]

    async def test_all_who_ask_share_it(self, store: Store, valkey: EmbeddedEngine) -> None:
        other = Store(store.servers, store.keys, history=1, fanout_entries=1, ttl_s=1)
        assert await a_quota(store).take(["u"]) == [0]
        assert await a_quota(other).take(["u"]) == [0]
        assert (await a_quota(store).take(["u"]))[0] > 0

    async def test_users_and_addresses_of_the_same_name_are_apart(self, store: Store) -> None:
        assert await a_quota(store, burst=1).take(["::1"]) == [0]
        assert await a_quota(store, burst=1, kind="address").take(["::1"]) == [0]

    async def test_the_wait_is_enough_and_what_was_refused_has_cost_nothing(
        self, store: Store, raw: Any
    ) -> None:
        quota = a_quota(store, per_s=0.1, burst=1)
        assert await quota.take(["u"]) == [0]
        for _ in range(3):
            [wait] = await quota.take(["u"])
            assert 5 < wait <= 10
        await set_back(store, raw, "u", wait)
        assert await quota.take(["u"]) == [0]

    async def test_silence_saves_up_no_more_than_a_burst(self, store: Store, raw: Any) -> None:
        quota = a_quota(store, per_s=0.1, burst=3)
        await quota.take(["u"])
        await set_back(store, raw, "u", 9_999)
        assert passed(["u"] * 9, await quota.take(["u"] * 9)) == {"u": 3}

    async def test_it_is_forgotten_when_it_means_nothing_any_more(
        self, store: Store, raw: Any
    ) -> None:
        await a_quota(store, per_s=0.1, burst=9).take(["u", "u"])
        assert 0 < await raw.pttl(store.keys.quota("user", "u")) <= 20_000

    async def test_a_clock_that_was_set_back_locks_nobody_out(self, store: Store, raw: Any) -> None:
        quota = a_quota(store, burst=1)
        await quota.take(["u"])
        await set_back(store, raw, "u", -3_600)
        assert await quota.take(["u"]) == [0]

    async def test_any_number_of_names_and_any_name(self, store: Store) -> None:
        quota = a_quota(store, burst=1)
        assert await quota.take([]) == []
        names = [f"u{i}" for i in range(2 * MOST_KEYS + 1)] + ["", "{", "}{a}", "幕 x", ":"]
        assert await quota.take(names) == [0] * len(names)
        assert all(await quota.take(names))

    @given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 9), st.integers(1, 9))
    @settings(max_examples=25, deadline=None)
    def test_those_that_come_first_are_let_by(
        self, valkey: EmbeddedEngine, names: list[str], burst: int, already: int
    ) -> None:
        async def waits() -> list[float]:
            store = a_store(valkey.url, new_prefix())
            quota = a_quota(store, per_s=0.001, burst=burst)
            await quota.take(["a"] * already)
            found = await quota.take(names)
            await store.close()
            return found

        left = {"a": max(0, burst - already), "b": burst, "c": burst}
        for name, wait in zip(names, asyncio.run(waits()), strict=True):
            assert (wait == 0) == (left[name] > 0)
            left[name] -= 1


class TestAway:
    async def test_one_round_trip_for_all(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quota = a_quota(store)
        calls: list[int] = []
        ask = store.servers.ask_each

        async def counted(requests: Any, **options: Any) -> Any:
            calls.append(len(requests))
            return await ask(requests, **options)

        await quota.take(["warm"])
        monkeypatch.setattr(store.servers, "ask_each", counted)
        await quota.take([f"u{i}" for i in range(MOST_KEYS)])
        assert calls == [1]

    async def test_nobody_is_refused_nor_asked_for_long(
        self, own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = a_store(own_valkey.url, "x", timeout_s=0.5)
        quota = Quota(store, "user", 0.1, 1, lambda: 1_000.0)
        assert await quota.take(["u"]) == [0]
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        for _ in range(5):
            assert await quota.take(["u"]) == [0]
        asked = quota._script.run_each
        calls: list[int] = []

        async def noted(calls_made: Any, **options: Any) -> Any:
            calls.append(len(calls_made))
            return await asked(calls_made, **options)

        monkeypatch.setattr(quota._script, "run_each", noted)
        for _ in range(10):
            assert await quota.take(["u", "v"]) == [0, 0]
        assert calls == [0] * 10  # the circuit is open
        os.kill(own_valkey.pid, signal.SIGCONT)
        await store.close()

    async def test_a_quota_that_cannot_be_read_lets_by(self, store: Store, raw: Any) -> None:
        await raw.lpush(store.keys.quota("user", "u"), "not a string")
        assert await a_quota(store, burst=1).take(["u", "u"]) == [0, 0]


class TestInACluster:
    async def test_each_is_asked_for_where_it_is(self, cluster: Cluster, prefix: str) -> None:
        store = a_store(cluster.url, prefix, 16)
        quota = a_quota(store, per_s=0.01, burst=1)
        names = [f"u{i}" for i in range(60)]
        assert await quota.take(names) == [0] * 60
        assert all(await quota.take(names))
        await store.close()
