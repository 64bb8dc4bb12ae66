"""docs/clients.md: every page of it runs against a node, and does what it says."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.local import Node
from chat.client import Client, Msg
from tests.e2e.browsers import CHROMIUM, chromium
from tests.patience import PATIENCE_S

HERE = Path(__file__).parent
DOCUMENT = (HERE.parents[1] / "docs" / "clients.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```(?:html|js|python|sh)\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
PACKAGE = HERE.parents[1] / "clients" / "js"
NODE, CURL = shutil.which("node"), shutil.which("curl")

NAMED = {
    found[1]: example
    for example in EXAMPLES
    if (found := re.match(r"(?:#|//|<!--) (\w+\.\w+)", example)) is not None
}
SHELL = [example for example in EXAMPLES if example not in NAMED.values()]


def given(example: str, node: Node, room: str) -> str:
    """An example as it is written, but for this node and a room of the test's own."""
    here = example.replace(":8000", f":{node.port}").replace(":8001", f":{node.api_port}")
    return re.sub(r"\blobby\b", room, here)


def test_every_example_is_run_here() -> None:
    assert NAMED.keys() == {
        *("chat.html", "client.html", "watch.html", "bot.mjs", "dice.mjs"),
        *("greeter.py", "plain.py", "whole.py"),
    }
    assert [re.split(r"[ \n]", example)[0] for example in SHELL] == ["danmaku"] * 2 + ["curl"] * 2


def test_every_row_has_a_page() -> None:
    headings = re.findall(r"^## (.*)$", DOCUMENT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
    linked = set(re.findall(r"\]\(#([\w-]+)\)", DOCUMENT))
    assert linked <= anchors


@asynccontextmanager
async def running(*command: str, cwd: Path | None = None, **environ: str) -> AsyncIterator[Process]:
    """A program, ended at the latest when the block is left."""
    bin_folder = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    env |= environ
    program = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself, not noticed yet
            if program.returncode is None:
                os.killpg(program.pid, signal.SIGKILL)
        await program.wait()


async def said(program: Process, *texts: str) -> str:
    """What a program has printed until it had said all of these."""
    assert program.stdout is not None
    seen = ""
    async with asyncio.timeout(PATIENCE_S):
        while not all(text in seen for text in texts):
            line = (await program.stdout.readline()).decode()
            assert line, f"it ended before it said all of {texts}: {seen}"
            seen += line
    return seen


async def heard(client: Client, text: str) -> Msg:
    async with asyncio.timeout(PATIENCE_S):
        async for event in client:
            if isinstance(event, Msg) and re.fullmatch(text, event.text):
                return event
    raise AssertionError("the client has ended")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
class TestBrowser:
    @pytest.mark.parametrize("name", ["chat", "client"])
    def test_two_pages_type_and_see(self, node: Node, tmp_path: Path, name: str) -> None:
        page = tmp_path / "first.html"
        page.write_text(given(NAMED[f"{name}.html"], node, f"first:{name}"), "utf-8")
        with chromium() as browser:
            one, other = browser.new_page(), browser.new_page()
            for each in (one, other):
                each.goto(page.as_uri())
            typed(one, "前方高能 <b>")
            for each in (one, other):
                expect(each.locator("li")).to_have_text(re.compile("^guest-....: 前方高能 <b>$"))

    def test_one_with_our_client_survives_a_node_and_is_the_same_guest_again(
        self, tmp_path: Path
    ) -> None:
        page = tmp_path / "client.html"
        with Node(tmp_path) as node, chromium() as browser:
            page.write_text(given(NAMED["client.html"], node, "first:same"), "utf-8")
            one = browser.new_page()
            one.goto(page.as_uri())
            lines = one.locator("li", has_text="guest-")
            typed(one, "before")
            expect(lines).to_have_text([re.compile(": before$")])
            for pid in node.pids("shard"):
                os.kill(pid, signal.SIGKILL)
            expect(one.locator("li", has_text="connecting: ").first).to_be_visible()
            typed(one, "after")
            expect(lines).to_have_text([re.compile(f": {text}$") for text in ("before", "after")])
            one.reload()
            expect(lines).to_have_count(2)
            typed(one, "again")
            guest, *_ = lines.first.inner_text().partition(":")
            expect(lines).to_have_text(
                [f"{guest}: {text}" for text in ("before", "after", "again")]
            )

    def test_a_page_watches(self, node: Node, tmp_path: Path) -> None:
        page = tmp_path / "watch.html"
        page.write_text(given(NAMED["watch.html"], node, "first:watch"), "utf-8")
        node.request("POST", "/v1/rooms/first:watch/messages", [{"text": "early"}])
        with chromium() as browser:
            one = browser.new_page()
            one.goto(page.as_uri())
            expect(one.locator("li")).to_have_text(["early"])
            node.request("POST", "/v1/rooms/first:watch/messages", [{"text": "late"}])
            expect(one.locator("li")).to_have_text(["early", "late"])


def typed(page: Page, text: str) -> None:
    page.fill("input", text)
    page.press("input", "Enter")


@pytest.mark.skipif(NODE is None, reason="there is no node here")
class TestNode:
    @pytest.mark.skipif(
        not (HERE / "node_modules" / "ws").exists(), reason="npm has not installed ws: `make test`"
    )
    async def test_a_bot_answers_with_ws(self, node: Node, tmp_path: Path) -> None:
        (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
        await self.answers(node, tmp_path, NAMED["bot.mjs"], "first:ws")

    @pytest.mark.skipif(
        not (PACKAGE / "dist").exists(), reason="npm has not built our client: run `make test`"
    )
    async def test_one_with_our_client_goes_on_answering_though_shards_die(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "node_modules").mkdir()
        for name, at in (("ws", HERE / "node_modules" / "ws"), ("danmaku-client", PACKAGE)):
            (tmp_path / "node_modules" / name).symlink_to(at)
        room = "first:dice"
        with Node(tmp_path) as node:
            (tmp_path / "dice.mjs").write_text(given(NAMED["dice.mjs"], node, room), "utf-8")
            async with running(str(NODE), "dice.mjs", cwd=tmp_path) as dice:
                await said(dice, f"1 watch {room}")
                async with Client(node.ws, room) as client:
                    for _ in range(2):
                        await client.send(room, "!roll")
                        answer = await heard(client, r"a [1-6]")
                        assert re.fullmatch(r"Dice \(guest-....\)", answer.name)
                        await said(dice, f"said as {answer.id}")
                        for pid in node.pids("shard"):
                            os.kill(pid, signal.SIGKILL)
                        await said(dice, "connecting", f"watch {room}")

    async def test_a_bot_answers_with_what_is_built_in(self, node: Node, tmp_path: Path) -> None:
        if version() < (20, 10):
            pytest.skip("no WebSocket of its own in this node: 20.10 or newer has one")
        first, _, rest = NAMED["bot.mjs"].partition('import WebSocket from "ws";')
        options = [] if version() >= (22, 0) else ["--experimental-websocket"]
        await self.answers(node, tmp_path, first + rest, "first:node", *options)

    async def answers(
        self, node: Node, folder: Path, program: str, room: str, *options: str
    ) -> None:
        (folder / "bot.mjs").write_text(given(program, node, room), "utf-8")
        async with running(str(NODE), *options, "bot.mjs", cwd=folder) as bot:
            await said(bot, f"watch {room}")
            async with Client(node.ws, room) as client:
                await client.send(room, "!roll")
                answer = await heard(client, r"a [1-6]")
            assert f"said as {answer.id}: {answer.text}" in await said(bot, "said as")


def version() -> tuple[int, int]:
    """Node's: major and minor."""
    done = subprocess.run([str(NODE), "--version"], capture_output=True, text=True, check=True)
    major, minor, _ = done.stdout.lstrip("v").split(".")
    return int(major), int(minor)


class TestPython:
    async def test_our_client_greets(self, node: Node) -> None:
        room = "first:greeter"
        program = given(NAMED["greeter.py"], node, room)
        async with running(sys.executable, "-c", program), Client(node.ws, room) as client:
            await client.send(room, "hello")
            answer = await heard(client, "welcome, guest-.*")
            assert re.fullmatch(r"Greeter \(guest-....\)", answer.name)

    async def test_websockets_alone_types_and_sees(self, node: Node) -> None:
        room = "first:plain"
        async with (
            running(sys.executable, "-c", given(NAMED["plain.py"], node, room)) as program,
            Client(node.ws, room) as client,
        ):
            await said(program, "says: hello from websockets")
            await client.send(room, "and from me")
            await said(program, "says: and from me")


class TestOneOfYourOwn:
    async def test_it_loses_nothing_and_says_everything_once_though_shards_die(
        self, tmp_path: Path
    ) -> None:
        room = "first:whole"
        with Node(tmp_path) as node:
            async with running(sys.executable, "-c", given(NAMED["whole.py"], node, room)) as own:
                tell(own, "begin")
                seen = await said(own, "1 begin\n")
                for life in range(3):
                    await post(node, room, *(f"api {life}.{i}" for i in range(20)))
                    tell(own, *(f"mine {life}.{i}" for i in range(3)))
                    for pid in node.pids("shard"):
                        os.kill(pid, signal.SIGKILL)
                    await post(node, room, *(f"late {life}.{i}" for i in range(20)))
                    tell(own, f"after {life}", f"end {life}")
                    mine = [f"mine {life}.{i}" for i in range(3)] + [f"after {life}", f"end {life}"]
                    seen += await said(own, *(f" {text}\n" for text in (f"late {life}.19", *mine)))
            numbers, texts = zip(*(line.split(" ", 1) for line in seen.splitlines()), strict=True)
            assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
            assert len(set(texts)) == len(texts) == 1 + 3 * (20 + 3 + 20 + 2)

    async def test_it_says_what_is_gone(self, tmp_path: Path) -> None:
        room = "first:gone"
        with Node(tmp_path, rooms_history=10, rooms_history_on_join=5) as node:
            async with running(sys.executable, "-c", given(NAMED["whole.py"], node, room)) as own:
                tell(own, "begin")
                await said(own, "1 begin\n")
                os.kill(own.pid, signal.SIGSTOP)
                for pid in node.pids("shard"):
                    os.kill(pid, signal.SIGKILL)
                await post(node, room, *(f"api {i}" for i in range(500)))
                os.kill(own.pid, signal.SIGCONT)
                told = (await said(own, "501 api 499\n")).splitlines()
                assert told[0] == "-- some may be gone --"
                assert [int(line.split()[0]) for line in told[1:]] == list(range(497, 502))


def tell(program: Process, *lines: str) -> None:
    assert program.stdin is not None
    program.stdin.write("".join(f"{line}\n" for line in lines).encode())


async def post(node: Node, room: str, *texts: str) -> None:
    messages = [{"text": text} for text in texts]
    path = f"/v1/rooms/{room}/messages"
    status, _ = await asyncio.to_thread(node.request, "POST", path, messages)
    assert status == 200


class TestTerminal:
    async def test_what_is_sent_is_seen_in_the_tail_and_by_curl(self, node: Node) -> None:
        if CURL is None:
            pytest.skip("no curl: apt install curl")
        room = "first:shell"
        tail, send, stream, post = (given(example, node, room) for example in SHELL)
        async with running("sh", "-c", stream) as watching, running("sh", "-c", tail) as tailing:
            await said(watching, '"t":"joined"')
            await said(tailing, "watching")
            async with running("sh", "-c", send) as sending:
                await said(sending, f"{room} #1")
            async with running("sh", "-c", post) as posting:
                assert posting.stdout is not None
                assert b'"accepted":1' in await posting.stdout.read()
            await said(watching, "hello from a terminal", "hello from curl")
            await said(tailing, "hello from a terminal", "Bot: hello from curl")
