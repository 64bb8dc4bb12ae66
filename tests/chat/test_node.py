"""A node: what the configuration becomes, where it says to look, what it says when it cannot."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.local import free_port
from chat.config.sections import SECTIONS, TYPES, Config
from chat.node import announce, dead_after_s, shard_settings
from chat.ops.engine import EmbeddedEngine
from chat.ops.rundir import open_run_dir
from shard.listen import RESERVED_DESCRIPTORS
from shard.settings import Settings
from tests.chat.rig import configured

ROOT = Path(__file__).parents[2]
KEYS = {
    "capacity": "limits.connections",
    "handshake_bytes": "limits.handshake_bytes",
    "message_bytes": "limits.message_bytes",
    "controls_per_tick": "limits.control_frames_per_s",
    "backlog_soft_bytes": "limits.backlog_soft_bytes",
    "backlog_hard_bytes": "limits.backlog_hard_bytes",
    "backlog_total_bytes": "limits.backlog_total_bytes",
    "handshake_ticks": "heartbeat.handshake_s",
    "ping_ticks": "heartbeat.ping_s",
    "timeout_ticks": "heartbeat.timeout_s",
    "close_ticks": "heartbeat.close_s",
    "stall_ticks": "limits.stall_s",
    "client_address": "server.client_address",
    "trusted_proxies": "server.trusted_proxies",
    "connections_per_address": "limits.connections_per_address",
}
PASSED = Path("/run/danmaku/passed.sock")
"""What a connection group is told, and which key says it; its terms come from several."""


def every_key_its_own() -> Config:
    """A configuration of which no two numbers are the same, and none the default."""
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for number, path in enumerate(TYPES):
        section, _, key = path.partition(".")
        if isinstance(getattr(SECTIONS[section](), key), int) and key != "compression":
            sections[section][key] = 1_000_003 + number
    sections["server"] |= {
        "client_address": "x-forwarded-for",
        "trusted_proxies": ("10.0.0.0/8",),
        "path": "/chat",
        "origins": ("https://a.example",),
    }
    return configured(**sections)


def value(config: Config, path: str) -> Any:
    section, _, key = path.partition(".")
    return getattr(getattr(config, section), key)


class TestSettings:
    def test_every_limit_of_a_group_is_what_its_key_says(self) -> None:
        config = every_key_its_own()
        settings = shard_settings(config, rows=1 << 21, passed=PASSED)
        assert {field: getattr(settings, field) for field in KEYS} == {
            field: value(config, path) for field, path in KEYS.items()
        }

    def test_none_is_left_to_the_groups_default(self) -> None:
        fields = {field.name for field in dataclasses.fields(Settings)}
        assert fields == KEYS.keys() | {"terms", "trust_tcp", "pass_to"}
        settings, default = (
            shard_settings(every_key_its_own(), rows=1 << 21, passed=PASSED),
            Settings(),
        )
        same = [name for name in fields if getattr(settings, name) == getattr(default, name)]
        assert same == ["trust_tcp"]

    @pytest.mark.parametrize("wanted", [True, False])
    @pytest.mark.parametrize("source", ["connection", "proxy-protocol", "x-forwarded-for"])
    def test_tcp_is_trusted_only_where_it_is_the_viewers(self, wanted: bool, source: str) -> None:
        config = configured(heartbeat={"trust_tcp": wanted}, server={"client_address": source})
        assert shard_settings(config, 500, PASSED).trust_tcp is (wanted and source == "connection")

    def test_without_a_maximum_there_are_as_many_as_descriptors(self) -> None:
        config = configured(limits={"connections": 0})
        assert (
            shard_settings(config, rows=500, passed=PASSED).capacity == 500 - RESERVED_DESCRIPTORS
        )

    def test_more_than_descriptors_have_room_for_is_said_and_not_promised(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = configured(limits={"connections": 1_000})
        room = 500 - RESERVED_DESCRIPTORS
        assert shard_settings(config, rows=500, passed=PASSED).capacity == room
        [record] = caplog.records
        assert "limits.connections is 1000" in record.getMessage()
        assert f"limit of 500 open files has room for {room} in a shard" in record.getMessage()
        assert (
            shard_settings(config, rows=1_000 + RESERVED_DESCRIPTORS, passed=PASSED).capacity
            == 1_000
        )
        assert len(caplog.records) == 1

    def test_who_is_let_in_is_configured_too(self) -> None:
        terms = shard_settings(every_key_its_own(), rows=500, passed=PASSED).terms
        assert {offer.path for offer in terms.offers} == {"/chat", "/sse", ""}
        assert terms.origins == ("https://a.example",)


class TestDeath:
    @pytest.mark.parametrize(
        ("stall_s", "dead_s"), [(1, 30 + 20), (45, 30 + 20), (46, 46 + 5), (600, 600 + 5)]
    )
    def test_nobody_is_dead_before_a_ping_or_a_slow_reader_is_given_up(
        self, stall_s: int, dead_s: int
    ) -> None:
        heartbeat = {"ping_s": 30, "timeout_s": 20, "close_s": 5}
        assert dead_after_s(configured(heartbeat=heartbeat, limits={"stall_s": stall_s})) == dead_s


class TestAnnouncing:
    def said(self, capsys: pytest.CaptureFixture[str], shards: int = 2, **server: Any) -> str:
        announce(configured(server=server), shards, 9000, 9001)
        out, err = capsys.readouterr()
        assert err == ""
        return out

    def test_it_says_where_to_look(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.said(capsys, host="10.0.0.7", path="/chat") == (
            "Danmaku is up: 2 shards, bus 'embedded'\n"
            "  watch and type   http://10.0.0.7:9000/\n"
            "  from elsewhere   http://10.0.0.7:9000/\n"
            "  console          http://127.0.0.1:9001/console\n"
            "  API and docs     http://127.0.0.1:9001/docs\n"
            "  WebSocket        ws://10.0.0.7:9000/chat?room=lobby\n"
        )

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_any_address_is_this_machines_own(
        self, capsys: pytest.CaptureFixture[str], host: str
    ) -> None:
        assert "  ws://127.0.0.1:9000/ws?" in self.said(capsys, host=host)

    @pytest.mark.parametrize(
        ("host", "shown"),
        [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]"), ("chat.lan", "chat.lan")],
    )
    def test_every_address_can_be_clicked(
        self, capsys: pytest.CaptureFixture[str], host: str, shown: str
    ) -> None:
        announce(configured(server={"host": host}, api={"host": host}), 1, 9000, 9001)
        said = capsys.readouterr().out
        assert f"  http://{shown}:9000/\n" in said
        assert f"  http://{shown}:9001/docs\n" in said
        assert f"  ws://{shown}:9000/ws?" in said

    def test_others_are_told_an_address_of_theirs(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chat.node.own_address", lambda: "192.168.1.5")
        assert "from elsewhere   http://192.168.1.5:9000/\n" in self.said(capsys, host="0.0.0.0")
        monkeypatch.setattr("chat.node.own_address", lambda: "")
        assert "http://ADDRESS-OF-THIS-MACHINE:9000/\n" in self.said(capsys, host="::")

    def test_a_websocket_at_the_pages_path_leaves_it_to_the_api(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = self.said(capsys, path="/")
        assert "watch and type   http://127.0.0.1:9001/\n" in said

    def test_others_are_told_when_they_cannot_come(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = self.said(capsys, host="127.0.0.1")
        assert "from elsewhere   nowhere: server.host is 127.0.0.1, which only this" in said

    @pytest.mark.parametrize("end", ["", "/"])
    def test_others_are_told_the_public_url(
        self, capsys: pytest.CaptureFixture[str], end: str
    ) -> None:
        url = "https://site.example/chat"
        said = self.said(capsys, host="127.0.0.1", public_url=url + end)
        assert f"  from elsewhere   {url}/\n" in said

    def test_a_bus_that_is_away_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        announce(Config(), 1, 9000, 9001, "nobody there")
        assert "  the bus does not answer (nobody there): viewers may" in capsys.readouterr().out

    def test_one_shard_is_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert ": 1 shard," in self.said(capsys, shards=1)

    def test_the_password_of_the_bus_is_not_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        announce(configured(bus={"url": "redis://user:hunter2@host:6379/0"}), 1, 9000, 9001)
        said = capsys.readouterr().out
        assert "bus 'redis://host:6379/0'\n" in said
        assert "hunter2" not in said


class TestTrouble:
    """Each is one sentence that says what to do, and an exit status."""

    def told(
        self, folder: Path, files: int = 0, env: dict[str, str] | None = None, **settings: object
    ) -> str:
        """The line with which a node that is configured so ends."""
        usual = {
            "server_host": "127.0.0.1",
            "server_port": free_port(),
            "server_shards": 2,
            "api_port": free_port(),
            "node_run_dir": folder / "run",
        }
        clean = {name: text for name, text in os.environ.items() if "DANMAKU_" not in name}
        extra = {f"DANMAKU_{key.upper()}": str(told) for key, told in (usual | settings).items()}
        limit = f"ulimit -n {files}; " if files else ""
        done = subprocess.run(
            ["/bin/sh", "-c", f'{limit}exec "$@"', "sh", sys.executable, "-m", "chat.cli", "serve"],
            env=clean | extra | (env or {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        [line] = done.stderr.splitlines()
        assert not (folder / "run").exists()
        return line

    @pytest.mark.parametrize("key", ["server_port", "api_port"])
    def test_a_port_in_use(self, key: str, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            line = self.told(tmp_path, **{key: port})
        assert line == (
            f"danmaku: cannot listen: 127.0.0.1:{port}: Address already in use; is another node "
            f"running? ss -ltnp 'sport = :{port}' tells who has it"
        )

    @pytest.mark.parametrize(
        ("host", "said"),
        [
            ("203.0.113.7", "203.0.113.7:{}: Cannot assign requested address"),
            ("2001:db8::7", "[2001:db8::7]:{}: Cannot assign requested address"),
            ("nobody.invalid", "nobody.invalid:{}: "),
        ],
    )
    def test_an_address_of_another_machine(self, host: str, said: str, tmp_path: Path) -> None:
        port = free_port()
        line = self.told(tmp_path, server_host=host, server_port=port)
        assert line.startswith("danmaku: cannot listen: " + said.format(port))
        assert line.endswith("; set server.host to an address of this machine")

    def test_no_room_for_a_single_viewer(self, tmp_path: Path) -> None:
        line = self.told(tmp_path, files=64)
        assert line.startswith("danmaku: a process may have 64 files open, and a shard of 2 needs")
        assert f"needs {RESERVED_DESCRIPTORS + 3} to hold one viewer" in line
        assert "ulimit -n" in line

    def test_hooks_that_are_not_there(self, tmp_path: Path) -> None:
        line = self.told(tmp_path, rooms_hooks="nowhere_at_all:Hooks")
        assert line == (
            "danmaku: rooms.hooks: nowhere_at_all cannot be imported: "
            "ModuleNotFoundError: No module named 'nowhere_at_all'"
        )

    def test_an_engine_that_cannot_start(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        line = self.told(tmp_path, bus_data_dir=tmp_path / "file" / "data")
        assert line.startswith("danmaku: bus.data_dir cannot be used: ")

    def test_no_directory_to_write_to(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        line = self.told(tmp_path, node_run_dir=tmp_path / "file" / "run")
        assert line == f"danmaku: node.run_dir: {tmp_path}/file/run: Not a directory"

    def test_a_path_too_long_for_a_socket(self, tmp_path: Path) -> None:
        line = self.told(tmp_path, node_run_dir=tmp_path / ("x" * 100))
        assert "is too long a path: the sockets in it would have" in line

    def test_a_directory_that_another_node_has(self, tmp_path: Path) -> None:
        other = open_run_dir(str(tmp_path / "other"), 8000)
        line = self.told(tmp_path, node_run_dir=other.path)
        other.close()
        assert line.endswith(f"is in use by another node (process {os.getpid()})")

    def test_a_bus_that_has_to_be_mended(self, tmp_path: Path, valkey: EmbeddedEngine) -> None:
        line = self.told(tmp_path, bus_url=f"unix://nobody:hunter2@{valkey.socket_path}")
        assert line.startswith("danmaku: the bus unix://")
        assert line.endswith("correct them in bus.url")
        assert "hunter2" not in line
