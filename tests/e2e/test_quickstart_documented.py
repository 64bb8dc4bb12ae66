"""docs/quickstart.md: every command of it, in order, against a node started as it says."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.local import Node
from tests.e2e.test_clients_documented import running, said
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/quickstart.md").read_text("utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
(PYTHON,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
SERVE, PACKAGE, EXPORT, TAIL, SEND, POST, SECRET, WITH_SECRET, ALICE, ORDER, REAL = SHELL


def given(example: str, node: Node) -> str:
    """As it is written, but for this node's ports."""
    there = example.replace(":8000", f":{node.port}").replace(":8001", f":{node.api_port}")
    there = re.sub(r"\b(danmaku (?:tail|send) .*)$", rf"\1 --url {node.ws}", there, flags=re.M)
    return re.sub(
        r"\b(danmaku (?:settings|mute|audit).*)$", rf"\1 --api {node.page}", there, flags=re.M
    )


async def done(example: str, folder: Path) -> str:
    """What commands print that end well."""
    async with running("sh", "-ec", example, cwd=folder) as program:
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await program.communicate()
        assert program.returncode == 0, output.decode()
        return output.decode()


async def over_and_over(example: str, folder: Path) -> None:
    """Until it fails: shards know of a rule within a second."""
    for _ in range(10):
        await done(example, folder)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Node]:
    """A node started with the secret and the variables of the page."""
    await done(SECRET, tmp_path)
    settings = dict(re.findall(r"DANMAKU_(\w+)=(\S+)", WITH_SECRET))
    assert set(settings) == {"AUTH_SECRET_FILE", "AUTH_GUESTS"}
    settings["AUTH_SECRET_FILE"] = str(tmp_path / settings["AUTH_SECRET_FILE"])
    with Node(tmp_path, **settings) as node:
        yield node


def test_what_is_made_can_be_made() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for verb in re.findall(r"^make (\w+)", "".join(SHELL), re.MULTILINE):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
    assert "*-py3-none-any.whl" in PACKAGE, "what tests/dist.py installs, in such an environment"
    assert WITH_SECRET.endswith(" danmaku serve\n")
    assert ".venv/bin" in EXPORT


async def test_a_terminal_a_backend_and_a_program_are_seen(node: Node, tmp_path: Path) -> None:
    async with running("sh", "-c", given(TAIL, node)) as tail:
        await said(tail, "watching")
        assert await done(given(SEND, node), tmp_path)
        assert '"accepted":1' in await done(given(POST, node), tmp_path)
        async with running(sys.executable, "-c", given(PYTHON, node)) as program:
            await said(program, "said as ")
        await said(tail, "hello from a terminal", "hello from a backend", "hello from Python")


async def test_alice_types_where_guests_may_not_until_she_is_muted(
    guarded: Node, tmp_path: Path
) -> None:
    guest = await Viewer.open(guarded.ws, "lobby")
    assert (await guest.type("lobby", "hello"))["code"] == "read_only"
    assert await done(given(ALICE, guarded), tmp_path)
    told = await done(given(ORDER, guarded), tmp_path)
    assert "alice" in told
    with pytest.raises(AssertionError, match="muted"):
        await over_and_over(given(ALICE, guarded), tmp_path)
    await guest.close()


async def test_the_configuration_is_written_and_looked_at(tmp_path: Path) -> None:
    write, look = REAL.splitlines()
    await done(write, tmp_path)
    assert (tmp_path / "config.toml").read_text() == (ROOT / "config.toml").read_text()
    async with running("sh", "-c", look, cwd=tmp_path) as doctor:
        await said(doctor, "open files")
