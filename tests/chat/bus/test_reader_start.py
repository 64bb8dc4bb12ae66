"""A reader that begins while Redis is away: nobody waits for it, and nothing is missed."""

import os
import signal

import pytest

from chat.bus import feed as feed_module
from chat.bus import reader as reader_module
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from tests.chat.bus.desk import NOTICES, Desk, running
from tests.chat.rig import new_prefix, until


class TestStartingWhileNobodyIsThere:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed_module, "RETRY_FIRST_S", 0.001)
        monkeypatch.setattr(feed_module, "RETRY_MOST_S", 0.002)
        monkeypatch.setattr(reader_module, "FIRST_S", 300.0)

    async def test_it_begins_when_redis_first_answers(
        self, own_valkey: EmbeddedEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk = Desk(own_valkey.url, new_prefix())
        away = own_valkey.socket_path.with_suffix(".away")
        await desk.put(NOTICES, "before")
        own_valkey.socket_path.rename(away)
        async for _ in running(desk):
            await until(lambda: desk.reader.errors > 3, "many tries")
            assert not desk.reader.connected
            desk.subscribe("s")
            await desk.put("s", "a")  # over a connection that was there before
            await desk.put(NOTICES, "meanwhile")
            away.rename(own_valkey.socket_path)
            await desk.heard("s", "a")
            assert desk.reader.connected
            await desk.put(NOTICES, "after")
            await desk.heard(NOTICES, "meanwhile", "after")
        assert "state was lost" not in caplog.text

    async def test_errors_are_counted_on_from_the_life_before(self) -> None:
        lost = Desk("unix:///nowhere/to/be.sock", "x")
        lost.counts[ChatCount.BUS_ERRORS] = 1_000
        lost.counts[ChatCount.BUS_CONNECTED] = 1
        async for _ in running(lost):
            await until(lambda: lost.reader.errors > 2, "many tries")
            assert lost.counts[ChatCount.BUS_ERRORS] == 1_000 + lost.reader.errors
            assert lost.counts[ChatCount.BUS_CONNECTED] == 0

    async def test_all_tries_are_one_line_without_a_traceback(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        lost = Desk("unix:///nowhere/to/be.sock", "x")
        async for _ in running(lost):
            await until(lambda: lost.reader.errors > 2, "many tries")
        [record] = caplog.records
        assert (record.levelname, record.name) == ("WARNING", "chat.bus.reader")
        assert not record.exc_info

    async def test_nor_is_an_answer_that_never_comes_waited_for(
        self,
        own_valkey: EmbeddedEngine,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(reader_module, "FIRST_S", 0.001)
        desk = Desk(own_valkey.url, new_prefix())
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        async for _ in running(desk):
            assert (desk.reader.errors, desk.reader.connected) == (0, False)
            os.kill(own_valkey.pid, signal.SIGCONT)
            await until(lambda: desk.reader.connected)
            await desk.put(NOTICES, "after")
            await desk.heard(NOTICES, "after")
        assert "state was lost" not in caplog.text
