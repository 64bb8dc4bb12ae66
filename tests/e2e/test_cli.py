"""`danmaku send` and `danmaku tail` as their user sees them, against a real node."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import jwt
import pytest

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

SECRET = "0123456789abcdef0123456789abcdef"


NEVER = """
import asyncio, signal, sys, threading, typer
from chat.cli import run

async def never():
    print("waiting", flush=True)
    await asyncio.Event().wait()

threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
try:
    run(never())
except typer.Exit as ended:
    sys.exit(ended.exit_code)
"""
"""Work in which nothing happens; another thread gets the signals, so none ends a system call."""


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C ends what is started here, also when a shell's `&` has the tests ignore it.

    Whatever is started inherits that a signal is ignored; that it is handled ends with the exec.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that lets nobody in without a token."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    with Node(folder, auth_secret=SECRET, auth_guests="refuse", server_shards=1) as node:
        yield node


class Command:
    """`danmaku …` in a process of its own, its output in pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @property
    def output(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def errors(self) -> asyncio.StreamReader:
        assert self.process.stderr is not None
        return self.process.stderr

    async def line(self) -> str:
        """The next line of output."""
        return await next_line(self.output)

    async def until_noted(self, part: str) -> None:
        """Wait for a line on standard error."""
        while part not in (said := await next_line(self.errors)):
            assert said, f"it ended without {part!r}"

    async def end(self) -> tuple[int, str, str]:
        """Exit status, and the rest of output and errors."""
        async with asyncio.timeout(PATIENCE_S):
            output, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, output.decode(), errors.decode()


async def next_line(stream: asyncio.StreamReader) -> str:
    async with asyncio.timeout(PATIENCE_S):
        return (await stream.readline()).decode().rstrip("\n")


@asynccontextmanager
async def python(*arguments: str) -> AsyncIterator[Command]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments), stdout=pipe, stderr=pipe
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def danmaku(*arguments: str) -> AbstractAsyncContextManager[Command]:
    return python("-m", "chat.cli", *arguments)


async def run(*arguments: str) -> tuple[int, str, str]:
    async with danmaku(*arguments) as command:
        return await command.end()


class TestSend:
    async def test_what_is_sent_is_seen_and_acknowledged(self, node: Node) -> None:
        viewer = await Viewer.open(node.ws, "cli:send")
        look = ("--color", "#ff0080", "--mode", "top")
        status, output, errors = await run("send", "cli:send", "前方高能", "--url", node.ws, *look)
        await viewer.until(lambda _: viewer.of("msg"))
        [message] = viewer.of("msg")
        assert (status, output, errors) == (0, f"cli:send #1 {message['id']}\n", "")
        assert (message["text"], message["color"]) == ("前方高能", 0xFF0080)
        assert message["mode"] == "top"
        await viewer.close()

    @pytest.mark.parametrize(
        ("room", "text", "code"),
        [("a room", "hi", "bad_room"), ("r", " ", "text_empty"), ("r", "x" * 301, "text_too_long")],
    )
    async def test_a_refusal_is_one_line(self, node: Node, room: str, text: str, code: str) -> None:
        status, output, errors = await run("send", room, text, "--url", node.ws)
        assert (status, output) == (1, "")
        assert errors.startswith(f"danmaku: {code}: ")
        assert errors.count("\n") == 1

    async def test_a_wrong_path_is_told(self, node: Node) -> None:
        status, _, errors = await run("send", "r", "hi", "--url", node.ws + "/wrong")
        assert status == 1
        assert "HTTP 404; is the path right?" in errors


class TestTail:
    async def test_history_comes_first_then_what_is_said(self, node: Node) -> None:
        viewer = await Viewer.open(node.ws, "cli:tail")
        await viewer.type("cli:tail", "before")
        async with danmaku("tail", "cli:tail", "--url", node.ws) as tail:
            assert (await tail.line()).endswith(": before")
            await viewer.type("cli:tail", "after " * 40)
            assert (await tail.line()).endswith(": " + ("after " * 40).strip())
        await viewer.close()

    async def test_json_is_one_message_of_the_wire_a_line(self, node: Node) -> None:
        viewer = await Viewer.open(node.ws, "cli:json")
        await viewer.type("cli:json", "one")
        async with danmaku("tail", "cli:json", "--json", "--url", node.ws) as tail:
            assert json.loads(await tail.line()) == viewer.of("msg")[0]
            await viewer.type("cli:json", "two")
            assert json.loads(await tail.line())["text"] == "two"
        await viewer.close()

    @pytest.mark.usefixtures("ctrl_c")
    async def test_ctrl_c_ends_it_quietly(self, node: Node) -> None:
        async with danmaku("tail", "cli:int", "--url", node.ws) as tail:
            await tail.until_noted("watching")
            tail.process.send_signal(signal.SIGINT)
            assert await tail.end() == (130, "", "")

    @pytest.mark.usefixtures("ctrl_c")
    async def test_ctrl_c_ends_it_though_nothing_else_wakes_it(self) -> None:
        async with python("-c", NEVER) as waiting:
            assert await waiting.line() == "waiting"
            waiting.process.send_signal(signal.SIGINT)
            assert await waiting.end() == (130, "", "")

    async def test_it_ends_quietly_when_nobody_reads_it(self, node: Node) -> None:
        async with danmaku("tail", "cli:pipe", "--url", node.ws) as tail:
            await tail.until_noted("watching")
            pipe = tail.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
            pipe.close()
            async with asyncio.timeout(PATIENCE_S):
                assert await tail.process.wait() == 0
            assert await tail.errors.read() == b""

    async def test_a_refused_room_ends_it(self, node: Node) -> None:
        status, _, errors = await run("tail", "a room", "--url", node.ws)
        assert status == 1
        assert "danmaku: bad_room: " in errors

    async def test_it_comes_back_and_misses_nothing(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_shards=1) as node:
            async with danmaku("tail", "cli:back", "--url", node.ws) as tail:
                await tail.until_noted("watching")
                await asyncio.to_thread(post, node, "cli:back", "one")
                assert (await tail.line()).endswith(": one")
                [shard] = node.pids("shard")
                os.kill(shard, signal.SIGKILL)
                await tail.until_noted("coming back in")
                await asyncio.to_thread(post, node, "cli:back", "two")
                assert (await tail.line()).endswith(": two")


class TestTokens:
    async def test_one_made_here_lets_in(
        self, guarded: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DANMAKU_AUTH_SECRET", SECRET)
        _, token, _ = await run("token", "u7", "--name", "阿花")
        options = ("--url", guarded.ws, "--token", token.strip())
        assert (await run("send", "cli:token", "hi", *options))[0] == 0
        async with danmaku("tail", "cli:token", *options) as tail:
            assert (await tail.line()).endswith("阿花: hi")

    @pytest.mark.parametrize("token", ["", "x.y.z"])
    async def test_without_a_good_one_the_reason_is_told(self, guarded: Node, token: str) -> None:
        reason = f"the token is not valid: {fault(token)}" if token else "a token is needed here"
        for command in (("send", "r", "hi"), ("tail", "r")):
            status, output, errors = await run(*command, "--url", guarded.ws, "--token", token)
            assert (status, output, errors) == (1, "", f"danmaku: {reason}\n")


def fault(token: str) -> str:
    """What the package that reads tokens finds wrong with one."""
    with pytest.raises(jwt.InvalidTokenError) as refused:
        jwt.decode(token, SECRET, algorithms=["HS256"])
    return str(refused.value)


def post(node: Node, room: str, text: str) -> None:
    status, _ = node.request("POST", f"/v1/rooms/{room}/messages", {"text": text})
    assert status == 200
