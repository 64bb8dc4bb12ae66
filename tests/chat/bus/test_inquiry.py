"""Asking shards about a user, the shards played by the test, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus import inquiry as inquiry_module
from chat.bus.audit import Audit
from chat.bus.entries import Inquired, read_broadcast
from chat.bus.inquiry import KEPT_S, SILENT_S, Answers, Connection, Found, Inquiry, Seen
from chat.bus.pages import BEGINNING, page_of_fields
from chat.bus.reports import Report, Reports
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.rig import a_store
from tests.servers import Cluster

NOTHING = Found(0, [])
SOME = Found(2, [Connection("s1-1-a", "user", ["live:42"]), Connection("s1-1-b", "vip", [])])


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


@pytest.fixture
def inquiry(store: Store, monkeypatch: pytest.MonkeyPatch) -> Inquiry:
    """One that waits for those who answer for as long as a test may take."""
    monkeypatch.setattr(inquiry_module, "ANSWER_S", 60.0)
    return Inquiry(store, 0.0)


@pytest.fixture
def hasty(store: Store, monkeypatch: pytest.MonkeyPatch) -> Inquiry:
    """One that waits for nobody."""
    monkeypatch.setattr(inquiry_module, "ANSWER_S", 0.0)
    return Inquiry(store, 0.0)


async def the_question(store: Store, raw: Any) -> Inquired:
    """What stands in the broadcast stream."""
    stream = store.keys.broadcast
    while not await raw.xlen(stream):  # noqa: ASYNC110 - bounded by the test's own timeout
        await asyncio.sleep(0.002)
    found = await store.servers.ask(stream, lambda pipe, on: pipe.xrange(stream))
    asked = read_broadcast(found[-1][1][b"m"])
    assert isinstance(asked, Inquired)
    return asked


class TestAsking:
    async def test_it_is_complete_when_all_have_answered_also_those_with_nothing(
        self, inquiry: Inquiry, store: Store, raw: Any
    ) -> None:
        for shard in ("s1", "s2", "s3"):
            await inquiry.alive(shard)
        asking = asyncio.ensure_future(inquiry.ask("u1"))
        asked = await the_question(store, raw)
        assert asked.uid == "u1"
        for shard, found in (("s1", SOME), ("s2", NOTHING)):
            await inquiry.answer(asked.inquiry, shard, found)
        assert not asking.done()
        await inquiry.answer(asked.inquiry, "s3", NOTHING)
        assert await asking == Answers({"s1": SOME}, 3, 3)
        assert 0 < await raw.ttl(store.keys.found(asked.inquiry)) <= KEPT_S

    async def test_who_does_not_answer_is_counted_and_not_waited_for(self, hasty: Inquiry) -> None:
        await hasty.alive("s1")
        assert await hasty.ask("u1") == Answers({}, 0, 1)

    async def test_nobody_lives_so_nobody_is_waited_for(self, inquiry: Inquiry) -> None:
        assert await inquiry.ask("u1") == Answers({}, 0, 0)

    async def test_what_is_no_answer_of_ours_is_passed_over(
        self, inquiry: Inquiry, store: Store, raw: Any
    ) -> None:
        await inquiry.alive("s1")
        asking = asyncio.ensure_future(inquiry.ask("u1"))
        asked = await the_question(store, raw)
        await raw.hset(store.keys.found(asked.inquiry), mapping={"x": "{", b"\xff": "[]"})
        await inquiry.answer(asked.inquiry, "s1", SOME)
        assert await asking == Answers({"s1": SOME}, 1, 1)


class TestSearching:
    async def test_whom_shards_found_are_by_shard(
        self, inquiry: Inquiry, store: Store, raw: Any
    ) -> None:
        for shard in ("s1", "s2"):
            await inquiry.alive(shard)
        asking = asyncio.ensure_future(inquiry.search("阿"))
        asked = await the_question(store, raw)
        assert (asked.uid, asked.like) == ("", "阿")
        found = Found(0, [], [Seen("u1", "阿花", "vip", 2, ["live:42"])])
        await inquiry.answer(asked.inquiry, "s1", found)
        await inquiry.answer(asked.inquiry, "s2", NOTHING)
        assert await asking == Answers({"s1": found}, 2, 2)


class TestLiving:
    async def test_who_has_been_silent_is_forgotten(
        self, hasty: Inquiry, store: Store, raw: Any
    ) -> None:
        for shard in ("dead", "alive"):
            await hasty.alive(shard)
        long_ago = await store.clock_ms() - 1000 * SILENT_S - 1
        await raw.zadd(store.keys.shards, {"dead": long_ago})
        assert (await hasty.ask("u1")).known == 1
        await hasty.alive("alive")
        assert await raw.zrange(store.keys.shards, 0, -1) == ["alive"]
        assert 0 < await raw.ttl(store.keys.shards) <= 2 * SILENT_S

    async def test_who_ends_says_so(self, hasty: Inquiry, store: Store, raw: Any) -> None:
        await hasty.alive("s1")
        await hasty.gone("s1")
        assert await raw.zcard(store.keys.shards) == 0
        assert (await hasty.ask("u1")).known == 0


class TestCluster:
    async def test_what_is_of_everywhere_may_be_asked_for_there_too(
        self, cluster: Cluster, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inquiry_module, "ANSWER_S", 0.0)
        store = a_store(cluster.url, prefix)
        inquiry = Inquiry(store, 0.0)
        await inquiry.alive("s1")
        await inquiry.answer("i1", "s1", SOME)
        assert await inquiry.ask("u1") == Answers({}, 0, 1)
        await inquiry.gone("s1")
        message = Msg("r", 1, "e1-1", "u", "n", "x", 1, "scroll", 25, 1)
        assert await Reports(store).add(Report(1, "u1", message)) == (True, 0)
        assert len((await Reports(store).page(BEGINNING, 9))[0]) == 1
        await Audit(store, 9).write(b"x")
        assert len((await Audit(store, 9).page(BEGINNING, 9))[0]) == 1
        for room in (None, "r"):
            assert await page_of_fields(store, store.keys.rules(room), "mute", "", 9) == ([], None)
        await store.close()
