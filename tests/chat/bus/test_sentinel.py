"""Real Sentinels, and the masters they name one after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from chat.bus import tail as tail_module
from chat.bus.connect import StoreError
from chat.bus.store import MIN_ID, Receipt, Store
from tests.chat.bus.desk import NOTICES, running
from tests.chat.bus.desk import Desk as Reading
from tests.chat.rig import BOUND_S, a_store, outgoing, publish, until
from tests.servers import NAME, Sentinels


@pytest.fixture
async def store(sentinels: Sentinels, prefix: str) -> AsyncIterator[Store]:
    store = a_store(sentinels.url, prefix)
    yield store
    await store.close()


async def published(store: Store, text: str) -> Receipt:
    """As soon as it can be."""
    outcomes: list[Any] = [None]
    async with asyncio.timeout(BOUND_S):
        while not isinstance(outcomes[0], Receipt):
            outcomes = await store.publish([outgoing("r", text)], "e2", 1, BOUND_S)
    return outcomes[0]


class TestTheMaster:
    async def test_is_who_is_asked(self, store: Store, sentinels: Sentinels) -> None:
        await store.ping()
        await publish(store, "r", "a")
        assert (await store.servers.find("")).name == f"127.0.0.1:{sentinels.master.port}"
        assert sentinels.master.ask("EXISTS", store.keys.room("r")) == 1

    async def test_that_died_is_followed_by_its_replica(
        self, store: Store, sentinels: Sentinels
    ) -> None:
        await publish(store, "r", "a")
        gone = sentinels.master
        gone.ask("WAIT", 1, 5_000)
        gone.kill()
        again = await published(store, "b")
        assert (again.epoch, again.seq) == ("e00001", 2)

    async def test_that_was_replaced_and_does_not_know_is_left(
        self, store: Store, sentinels: Sentinels
    ) -> None:
        await publish(store, "r", "a")
        before = sentinels.master
        before.ask("WAIT", 1, 5_000)
        sentinels.fail_over()
        name = f"127.0.0.1:{sentinels.master.port}"
        async with asyncio.timeout(BOUND_S):
            while (await store.servers.find("")).name != name:
                await store.peek_room("r")
        again = await published(store, "b")
        assert (again.epoch, again.seq) == ("e00001", 2)
        assert sentinels.master.ask("XLEN", store.keys.history("r")) == 2

    async def test_is_known_by_most_of_the_sentinels(
        self, store: Store, sentinels: Sentinels
    ) -> None:
        dead, frozen, _ = sentinels.sentinels
        dead.kill()
        await store.ping()
        dead.restart()
        frozen.freeze()
        other = a_store(sentinels.url, "x")
        await other.ping()
        await other.close()

    async def test_is_nobody_when_no_sentinel_is_there(self) -> None:
        store = a_store("redis+sentinel://127.0.0.1:1,127.0.0.1:2/m", "x")
        for asked in (store.ping(), store.notify(b"x")):
            with pytest.raises(StoreError, match="no Sentinel"):
                await asked
        await store.close()

    async def test_is_nobody_when_none_knows_the_name(self, sentinels: Sentinels) -> None:
        store = a_store(sentinels.url.replace(NAME, "other"), "x")
        with pytest.raises(StoreError, match="no Sentinel"):
            await store.ping()
        await store.close()


class TestReading:
    @pytest.fixture
    async def reading(self, sentinels: Sentinels, prefix: str) -> AsyncIterator[Reading]:
        async for reading in running(Reading(sentinels.url, prefix)):
            yield reading

    async def test_goes_on_at_the_successor(self, reading: Reading, sentinels: Sentinels) -> None:
        await reading.store.notify(b"notices/a")
        await reading.heard(NOTICES, "a")
        gone = sentinels.master
        gone.ask("WAIT", 1, 5_000)
        gone.kill()
        added, tries = "", 0
        async with asyncio.timeout(BOUND_S):
            while not added:
                tries += 1
                with suppress(StoreError):
                    added = await reading.store.notify(b"notices/%d" % tries)
        await until(lambda: str(tries) in reading.texts(NOTICES), "what came after")
        texts = reading.texts(NOTICES)
        assert len(set(texts)) == len(texts)
        assert reading.resyncs

    async def test_a_master_that_was_replaced_is_read_no_more(
        self, sentinels: Sentinels, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tail_module, "CHECK_S", -1.0)
        store = a_store(sentinels.url, prefix)
        tail = store.tail("s", 300.0)
        assert await tail.read({"s": MIN_ID}, 1) == []
        sentinels.fail_over()
        async with asyncio.timeout(BOUND_S):
            with suppress(StoreError):
                while True:
                    assert await tail.read({"s": MIN_ID}, 1) == []
        await tail.close()
        await store.close()
