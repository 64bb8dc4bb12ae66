"""The directory of what a node keeps outside Redis: where it is, whose, and who cleans it up."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chat.ops import rundir
from chat.ops.rundir import (
    CONTROL,
    FILES,
    LOCK,
    SOCKET,
    SUN_PATH_BYTES,
    RunDir,
    RunDirError,
    bus_of_node,
    control_of_node,
    open_run_dir,
)

HOLDER = """
import os, sys
from chat.ops.rundir import open_run_dir
held = open_run_dir(sys.argv[1], 8000)
(held.path / "engine.log").write_text("left behind")
if not os.fork():
    print("held", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "LOCK_S", 0.05)


def opened(path: Path | str, port: int = 8000, **environ: str) -> RunDir:
    return open_run_dir(str(path), port, environ)


class TestConfigured:
    def test_it_is_made_private_and_removed_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "run"
        held = opened(path)
        assert held.path == path
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert (path / LOCK).read_text() == f"{os.getpid()}\n"
        held.close()
        assert not path.exists()

    def test_whatever_else_is_in_it_stays(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        (tmp_path / "ours").touch()
        held = opened(tmp_path)
        for name in FILES:
            (tmp_path / name).touch()
        held.close()
        assert [path.name for path in tmp_path.iterdir()] == ["ours"]

    def test_it_is_one_nodes(self, tmp_path: Path) -> None:
        first = opened(tmp_path / "run")
        with pytest.raises(RunDirError) as refused:
            opened(tmp_path / "run")
        assert str(refused.value) == (
            f"node.run_dir: {tmp_path}/run is in use by another node (process {os.getpid()})"
        )
        first.close()
        opened(tmp_path / "run").close()

    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
    def test_one_open_to_others_is_refused_and_left_alone(self, tmp_path: Path, mode: int) -> None:
        tmp_path.chmod(mode)
        with pytest.raises(RunDirError, match="is open to others: chmod 700 it"):
            opened(tmp_path)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == mode

    def test_what_is_no_directory_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir(mode=0o700)
        (tmp_path / "link").symlink_to(tmp_path / "real")
        (tmp_path / "file").touch()
        for name in ("link", "file"):
            with pytest.raises(RunDirError, match=f"{name} is there already and no directory"):
                opened(tmp_path / name)
        with pytest.raises(RunDirError, match="Not a directory"):
            opened(tmp_path / "file" / "run")

    def test_another_users_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tmp_path.chmod(0o700)
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        with pytest.raises(RunDirError, match="belongs to another user"):
            opened(tmp_path)

    def test_a_path_has_to_leave_room_for_a_socket(self, tmp_path: Path) -> None:
        room = SUN_PATH_BYTES - len(os.fsencode(tmp_path)) - 2 - max(map(len, FILES))
        opened(tmp_path / ("x" * room)).close()
        with pytest.raises(RunDirError, match="would have 108 bytes, and the kernel takes 107"):
            opened(tmp_path / ("x" * (room + 1)))


class TestTheBusOfANode:
    def test_it_is_the_socket_that_is_there(self, tmp_path: Path) -> None:
        here = {"XDG_RUNTIME_DIR": str(tmp_path)}
        path = tmp_path / "danmaku-8000"
        path.mkdir()
        assert bus_of_node("", 8000, here) is None
        with socket.socket(socket.AF_UNIX) as engine:
            engine.bind(str(path / SOCKET))
            assert bus_of_node("", 8000, here) == f"unix://{path / SOCKET}"
            assert bus_of_node(str(path), 1, {}) == f"unix://{path / SOCKET}"
            assert control_of_node("", 8000, here) is None
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.bind(str(path / CONTROL))
            assert control_of_node("", 8000, here) == path / CONTROL
            assert control_of_node(str(path), 1, {}) == path / CONTROL


class TestDefault:
    """Where XDG_RUNTIME_DIR is set; /run and /tmp are the machine's, and not written to here."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places = [tmp_path / name for name in ("xdg", "run", "tmp")]

        def places(port: int, environ: object) -> list[Path]:
            return [place / f"danmaku-{port}" for place in self.places]

        self.real = rundir.places
        monkeypatch.setattr(rundir, "places", places)

    def test_the_places_are_private_first_and_shared_last(self) -> None:
        uid = os.geteuid()
        environ = {"XDG_RUNTIME_DIR": "/run/user/7", "TMPDIR": "/var/tmp"}
        assert [str(path) for path in self.real(8000, environ)] == [
            "/run/user/7/danmaku-8000",
            "/run/danmaku-8000",
            f"/var/tmp/danmaku-{uid}-8000",
            f"/tmp/danmaku-{uid}-8000",
        ]
        assert [str(path) for path in self.real(9, {})] == [
            "/run/danmaku-9",
            f"/tmp/danmaku-{uid}-9",
        ]

    def test_the_first_that_will_do_is_taken_and_nothing_above_it_made(self) -> None:
        self.places[1].mkdir()
        held = opened("")
        assert held.path == self.places[1] / "danmaku-8000"
        held.close()
        assert list(self.places[1].iterdir()) == []
        assert not self.places[0].exists()

    def test_two_ports_have_two(self) -> None:
        self.places[0].mkdir()
        one, two = opened("", 8000), opened("", 8001)
        assert one.path != two.path
        one.close()
        two.close()

    def test_the_same_port_twice_is_said_and_no_other_place_taken(self) -> None:
        for place in self.places:
            place.mkdir()
        first = opened("")
        with pytest.raises(RunDirError, match=r"in use by another node .* set node\.run_dir"):
            opened("")
        first.close()

    def test_no_place_at_all_names_each_and_what_to_do(self) -> None:
        with pytest.raises(RunDirError) as refused:
            opened("")
        said = str(refused.value)
        assert "\n" not in said
        assert "Set node.run_dir to one that can be written to" in said
        for place in self.places:
            assert f"{place}/danmaku-8000: No such file or directory" in said


class TestDeath:
    def test_the_next_life_waits_for_the_last_of_the_one_before_and_cleans_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "run"
        command = [sys.executable, "-c", HOLDER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"held\n"
            os.kill(parent.pid, signal.SIGKILL)
            os.waitpid(parent.pid, 0)
            parent.returncode = -signal.SIGKILL
            with pytest.raises(RunDirError, match="in use by another node"):
                opened(path)  # its child lives
            assert (path / "engine.log").exists()
            assert parent.stdin is not None
            parent.stdin.close()
        monkeypatch.setattr(rundir, "LOCK_S", 15.0)
        held = opened(path)
        assert [left.name for left in path.iterdir()] == [LOCK]
        held.close()

    def test_a_forked_child_removes_nothing(self, tmp_path: Path) -> None:
        held = opened(tmp_path / "run")
        child = os.fork()
        if child == 0:
            held.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (held.path / LOCK).exists()
        held.close()
