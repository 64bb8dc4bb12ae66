"""`danmaku serve` as its user sees it: what it says, how it starts, how it ends."""

import subprocess
import sys
from pathlib import Path

from bench.local import Node, free_port
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S


class TestStart:
    def test_it_says_where_to_look(self, node: Node) -> None:
        said = node.said()
        assert f"{node.page}/" in said
        assert f"{node.ws}?room=" in said
        assert "2 shards" in said

    def test_a_port_in_use_is_one_clear_sentence(self, node: Node, tmp_path: Path) -> None:
        done = serve(tmp_path, f"[server]\nport = {free_port()}\n[api]\nport = {node.api_port}\n")
        assert done.returncode == 1
        assert str(node.api_port) in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_bad_configuration_lists_every_problem(self, tmp_path: Path) -> None:
        done = serve(tmp_path, "[server]\nprot = 1\nport = 'x'\n[limits]\ntext_chars = -1\n")
        assert done.returncode == 2
        for path in ("server.prot", "server.port", "limits.text_chars"):
            assert path in done.stderr
        assert "Traceback" not in done.stderr


class TestEnd:
    async def test_sigterm_says_bye_with_a_moment_to_come_back(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_drain_s=7) as node:
            viewers = [await Viewer.open(node.ws, "live:end") for _ in range(8)]
            assert node.stop() == 0
            for viewer in viewers:
                await viewer.until(lambda viewer: viewer.closed)
                [bye] = viewer.of("bye")
                assert bye["reason"] == "restart"
                assert 0 <= bye["reconnect_in"] <= 7
                assert viewer.socket.close_code == 4000
            moments = {viewer.of("bye")[0]["reconnect_in"] for viewer in viewers}
            assert len(moments) > 1

    def test_nothing_is_left_behind(self, tmp_path: Path) -> None:
        with Node(tmp_path) as node:
            pids = [*node.pids("shard"), *node.pids("api"), node.pid]
            assert len(pids) == 4
            assert node.stop() == 0
            assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def serve(folder: Path, toml: str) -> "subprocess.CompletedProcess[str]":
    """Run `danmaku serve` with a configuration that cannot work, to its end."""
    config = folder / "config.toml"
    config.write_text(toml)
    return subprocess.run(
        [sys.executable, "-m", "chat.cli", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
