"""The unit, as systemd reads it, and what a node does of what the unit says."""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from bench.local import Node
from chat.config.load import IN_FILES
from chat.config.sections import Config
from chat.node import workers_end_s
from shard.supervisor import COMPANION_S

UNIT = Path(__file__).parents[2] / "deploy/systemd/danmaku.service"
TEXT = UNIT.read_text()
GUIDE = (Path(__file__).parents[2] / "docs/deploying.md").read_text("utf-8")
DENIED = """
import ctypes, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
assert ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0
from chat.cli import main
sys.argv = ["danmaku", "serve"]
main()
"""
"""A node under what MemoryDenyWriteExecute= sets, which lasts over fork and exec."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze: apt install systemd"
)


def analyze(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def installed(folder: Path, text: str) -> Path:
    """The unit where its program is there."""
    program = folder / "danmaku"
    program.touch(mode=0o755)
    unit = folder / UNIT.name
    unit.write_text(text.replace("/opt/danmaku/bin/danmaku", str(program)))
    return unit


def setting(name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    return str(found)


class TestUnit:
    def test_systemd_has_nothing_to_say_against_it(self, tmp_path: Path) -> None:
        done = analyze("verify", "--recursive-errors=no", installed(tmp_path, TEXT))
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [("LimitNOFILE=1048576", "LimitNOFILE=many"), ("Type=notify", "Typ=notify")],
    )
    def test_what_is_wrong_would_be_said(self, tmp_path: Path, right: str, wrong: str) -> None:
        unit = installed(tmp_path, TEXT.replace(right, wrong))
        assert analyze("verify", "--recursive-errors=no", unit).stderr

    def test_keys_may_be_credentials_as_the_guide_has_it(self, tmp_path: Path) -> None:
        (more,) = re.findall(r"^```ini\n.*?\[Service\]\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
        variable, file = re.search(r"Environment=(\w+)=%d/(\S+)", more).groups()  # type: ignore[union-attr]
        assert variable in IN_FILES
        assert f"LoadCredential={file}:" in more
        unit = installed(tmp_path, TEXT.replace("[Service]\n", f"[Service]\n{more}"))
        done = analyze("verify", "--recursive-errors=no", unit)
        assert (done.returncode, done.stderr) == (0, "")

    def test_what_it_exposes_is_little(self, tmp_path: Path) -> None:
        unit = installed(tmp_path, TEXT)
        done = analyze("security", "--offline=true", "--threshold=20", unit)
        assert done.returncode == 0, done.stdout

    def test_it_waits_as_long_as_a_node_may_take_to_end(self) -> None:
        assert int(setting("TimeoutStopSec")) > workers_end_s(Config()) + COMPANION_S


class TestNode:
    def test_the_manager_is_told_of_the_start_and_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(20)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            with Node(tmp_path) as node:
                assert manager.recv(4096) == b"READY=1\nSTATUS=2 shards, bus embedded"
                assert node.stop() == 0
            assert manager.recv(4096) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=24000000"
            manager.setblocking(False)
            with pytest.raises(BlockingIOError):
                manager.recv(4096)

    def test_it_is_told_of_a_reload_and_when_that_is_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(30)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            with Node(tmp_path) as node:
                assert manager.recv(4096).startswith(b"READY=1")
                os.kill(node.pid, signal.SIGHUP)
                assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(4096))
                assert manager.recv(4096) == b"READY=1"

    def test_what_the_unit_reloads_with_is_what_it_starts_with(self) -> None:
        start, reload = setting("ExecStart"), setting("ExecReload")
        assert reload == start.replace(" serve ", " reload ")

    def test_no_memory_has_to_become_executable(self, tmp_path: Path) -> None:
        assert setting("MemoryDenyWriteExecute") == "yes"
        node = Node(tmp_path)
        node.command = ("-c", DENIED)
        with node:
            body = {"text": "hi", "uid": "u1"}
            assert node.request("POST", "/v1/rooms/lobby/messages", body)[0] == 200
            assert "failed" not in node.said()
