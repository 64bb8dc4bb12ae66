"""What `danmaku reload` prints and ends with; a real node is asked in tests/e2e/test_reload.py."""

import os
import socket
import threading
from pathlib import Path

import pytest

from chat.ops.reload import APPLIED, FAILED, REFUSED, RESTART, reload, status, told
from chat.ops.reloading import Change, Reloaded
from shard.channel import MESSAGE_BYTES

LIVE = [Change("limits.text_chars", "300", "200"), Change("auth.guests", "'type'", "'read'")]
LATER = [Change("server.port", "8000", "9000")]


class TestStatus:
    @pytest.mark.parametrize(
        ("result", "ends"),
        [
            (Reloaded("f"), APPLIED),
            (Reloaded("f", applied=LIVE), APPLIED),
            (Reloaded("f", applied=LIVE, restart=LATER), RESTART),
            (Reloaded("f", applied=LIVE, restart=LATER, trouble=["shard 1 has died"]), FAILED),
            (Reloaded("f", problems=["x: no"]), REFUSED),
        ],
    )
    def test_each_outcome_has_its_own(self, result: Reloaded, ends: int) -> None:
        assert status(result) == ends

    def test_they_differ(self) -> None:
        assert len({APPLIED, FAILED, REFUSED, RESTART}) == 4


class TestTold:
    def test_what_changed_stands_in_columns(self) -> None:
        result = Reloaded("f", applied=LIVE, restart=LATER, by=["shard 0", "api"], trouble=["x"])
        assert list(told(result)) == [
            "applied by shard 0, api:",
            "  limits.text_chars  300 -> 200",
            "  auth.guests        'type' -> 'read'",
            "needs a restart, and is not changed until then:",
            "  server.port  8000 -> 9000",
            "x",
        ]

    def test_nothing_is_said_to_be_nothing(self) -> None:
        assert list(told(Reloaded("f"))) == ["f: nothing has changed"]


class TestFinding:
    def test_a_mistake_elsewhere_in_the_file_does_not_hide_the_node(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "config.toml"
        file.write_text(f'[node]\nrun_dir = "{tmp_path}/run"\n[limits]\ntext_chars = 0\n')
        assert reload(file, {}) == FAILED
        assert f"no node runs here in node.run_dir {tmp_path}/run" in capsys.readouterr().err

    def test_a_pipe_is_refused_without_a_wait(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert reload(tmp_path / "pipe", {}) == REFUSED
        assert "is a pipe" in capsys.readouterr().err

    def test_a_port_that_was_given_counts(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert reload(None, {"TMPDIR": str(tmp_path)}, 45_123) == FAILED
        assert "no node runs here on port 45123" in capsys.readouterr().err

    def test_a_socket_nobody_listens_at_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "run").mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
            left.bind(str(tmp_path / "run/control.sock"))
        environ = {"DANMAKU_NODE_RUN_DIR": f"{tmp_path}/run"}
        assert reload(None, environ) == FAILED
        assert "Connection refused" in capsys.readouterr().err

    def test_what_is_no_answer_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "run").mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(str(tmp_path / "run/control.sock"))
            other.listen()

            def answer() -> None:
                way, _ = other.accept()
                with way:
                    way.recv(MESSAGE_BYTES)
                    way.send(b'{"file":"cu')

            answering = threading.Thread(target=answer)
            answering.start()
            assert reload(None, {"DANMAKU_NODE_RUN_DIR": f"{tmp_path}/run"}) == FAILED
            answering.join()
        assert "no answer to a reload" in capsys.readouterr().err
