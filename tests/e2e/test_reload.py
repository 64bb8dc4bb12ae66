"""`danmaku reload` and SIGHUP on a node of real processes, by its file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bench.local import Node
from chat.config.live import LIVE, value
from chat.config.load import load_config
from chat.config.sections import SECTIONS, TYPES, Auth, Config
from chat.ops.control import ask
from chat.ops.reloading import Reloaded
from chat.policy.tokens import sign
from tests.chat.config.changed import SECRET, changed
from tests.chat.config.keys import P256, public_pem
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S, until

OLD = "the-secret-of-before-with-32-bytes-or-more"


def toml(config: Config) -> str:
    """A file that says all of it that is not the default."""
    lines = []
    for section in SECTIONS:
        lines.append(f"[{section}]")
        for path in TYPES:
            of, _, key = path.partition(".")
            if of == section and (found := value(config, path)) != value(Config(), path):
                lines.append(f"{key} = {written(found)}")
    return "\n".join(lines)


def written(found: Any) -> str:
    if isinstance(found, tuple):
        return f"[{', '.join(map(written, found))}]"
    if isinstance(found, msgspec.Struct):
        fields = msgspec.structs.asdict(found).items()
        return "{" + ", ".join(f"{name} = {written(one)}" for name, one in fields if one) + "}"
    return json.dumps(found)


class Filed(Node):
    """A node that has its configuration from a file, `config` by default."""

    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__(folder, **settings)
        values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        for variable, found in self._settings.items():
            section, _, key = variable.partition("_")
            values[section][key] = str(found) if isinstance(found, Path) else found
        sections: dict[str, Any] = {name: SECTIONS[name](**values[name]) for name in SECTIONS}
        self.config = Config(**sections)
        self.run_dir = Path(values["node"]["run_dir"])
        self._settings = {}
        self.file = folder / f"config-{self.port}.toml"
        self.write(self.config)
        self.command = ("-m", "chat.cli", "serve", "--config", str(self.file))

    def write(self, config: Config) -> None:
        self.file.write_text(toml(config))

    def ask(self) -> Reloaded:
        answer = ask(self.run_dir / "control.sock", "reload", PATIENCE_S)
        return msgspec.json.decode(answer, type=Reloaded)

    def reload(self) -> "subprocess.CompletedProcess[str]":
        """What a person types."""
        return subprocess.run(
            [sys.executable, "-m", "chat.cli", "reload", "--config", str(self.file)],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Filed]:
    with Filed(tmp_path, auth_secret=OLD) as node:
        yield node


@pytest.fixture(scope="module")
def any_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filed]:
    """Of which no test minds what else was changed, and changed back."""
    with Filed(tmp_path_factory.mktemp("node"), webhooks_url="http://127.0.0.1:1/") as node:
        yield node


class TestEveryKey:
    @pytest.mark.parametrize("path", TYPES)
    def test_it_is_applied_by_all_or_named_as_needing_a_restart(
        self, any_node: Filed, path: str, tmp_path: Path
    ) -> None:
        keys = tmp_path / "keys.pem"
        keys.write_bytes(public_pem(P256))
        any_node.write(changed(any_node.config, path, file=str(keys)))
        try:
            assert load_config(any_node.file, {}) != any_node.config
            result = any_node.ask()
        finally:
            any_node.write(any_node.config)
        back = any_node.ask()
        assert not (result.problems + result.trouble + back.problems + back.trouble)
        applied = [change.path for change in result.applied]
        restart = [change.path for change in result.restart]
        assert (path in applied, path in restart) == (path in LIVE, path not in LIVE)
        assert set(applied) <= LIVE
        assert not LIVE.intersection(restart)
        assert {change.path for change in back.applied} == set(applied)
        everybody = ["api", "shard 0", "shard 1", "webhooks"]
        assert sorted(result.by) == (everybody if applied else [])


class TestCommand:
    async def test_a_live_key_is_in_force_and_said(self, node: Filed) -> None:
        viewer = await Viewer.open(node.ws, "live:long")
        node.write(changed(node.config, "limits.text_chars"))
        done = node.reload()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "applied by shard 0, shard 1, api:",
            "  limits.text_chars  300 -> 301",
        ]
        await viewer.socket.send(
            json.dumps({"t": "send", "room": "live:long", "text": "x" * 301, "ref": 1})
        )
        await viewer.until(lambda viewer: viewer.of("ack"))
        await viewer.close()
        assert "reloaded: limits.text_chars 300 -> 301" in node.said()
        _, told = node.request("GET", "/openapi.json")
        assert told["components"]["schemas"]["Text"]["maxLength"] == 301

    def test_what_needs_a_restart_is_named_with_a_status_of_its_own(self, node: Filed) -> None:
        node.write(changed(node.config, "limits.text_chars", "bus.partitions"))
        done = node.reload()
        assert done.returncode == 3
        assert "needs a restart" in done.stdout
        assert "  bus.partitions  64 -> 65" in done.stdout
        assert "  limits.text_chars  300 -> 301" in done.stdout

    def test_a_bad_file_changes_nothing_and_is_told_with_all_its_problems(
        self, node: Filed
    ) -> None:
        bad = "[romos]\n[limits]\ntext_chars = 200\nroom_chars = 0\n"
        node.file.write_text(node.file.read_text().replace("[limits]\n", bad))
        done = node.reload()
        assert done.returncode == 2
        for problem in ("limits.room_chars: expected", "romos: unknown section"):
            assert problem in done.stderr
            assert f"nothing is changed: {problem}" in node.said()
        node.write(node.config)
        assert "nothing has changed" in node.reload().stdout

    def test_a_file_that_is_none_is_told_too(self, node: Filed) -> None:
        node.file.write_text("[limits\n")
        done = node.reload()
        assert done.returncode == 2
        assert "not TOML" in done.stderr
        assert "Traceback" not in done.stderr

    def test_where_no_node_is_that_is_said(self, tmp_path: Path) -> None:
        done = Filed(tmp_path).reload()
        assert done.returncode == 1
        assert "no node runs here" in done.stderr


class TestWhatTheApiSaysOfItself:
    @pytest.mark.parametrize("path", ["/openapi.json", "/docs/openapi.json"])
    def test_its_document_has_the_limits_and_keys_in_force(self, node: Filed, path: str) -> None:
        key = "a-key-of-sixteen-or-more"

        def said() -> tuple[int, int, bool]:
            status, document = node.request("GET", path, headers={"Authorization": f"Bearer {key}"})
            assert status == 200
            schemas = document["components"]["schemas"]
            send = document["paths"]["/v1/rooms/{room}/messages"]["post"]
            return (
                schemas["Text"]["maxLength"],
                schemas["Room"]["maxLength"],
                {} in send["security"],
            )

        assert said() == (300, 64, True)
        config = changed(node.config, "limits.text_chars", "limits.room_chars")
        msgspec.structs.force_setattr(config.api, "key", key)
        node.write(config)
        assert node.reload().returncode == 0
        limits = config.limits
        assert said() == (limits.text_chars, limits.room_chars, False)
        node.write(node.config)
        assert node.reload().returncode == 0
        assert said() == (300, 64, True)


class TestQuotas:
    async def test_they_begin_change_and_end_while_viewers_are_connected(self, node: Filed) -> None:
        async def spoken(viewer: Viewer, count: int) -> list[str]:
            """What viewers are answered who say so many things at once."""
            before = len(viewer.of("ack")) + len(viewer.of("error"))
            for i in range(count):
                command = {"t": "send", "room": "live:quota", "text": f"{i}", "ref": i}
                await viewer.socket.send(json.dumps(command))
            await viewer.until(
                lambda viewer: len(viewer.of("ack") + viewer.of("error")) == before + count
            )
            answers = [one for one in viewer.events if one["t"] in ("ack", "error")]
            said = sorted(answers[before:], key=lambda one: int(one["ref"]))  # a refusal is quicker
            return [str(one.get("code", "ack")) for one in said]

        def reload(**limits: int) -> None:
            config = msgspec.structs.replace(
                node.config, limits=msgspec.structs.replace(node.config.limits, **limits)
            )
            node.write(config)
            done = node.reload()
            assert (done.returncode, done.stderr) == (0, "")

        viewer = await Viewer.open(node.ws, "live:quota")
        assert await spoken(viewer, 6) == ["ack"] * 6
        reload(user_messages_per_s=1, user_messages_burst=2)
        answers = await spoken(viewer, 6)
        assert answers[:2] == ["ack"] * 2
        assert "rate_limited" in answers
        reload(user_messages_per_s=10_000, user_messages_burst=10_000)
        assert await spoken(viewer, 6) == ["ack"] * 6
        reload(address_messages_per_s=1, address_messages_burst=1)
        assert "rate_limited" in await spoken(viewer, 6)
        reload()
        assert await spoken(viewer, 6) == ["ack"] * 6
        await viewer.close()


class TestHangup:
    def test_it_does_the_same(self, node: Filed) -> None:
        node.write(changed(node.config, "limits.text_chars", "bus.partitions"))
        os.kill(node.pid, signal.SIGHUP)
        node.until_said("reloaded: limits.text_chars 300 -> 301")
        node.until_said("needs a restart, and is not changed: bus.partitions 64 -> 65")
        assert node.running


class TestWhoIsNotThere:
    def test_a_stopped_shard_is_named_and_has_the_values_later(self, node: Filed) -> None:
        stopped = node.pids("shard 0")[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            node.write(changed(node.config, "limits.text_chars"))
            done = node.reload()
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert done.returncode == 1
        assert "applied by shard 1, api:" in done.stdout
        assert "shard 0 has not answered" in done.stdout
        node.until_said("shard 0 has the new values now")

    async def test_one_that_begins_later_has_them(self, tmp_path: Path) -> None:
        with Filed(tmp_path, server_shards=1) as node:
            node.write(changed(node.config, "limits.text_chars", "server.origins"))
            assert node.reload().returncode == 0
            [before] = node.pids("shard 0")
            os.kill(before, signal.SIGKILL)
            until(lambda: node.pids("shard 0") not in ([], [before]), "its next life")
            viewer = await Viewer.open(node.ws, "live:late")
            await viewer.socket.send(
                json.dumps({"t": "send", "room": "live:late", "text": "x" * 301, "ref": 1})
            )
            await viewer.until(lambda viewer: viewer.of("ack"))
            await viewer.close()
            with pytest.raises(InvalidStatus):
                await connect(node.ws, origin="https://other.example")  # type: ignore[arg-type]


class TestSecrets:
    async def test_a_secret_is_changed_without_sending_anybody_away(self, node: Filed) -> None:
        before = sign({"sub": "ann"}, 3600, Auth(secret=OLD))
        now = sign({"sub": "bob"}, 3600, Auth(secret=SECRET))
        stays = await Viewer.open(node.ws, token=before)
        config = changed(node.config, "auth.secret")
        msgspec.structs.force_setattr(config.auth, "secret_before", OLD)
        node.write(config)
        assert node.reload().returncode == 0
        assert SECRET not in node.said()
        for token, uid in ((before, "ann"), (now, "bob")):
            viewer = await Viewer.open(node.ws, token=token)
            assert viewer.of("welcome")[0]["uid"] == uid
            await viewer.close()
        assert not stays.closed
        await stays.close()
        node.write(changed(node.config, "auth.secret"))
        assert node.reload().returncode == 0
        refused = await connect(f"{node.ws}?token={before}")
        await refused.wait_closed()
        assert refused.close_code == 4500
