"""Reading a real Valkey's streams together: pacing, and what is left after a break."""

import asyncio

import pytest

from chat.bus import feed as feed_module
from chat.ops.engine import EmbeddedEngine
from tests.chat.bus.desk import NOTICES, Desk, running
from tests.chat.rig import until

FAR_FUTURE = b"99999999999999-0"


class TestPacing:
    async def test_while_it_is_idle_it_waits_in_one_read(self, desk: Desk) -> None:
        await until(lambda: desk.reads)
        for _ in range(100):
            await desk.store.ping()
        assert desk.reads == 1

    async def test_a_first_message_is_read_at_once(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        unhurried = Desk(valkey.url, prefix, interval_s=3_600.0)
        async for _ in running(unhurried):
            await unhurried.put(NOTICES, "first")
            await unhurried.heard(NOTICES, "first")

    async def test_nothing_is_read_while_the_last_batch_is_still_going_out(
        self, desk: Desk
    ) -> None:
        written: list[int] = []
        desk.reader.written = lambda: written.append(len(desk.batches))
        await until(lambda: desk.reads == 1)
        desk.lagging = True
        await desk.put(NOTICES, "a")
        await desk.heard(NOTICES, "a")
        await desk.put(NOTICES, "b", "c")
        for _ in range(100):
            await desk.store.ping()
        assert (desk.reads, written) == (1, [])
        desk.lagging = False
        await desk.heard(NOTICES, "a", "b", "c")
        assert desk.batches == [1, 2]
        await until(lambda: written == [1, 2])

    async def test_of_one_read_a_stream_waits_until_the_one_before_is_written(
        self, desk: Desk
    ) -> None:
        desk.subscribe("s")
        await until(lambda: desk.reads)
        desk.slow = True
        await desk.put(NOTICES, "a")
        await until(lambda: desk.lagging)
        await desk.put(NOTICES, "b")
        await desk.put("s", "c")
        desk.lagging, reads = False, desk.reads
        await until(lambda: desk.lagging)
        for _ in range(100):
            await desk.store.ping()
        assert desk.batches == [1, 1]
        desk.lagging = False
        await until(lambda: desk.batches == [1, 1, 1])
        assert desk.reads == reads + 1
        desk.slow = desk.lagging = False
        await desk.heard("s", "c")

    async def test_busy_it_reads_at_most_once_an_interval(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        desk = Desk(valkey.url, prefix, interval_s=0.05)
        loop = asyncio.get_running_loop()
        async for _ in running(desk):
            desk.subscribe("s")
            began = loop.time()
            for i in range(500):
                await desk.put("s", str(i))
            await desk.heard("s", *map(str, range(500)))
            # One that waited for the first, one for the wake of subscribing.
            assert len(desk.batches) <= (loop.time() - began) / 0.05 + 2
            assert len(desk.batches) < 500

    async def test_behind_it_reads_on_at_once(self, valkey: EmbeddedEngine, prefix: str) -> None:
        desk = Desk(valkey.url, prefix, interval_s=3_600.0, count=10)
        await desk.put("s", *map(str, range(49)))
        desk.subscribe("s")  # before the first read, so nothing has to be woken
        async for _ in running(desk):
            await desk.heard("s", *map(str, range(49)))
            assert desk.batches == [10, 10, 10, 10, 9]


class TestAfterABreak:
    async def test_it_goes_on_without_loss(self, own_desk: Desk) -> None:
        own_desk.subscribe("s")
        await own_desk.put("s", "a")
        await own_desk.heard("s", "a")
        await own_desk.break_connections()
        await own_desk.put("s", "b", "c")
        await own_desk.heard("s", "a", "b", "c")
        assert own_desk.resyncs == 1
        assert own_desk.reader.connected

    async def test_whatever_was_cut_while_it_was_busy(self, own_desk: Desk) -> None:
        own_desk.subscribe("s")
        for i in range(200):
            await own_desk.put("s", str(i))
            if i % 20 == 10:
                await own_desk.cut_connections()
        await own_desk.heard("s", *map(str, range(200)))

    async def test_a_valkey_that_came_back_empty_is_read_from_its_beginning(
        self, own_desk: Desk, own_valkey: EmbeddedEngine
    ) -> None:
        own_desk.subscribe("s")
        for stream in ("s", NOTICES):
            await own_desk.put(stream, "old", at=FAR_FUTURE)
            await own_desk.heard(stream, "old")
        own_valkey.restart()
        await until(lambda: own_desk.resyncs, "the comparison")
        for stream in ("s", NOTICES):
            await own_desk.put(stream, "new")
            await own_desk.heard(stream, "old", "new")

    async def test_what_was_read_is_not_read_again_when_the_end_was_lost(
        self, own_desk: Desk
    ) -> None:
        for at in (b"99999999999991-0", b"99999999999992-0", b"99999999999993-0"):
            await own_desk.put(NOTICES, at.decode(), at=at)
        await until(lambda: len(own_desk.found) == 3)
        await own_desk.raw.delete(own_desk.key(NOTICES))
        await own_desk.put(NOTICES, "kept", at=b"99999999999991-0")
        await own_desk.put(NOTICES, "kept", at=b"99999999999992-0")
        await own_desk.break_connections()
        await until(lambda: own_desk.resyncs, "the comparison")
        await own_desk.put(NOTICES, "new", at=b"99999999999992-1")
        await until(lambda: len(own_desk.found) == 4)
        assert own_desk.texts(NOTICES)[3:] == ["new"]

    async def test_it_does_not_mind_how_long_nobody_is_there(
        self,
        own_desk: Desk,
        own_valkey: EmbeddedEngine,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Nor does it say so more than once."""
        caplog.set_level("INFO", "chat.bus.reader")
        monkeypatch.setattr(feed_module, "RETRY_FIRST_S", 0.001)
        monkeypatch.setattr(feed_module, "RETRY_MOST_S", 0.002)
        own_desk.subscribe("s")
        await own_desk.raw.ping()
        own_valkey.socket_path.rename(own_valkey.socket_path.with_suffix(".away"))
        await own_desk.cut_connections()
        await until(lambda: own_desk.reader.errors > 20, "many tries")
        assert not own_desk.reader.connected
        own_valkey.socket_path.with_suffix(".away").rename(own_valkey.socket_path)
        await own_desk.put("s", "a")
        await own_desk.heard("s", "a")
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


class TestFaultsOfOurs:
    async def test_entries_nobody_can_use_do_not_end_it(self, desk: Desk) -> None:
        desk.subscribe("s")
        desk.trouble.append(RuntimeError("cannot use this"))
        await desk.put("s", "a")
        await desk.heard("s", "a")
        await desk.put("s", "b")
        await desk.heard("s", "a", "b")
        assert desk.reader.errors == 0

    async def test_nor_does_a_comparison_that_fails(self, own_desk: Desk) -> None:
        own_desk.subscribe("s")
        await until(lambda: own_desk.reads)
        own_desk.trouble.append(RuntimeError("cannot compare"))
        await own_desk.break_connections()
        await own_desk.put("s", "a")
        await own_desk.heard("s", "a")
        assert own_desk.resyncs == 2
