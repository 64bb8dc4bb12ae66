"""What README, docs/operations.md and docs/workers.md have one type, against a real node."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.test_clients_documented import running, said
from tests.e2e.test_quickstart_documented import done
from tests.patience import eventually

ROOT = Path(__file__).parents[2]


def blocks(page: str, kind: str = "sh") -> list[str]:
    """What is written in a page's blocks of a kind."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def given(example: str, node: Node) -> str:
    """As it is written, but for this node's ports."""
    example = example.replace(":8000", f":{node.port}").replace(":8001", f":{node.api_port}")
    example = example.replace(".venv/bin/", "").partition("  #")[0]
    example = re.sub(r"\bdanmaku (?:tail|send) .*$", rf"\g<0> --url {node.ws}", example)
    example = re.sub(r"\bdanmaku top", rf"\g<0> --once 127.0.0.1:{node.api_port}", example)
    verbs = "settings|mute|words|audit"
    return re.sub(rf"\bdanmaku (?:{verbs}) .*$", rf"\g<0> --api {node.page}", example)


@pytest.fixture
def node(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path, bus_url=engine.url) as node:
        yield node


async def test_the_readmes_commands_do_what_stands_behind_them(node: Node, tmp_path: Path) -> None:
    [_, lines, *_] = blocks("README.md")
    commands = [line for line in lines.replace("\\\n", "").splitlines() if line]
    assert len(commands) == 8, "one each"
    [watching] = [one for one in commands if "danmaku tail" in one]
    async with running("sh", "-c", given(watching, node)) as tail:
        await said(tail, "watching")
        for command in commands:
            if command is not watching and "doctor" not in command:
                assert await done(given(command, node), tmp_path), command
        await said(tail, "前方高能", "hi")
    async with running("sh", "-c", given(commands[-1], node)) as doctor:
        await said(doctor, "open files")
    settings = node.request("GET", "/v1/rooms/lobby/settings")[1]
    assert (settings["slow_s"], settings["announcement"]) == (5, "Be nice")
    assert node.request("GET", "/v1/words")[1]["mask"] == ["damn"]
    [mute] = node.request("GET", "/v1/rooms/lobby/mutes")[1]["mutes"]
    assert mute["uid"] == "u7"


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq: apt install jq")
async def test_a_script_reads_what_the_doctor_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    [command] = re.findall(r"^\$ (danmaku doctor --json .*)$", page, re.MULTILINE)
    told = (await done(command, tmp_path)).splitlines()
    assert told[0] in ("ok", "note", "problem")
    assert all(": " in line for line in told[1:])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: apt install prometheus")
def test_prometheus_takes_what_it_is_told_of_nodes_and_alerts(tmp_path: Path) -> None:
    [written] = blocks("docs/operations.md", "yaml")
    (tmp_path / "prometheus.yml").write_text(written)
    for key in re.findall(r"credentials_file: ([^\s,}]+)", written):
        (tmp_path / key).write_text("a key")
    shutil.copy(ROOT / "deploy" / "alerts.yml", tmp_path)
    check = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"rules found", done.stdout)


async def test_archives_have_what_was_said_and_are_asked(
    node: Node, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    archives, query, *_ = blocks("docs/workers.md")
    for room in ("lobby", "live:1", "other"):
        assert node.request("POST", f"/v1/rooms/{room}/messages", {"text": f"in {room}"})[0] == 200
    to_lines, to_sqlite = (line.partition("  #")[0] for line in archives.splitlines())
    bus = f"DANMAKU_BUS_URL={engine.url}"
    lines, table = tmp_path / "chat.jsonl", tmp_path / "chat.sqlite"
    async with running("sh", "-c", f"{bus} {to_lines}", cwd=tmp_path):
        await eventually(lambda: lines.exists() and lines.read_text().count("in ") == 3)
    texts = [json.loads(line)["text"] for line in lines.read_text().splitlines()]
    assert sorted(texts) == ["in live:1", "in lobby", "in other"]

    def kept() -> int:
        with suppress(sqlite3.OperationalError), sqlite3.connect(table) as database:
            return int(database.execute("SELECT count(*) FROM messages").fetchone()[0])
        return 0

    async with running("sh", "-c", f"{bus} {to_sqlite}", cwd=tmp_path):
        await eventually(lambda: table.exists() and kept() == 2)
    asked = re.sub(r"^sqlite3", f"{sys.executable} -m sqlite3", query)
    if sys.version_info < (3, 12):  # which has that
        if shutil.which("sqlite3") is None:
            pytest.skip("no sqlite3: apt install sqlite3")
        asked = query
    assert "in lobby" in await done(asked, tmp_path)
