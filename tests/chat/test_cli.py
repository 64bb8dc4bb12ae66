"""The command line: its options, its errors, its exit statuses."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner, Result

from chat import node
from chat.cli import Mode, app, parse_color
from chat.config.sections import Auth, Config
from chat.ops import doctor, logs
from chat.ops.findings import Finding
from chat.policy import identity
from chat.policy.tokens import Tokens
from chat.wire import schema
from tests.chat.config.keys import P256, private_pem, public_pem

SECRET = "0123456789abcdef0123456789abcdef"
NOWHERE = "unix:///nowhere/s.sock"
NOBODY = "ws://127.0.0.1:1/ws"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a config.toml, and plain output of a fixed width."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


read_again: list[Callable[[], Config]] = []
"""How those nodes read their configuration again."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that nodes were started with; none really is."""
    configs: list[Config] = []

    def serve(config: Config, read: Callable[[], Config], file: str) -> int:
        configs.append(config)
        read_again.append(read)
        return 7

    monkeypatch.setattr(node, "serve", serve)
    monkeypatch.setattr(logs, "set_up", lambda log: None)
    return configs


class TestHelp:
    def test_every_command_is_listed(self) -> None:
        done = run("--help")
        assert done.exit_code == 0
        for command in (
            *("serve", "reload", "send", "tail", "config", "doctor", "top", "archive", "token"),
        ):
            assert command in done.stdout

    def test_without_a_command_it_helps(self) -> None:
        assert "Commands" in run().output

    def test_the_version_is_told(self) -> None:
        done = run("--version")
        assert done.exit_code == 0
        assert done.stdout.startswith("danmaku")

    def test_the_default_configuration_is_printed_as_it_is_shipped(self) -> None:
        shipped = Path(__file__).parents[2] / "config.toml"
        assert run("config").stdout == shipped.read_text("utf-8")

    def test_an_unknown_command_is_a_wrong_use(self) -> None:
        assert run("sevre").exit_code == 2

    def test_help_loads_neither_the_server_nor_the_client(self) -> None:
        heavy = ("uvloop", "redis", "msgspec", "websockets", "litestar", "jwt")
        code = (
            "import sys, chat.cli\n"
            "try: chat.cli.app(['--help'])\n"
            f"except SystemExit: print(sorted(set({heavy!r}) & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "[]"


class TestServe:
    def test_defaults_without_a_file(self, served: list[Config]) -> None:
        assert run("serve").exit_code == 7
        assert served == [Config()]

    def test_the_file_here_is_read(self, served: list[Config], elsewhere: Path) -> None:
        (elsewhere / "config.toml").write_text("[server]\nport = 9000\n")
        run("serve")
        assert served[0].server.port == 9000

    def test_a_file_that_is_named_is_read_instead(
        self, served: list[Config], elsewhere: Path
    ) -> None:
        (elsewhere / "config.toml").write_text("[server]\nport = 9000\n")
        (elsewhere / "other.toml").write_text("[api]\nport = 9001\n")
        run("serve", "--config", "other.toml")
        assert (served[0].server.port, served[0].api.port) == (8000, 9001)

    def test_a_reload_reads_the_same_file_with_the_same_options(
        self, served: list[Config], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = elsewhere / "config.toml"
        file.write_text("[server]\nport = 1\n[limits]\ntext_chars = 100\n")
        run("serve", "--port", "4")
        file.write_text("[server]\nport = 2\n[limits]\ntext_chars = 200\n")
        monkeypatch.chdir("/")
        again = read_again[-1]()
        assert (again.server.port, again.limits.text_chars) == (4, 200)

    def test_options_win_over_the_environment_and_that_over_the_file(
        self, served: list[Config], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (elsewhere / "config.toml").write_text("[server]\nport = 1\nshards = 1\n[api]\nport = 2\n")
        monkeypatch.setenv("DANMAKU_SERVER_SHARDS", "2")
        monkeypatch.setenv("DANMAKU_SERVER_PORT", "3")
        run("serve", "--port", "4", "--api-port", "5")
        config = served[0]
        assert (config.server.port, config.api.port, config.server.shards) == (4, 5, 2)

    def test_every_problem_is_listed(self, served: list[Config], elsewhere: Path) -> None:
        (elsewhere / "bad.toml").write_text("[server]\nprot = 1\n[limits]\ntext_chars = -1\n")
        done = run("serve", "-c", "bad.toml", "--shards", "0")
        assert done.exit_code == 2
        first, *problems = done.stderr.splitlines()
        assert first == "danmaku: the configuration is refused"
        assert [problem.split(":")[0].strip() for problem in problems] == [
            "server.prot",
            "limits.text_chars",
        ]
        assert not served

    def test_options_are_checked_together_with_the_rest(self, served: list[Config]) -> None:
        done = run("serve", "--port", "8001")
        assert done.exit_code == 2
        assert "api.port: 8001 is also server.port" in done.stderr

    @pytest.mark.parametrize(
        "wrong", [("--port", "0"), ("--port", "70000"), ("--shards", "-1"), ("--api-port", "x")]
    )
    def test_a_bad_option_is_a_wrong_use(
        self, served: list[Config], wrong: tuple[str, str]
    ) -> None:
        assert run("serve", *wrong).exit_code == 2
        assert not served

    def test_a_missing_file_is_one_line(self, served: list[Config]) -> None:
        done = run("serve", "--config", "nosuch.toml")
        assert done.exit_code == 2
        assert "nosuch.toml: no such file" in done.stderr

    def test_as_a_process_it_shows_no_traceback(self, elsewhere: Path) -> None:
        (elsewhere / "bad.toml").write_text("port = 1\n")
        done = subprocess.run(
            [sys.executable, "-m", "chat.cli", "serve", "--config", elsewhere / "bad.toml"],
            capture_output=True, text=True, timeout=30, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert "did you mean server.port?" in done.stderr
        assert "Traceback" not in done.stderr


class TestColor:
    @pytest.mark.parametrize(
        ("text", "color"),
        [("#ff0000", 0xFF0000), ("00FF7f", 0x00FF7F), ("red", 0xFF0000), ("#ffffff", 0xFFFFFF)],
    )
    def test_it_is_hexadecimal_or_a_name(self, text: str, color: int) -> None:
        assert parse_color(text) == color

    @pytest.mark.parametrize("text", ["", "#fff", "reddish", "Red", "#gggggg", "16777216"])
    def test_anything_else_is_a_wrong_use(self, text: str) -> None:
        done = run("send", "lobby", "hi", "--color", text)
        assert done.exit_code == 2
        assert "neither #rrggbb nor a name" in done.stderr


class TestSendAndTail:
    def test_modes_are_the_wires(self) -> None:
        assert tuple(Mode) == get_args(schema.Mode)
        assert run("send", "lobby", "hi", "--mode", "sideways").exit_code == 2

    @pytest.mark.parametrize("command", [("send", "lobby", "hi"), ("tail", "lobby")])
    def test_an_address_that_is_none_is_one_line(self, command: tuple[str, ...]) -> None:
        done = run(*command, "--url", "http://127.0.0.1:8000/ws")
        assert done.exit_code == 1
        [line] = done.stderr.splitlines()
        assert line.startswith("danmaku: not a WebSocket URL")

    @pytest.mark.parametrize("command", [("send", "lobby", "hi"), ("tail", "lobby")])
    def test_a_node_that_is_not_there_is_told(
        self, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chat.client.backoff.BASE_S", 0.0)
        done = run(*command, "--url", NOBODY, "--token", "not.to.be.seen")
        assert done.exit_code == 1
        assert f"danmaku: cannot reach {NOBODY}: connection refused" in done.stderr
        assert "not.to.be.seen" not in done.output


class TestDoctor:
    def test_its_findings_are_shown_and_are_its_exit_status(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        findings = [Finding("kernel", "problem", "2.4", "upgrade")]
        monkeypatch.setattr(doctor, "diagnose", lambda config: findings)
        done = run("doctor")
        assert done.exit_code == 1
        assert "kernel: upgrade" in done.stdout

    def test_it_is_told_as_json_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        findings = [Finding("kernel", "problem", "2.6", "upgrade")]
        monkeypatch.setattr(doctor, "diagnose", lambda config: findings)
        done = run("doctor", "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout)["findings"][0]["advice"] == "upgrade"

    def test_a_bad_configuration_is_refused_before(self, elsewhere: Path) -> None:
        (elsewhere / "config.toml").write_text("[server]\nport = 0\n")
        done = run("doctor")
        assert done.exit_code == 2
        assert "server.port" in done.stderr


class TestArchive:
    def test_a_file_of_another_kind_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DANMAKU_BUS_URL", NOWHERE)
        done = run("archive", "--to", "a.txt")
        assert done.exit_code == 1
        assert "a.txt ends neither in .jsonl nor in .sqlite" in done.output

    def test_without_a_node_it_says_what_to_do(self, tmp_path: Path) -> None:
        Path("config.toml").write_text(f'[node]\nrun_dir = "{tmp_path / "none"}"\n')
        done = run("archive", "--to", "a.jsonl")
        assert done.exit_code == 1
        assert "no node runs here on port 8000" in done.output

    @pytest.mark.parametrize("rooms", ["", "a*b", "live:**", "a b", "x" * 70 + "*"])
    def test_rooms_that_there_cannot_be_are_refused(self, rooms: str) -> None:
        done = run("archive", "--to", "a.txt", "--rooms", "live:*", "--rooms", rooms)
        assert done.exit_code == 2
        assert "Usage" in done.output

    @pytest.mark.parametrize("rooms", ["*", "live:*", ".*", "弹幕"])
    def test_rooms_that_there_may_be_are_taken(
        self, rooms: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DANMAKU_BUS_URL", NOWHERE)
        done = run("archive", "--to", "a.txt", "--rooms", rooms)
        assert "a.txt ends neither in .jsonl nor in .sqlite" in done.output


class TestToken:
    @pytest.fixture
    def secret(self, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("DANMAKU_AUTH_SECRET", SECRET)
        return SECRET

    def made(self, *options: str, **auth: Any) -> identity.Identity:
        done = run("token", "u7", *options)
        assert done.exit_code == 0, done.output
        return Tokens(Auth(**(auth or {"secret": SECRET}))).verify(done.stdout.strip())

    @pytest.mark.usefixtures("secret")
    def test_the_node_takes_it(self) -> None:
        options = (
            *("--name", "阿花", "--role", "vip", "--avatar", "https://a.example/7.png"),
            *("--level", "7", "--badge", "fan", "--badge", "2 years"),
            *("--room", "live:1=moderator", "--room", "club:*=vip"),
        )
        who = self.made(*options)
        assert (who.uid, who.name, who.role) == ("u7", "阿花", "vip")
        assert (who.avatar, who.level) == ("https://a.example/7.png", 7)
        assert who.badges == ("fan", "2 years")
        assert who.rooms == (("live:1", "moderator"), ("club:*", "vip"))

    @pytest.mark.usefixtures("secret")
    def test_all_but_the_id_has_defaults(self) -> None:
        who = self.made()
        assert (who.name, who.role, who.rooms) == ("u7", "user", ())

    @pytest.mark.usefixtures("secret")
    def test_it_lasts_as_long_as_asked(self) -> None:
        assert self.made("--ttl", "9000").expires - self.made("--ttl", "60").expires > 8000

    @pytest.mark.usefixtures("secret")
    @pytest.mark.parametrize(
        "wrong",
        [("guest:1",), ("x" * 65,), ("u7", "--role", "two words"), ("u7", "--avatar", "a.png"),
         ("u7", "--level", "-1"), ("u7", "--badge", " "), ("u7", "--room", "a b=vip")],
    )  # fmt: skip
    def test_one_the_node_would_refuse_is_not_made(self, wrong: tuple[str, ...]) -> None:
        done = run("token", *wrong)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "the claim" in done.stderr

    @pytest.mark.usefixtures("secret")
    def test_a_role_is_in_a_room(self) -> None:
        done = run("token", "u7", "--room", "live:1")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "ROOM=ROLE" in done.stderr

    def test_a_private_key_signs_too(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(private_pem(P256))
        (tmp_path / "public").write_bytes(public_pem(P256))
        who = self.made("--key", str(tmp_path / "key"), public_keys=str(tmp_path / "public"))
        assert who.uid == "u7"
        for path, why in ((tmp_path / "none", "No such file"), (tmp_path / "public", "key cannot")):
            done = run("token", "u7", "--key", str(path))
            assert (done.exit_code, done.stdout) == (1, "")
            assert why in done.stderr

    def test_without_a_secret_it_says_what_to_set(self) -> None:
        done = run("token", "u7")
        assert done.exit_code == 1
        assert "DANMAKU_AUTH_SECRET" in done.stderr


class TestReload:
    def test_where_no_node_runs_that_is_said(self) -> None:
        done = run("reload", "--port", "45124")
        assert done.exit_code == 1
        assert "no node runs here on port 45124" in done.stderr


class TestReference:
    """docs/configuration.md: the commands it begins with."""

    def test_each_is_taken(
        self, served: list[Config], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = (Path(__file__).parents[2] / "docs/configuration.md").read_text("utf-8")
        block = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0]
        (elsewhere / "my.toml").write_text("[server]\nport = 9001\n")

        def diagnose(config: Config) -> list[Finding]:
            served.append(config)
            return []

        monkeypatch.setattr(doctor, "diagnose", diagnose)
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            variables = dict(word.split("=") for word in words[: words.index("danmaku")])
            done = CliRunner().invoke(app, words[words.index("danmaku") + 1 :], env=variables)
            assert done.exit_code in (0, 7), done.output
        assert [config.server.port for config in served] == [9001, 9000, 9000, 9001]
