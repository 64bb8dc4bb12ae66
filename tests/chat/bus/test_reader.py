"""Following streams of a real Valkey: which are read, and from where."""

import pytest

from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from tests.chat.bus.desk import NOTICES, Desk, running
from tests.chat.rig import until


class TestReading:
    async def test_entries_come_once_and_in_order(self, desk: Desk) -> None:
        desk.subscribe("s")
        for i in range(30):
            await desk.put("s", str(i))
        await desk.heard("s", *map(str, range(30)))

    async def test_it_begins_at_the_cursor(self, desk: Desk) -> None:
        await desk.put("s", "old")
        [cursor] = await desk.store.last_ids([desk.key("s")])
        await desk.put("s", "new")
        desk.subscribe("s", cursor)
        await desk.heard("s", "new")

    async def test_notices_are_read_from_now_on(self, valkey: EmbeddedEngine, prefix: str) -> None:
        late = Desk(valkey.url, prefix)
        await late.put(NOTICES, "before", at=b"1-0")
        async for _ in running(late):
            await late.put(NOTICES, "after")
            await late.heard(NOTICES, "after")

    async def test_a_stream_read_already_keeps_its_cursor(self, desk: Desk) -> None:
        desk.subscribe("s")
        await desk.put("s", "a")
        await desk.heard("s", "a")
        desk.subscribe("s")
        await desk.put("s", "b")
        await desk.heard("s", "a", "b")
        assert desk.reader.streams == 1

    async def test_a_stream_is_read_until_its_last_user_is_gone(self, desk: Desk) -> None:
        desk.subscribe("s")
        desk.subscribe("s")
        desk.subscribe("other")
        desk.unsubscribe("s")
        await desk.put("s", "a")
        await desk.heard("s", "a")
        done = desk.reads
        await until(lambda: desk.reads > done)
        desk.unsubscribe("s")
        assert desk.reader.streams == 1
        await desk.put("s", "unheard")  # the blocked read still asks for it
        await desk.put("other", "1")
        await desk.heard("other", "1")
        await desk.put("s", "unheard")
        await desk.put("other", "2")
        await desk.heard("other", "1", "2")
        assert desk.texts("s") == ["a"]


class TestSubscribingWhileBlocked:
    async def test_is_picked_up_at_once(self, desk: Desk) -> None:
        await until(lambda: desk.reads)
        await desk.store.ping()
        await desk.put("s", "a")
        desk.subscribe("s")
        await desk.heard("s", "a")

    async def test_one_wake_is_enough_for_many(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await until(lambda: desk.reads)
        wakes = []
        wake = Store.wake

        async def counting(store: Store, shard: str) -> None:
            wakes.append(shard)
            await wake(store, shard)

        monkeypatch.setattr(Store, "wake", counting)
        for i in range(300):
            desk.subscribe(f"s{i}")
        await desk.put("s299", "a")
        await desk.heard("s299", "a")
        assert wakes == ["s1"]

    async def test_again_and_again(self, desk: Desk) -> None:
        for i in range(30):
            await desk.put(f"s{i}", "a")
            desk.subscribe(f"s{i}")
            await desk.heard(f"s{i}", "a")
