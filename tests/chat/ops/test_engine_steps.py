"""The engine as the supervisor minds it, and in a run directory that is not its own."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.ops.engine import EmbeddedEngine, EngineError, find_binary
from chat.ops.rundir import RunDirError, open_run_dir
from shard.companion import Sign
from tests.chat.ops.engines import script
from tests.patience import until

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no Valkey or Redis server here")

LOADING = """
import os, socket, sys
loaded, real, *settings = sys.argv[1:]
path = settings[settings.index("--unixsocket") + 1]
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(path)
    listener.listen()
    while not os.path.exists(loaded):
        client, _ = listener.accept()
        with client:
            client.recv(64)
            client.sendall(b"-LOADING Valkey is loading the dataset in memory\\r\\n")
os.unlink(path)
os.execv(real, [real, *settings])
"""
"""A server that loads its data until there is a file called `loaded`."""


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as engine:
        yield engine


class TestSteps:
    """What the supervisor takes it through, without waiting."""

    def test_it_is_begun_again_without_waiting_and_says_when_it_is_ready(
        self, engine: EmbeddedEngine
    ) -> None:
        assert (engine.ended(), engine.sign()) == (None, Sign.READY)
        engine.kill()
        until(lambda: engine.ended() is not None, "its end")
        assert (engine.ended() or "").startswith("ended with status -9; it said last:")
        assert engine.sign() is Sign.SILENT
        url = engine.url
        engine.begin()
        with pytest.raises(EngineError, match="running already"):
            engine.begin()
        until(lambda: engine.sign() is Sign.READY, "its answer")
        assert engine.url == url
        engine.end()
        until(lambda: engine.ended() is not None, "its end")
        engine.close()
        with pytest.raises(EngineError, match="not been started"):
            _ = engine.url

    def test_one_that_is_stopped_is_silent_and_not_waited_for(self, engine: EmbeddedEngine) -> None:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        assert (engine.ended(), engine.sign()) == (None, Sign.SILENT)
        os.kill(engine.pid, signal.SIGCONT)
        until(lambda: engine.sign() is Sign.READY, "its answer")

    def test_data_in_another_engines_hands_is_an_error_at_once(self, tmp_path: Path) -> None:
        with EmbeddedEngine(str(tmp_path / "a")) as engine, EmbeddedEngine() as other:
            other.kill()
            until(lambda: other.ended() is not None, "its end")
            other.data_dir = engine.data_dir
            with pytest.raises(EngineError, match="in use by another engine"):
                other.begin()

    def test_one_that_loads_its_data_is_busy_and_a_start_need_not_wait_for_it(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "loading.py").write_text(LOADING)
        real, loaded = find_binary(), tmp_path / "loaded"
        slow = script(
            tmp_path / "server", f'exec {sys.executable} {tmp_path}/loading.py {loaded} {real} "$@"'
        )
        engine = EmbeddedEngine(binary=slow)
        engine.start(loaded=False)
        try:
            assert engine.sign() is Sign.BUSY
            loaded.touch()
            until(lambda: engine.sign() is Sign.READY, "its answer")
        finally:
            engine.stop()


class TestRunDir:
    def test_its_files_are_there_and_go_with_it(self, tmp_path: Path) -> None:
        run_dir = open_run_dir(str(tmp_path / "run"), 8000)
        with EmbeddedEngine(run_dir=run_dir) as engine:
            assert engine.socket_path == tmp_path / "run" / "engine.sock"
            assert engine.ping()
        assert [path.name for path in run_dir.path.iterdir()] == ["lock"]
        run_dir.close()

    def test_it_holds_the_directory_as_long_as_it_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chat.ops.rundir.LOCK_S", 0)
        run_dir = open_run_dir(str(tmp_path / "run"), 8000)
        with EmbeddedEngine(run_dir=run_dir) as engine:
            os.close(run_dir.lock)  # as if we had died
            with pytest.raises(RunDirError, match="in use"):
                open_run_dir(str(tmp_path / "run"), 8000)
            assert engine.ping()
        open_run_dir(str(tmp_path / "run"), 8000).close()
