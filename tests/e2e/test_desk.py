"""`danmaku mute`, `ban`, `words` and so on as a moderator uses them, against a real node."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.local import Node
from tests.e2e.test_cli import danmaku, run
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

KEY = "a-key-of-the-operator"
READER = "a-key-that-reads-only"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of two shards whose API has two keys."""
    folder: Path = tmp_path_factory.mktemp("desk")
    config = folder / "config.toml"
    config.write_text(f'[[api.keys]]\nname = "reader"\nkey = "{READER}"\nscopes = ["read"]\n')
    node = Node(folder, api_key=KEY)
    node.command = (*node.command, "--config", str(config))
    with node:
        yield node


@pytest.fixture(autouse=True)
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANMAKU_API_KEY", KEY)


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """One of the test's own, whose name has to be encoded."""
    return f"desk:{request.node.originalname}-弹"


async def done(node: Node, *arguments: str) -> str:
    """The output of a command that works."""
    status, output, errors = await run(*arguments, "--api", node.page)
    assert (status, errors) == (0, "")
    return output


async def answered(viewer: Viewer, room: str, code: str | None) -> None:
    """Type until that is the answer: the error's code, or an ack (None)."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = await viewer.type(room, "hello")
        if answer.get("code") == code:
            return
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)  # within the rate of commands


async def speak(node: Node, room: str) -> None:
    """Say something in a room, as somebody who leaves again."""
    viewer = await Viewer.open(node.ws, room)
    assert (await viewer.type(room, "one"))["t"] == "ack"
    await viewer.close()


def uid_of(viewer: Viewer) -> str:
    return str(viewer.of("welcome")[0]["uid"])


class TestUsers:
    async def test_muted_and_not(self, node: Node, room: str) -> None:
        viewer = await Viewer.open(node.ws, room)
        uid = uid_of(viewer)
        why = ("--seconds", "600", "--reason", "spam")
        output = await done(node, "mute", uid, "--room", room, *why)
        assert output.startswith(f"{uid} is muted in {room} until 20")
        await answered(viewer, room, "muted")
        assert await done(node, "unmute", uid, "--room", room) == f"{uid} is not muted in {room}\n"
        await answered(viewer, room, None)
        assert await done(node, "mute", uid) == f"{uid} is muted everywhere for good\n"
        await answered(viewer, room, "muted")
        await viewer.close()

    async def test_kicked_and_banned(self, node: Node, room: str) -> None:
        kicked, banned = [await Viewer.open(node.ws, room) for _ in range(2)]
        output = await done(node, "kick", uid_of(kicked), "--room", room)
        assert output == f"{uid_of(kicked)} is out of {room} for a minute\n"
        await kicked.until(lambda viewer: viewer.of("left"))
        output = await done(node, "ban", uid_of(banned), "--room", room)
        assert output == f"{uid_of(banned)} is banned in {room} for good\n"
        await banned.until(lambda viewer: viewer.of("left"))
        output = await done(node, "unban", uid_of(banned), "--room", room)
        assert output == f"{uid_of(banned)} is not banned in {room}\n"
        await asyncio.gather(kicked.close(), banned.close())

    async def test_sent_away_from_everywhere(self, node: Node, room: str) -> None:
        viewer = await Viewer.open(node.ws, room)
        output = await done(node, "kick", uid_of(viewer))
        assert output == f"{uid_of(viewer)} had 1 connection, and is away for a minute\n"
        await viewer.until(lambda viewer: viewer.of("bye"))
        await viewer.close()

    async def test_a_network(self, node: Node) -> None:
        network = ("192.0.2.0/24", "--address")
        assert "192.0.2.0/24 is banned everywhere for good" in await done(node, "ban", *network)
        assert "is not banned everywhere" in await done(node, "unban", *network)


class TestRooms:
    async def test_messages_are_taken_back(self, node: Node, room: str) -> None:
        viewer = await Viewer.open(node.ws, room)
        for text in ("one", "two"):
            await viewer.type(room, text)
        assert await done(node, "delete", room, "1") == f"message 1 of {room} is taken back\n"
        await viewer.until(lambda viewer: viewer.of("delete"))
        output = await done(node, "clear", room, "--uid", uid_of(viewer))
        assert output == f"all messages of {uid_of(viewer)} in {room} are taken back\n"
        await viewer.until(lambda viewer: viewer.of("clear"))
        await viewer.close()

    async def test_settings(self, node: Node, room: str) -> None:
        viewer = await Viewer.open(node.ws, room)
        output = await done(node, "settings", room, "slow_s=7", "announcement=你好", "owners=a,b")
        told = dict(line.split(" = ", 1) for line in output.splitlines())
        assert (told["slow_s"], told["announcement"]) == ("7", '"你好"')
        assert (told["owners"], told["pinned"]) == ('["a", "b"]', "null")
        assert await done(node, "settings", room) == output
        await viewer.until(lambda viewer: viewer.of("state"))
        await viewer.close()

    async def test_words(self, node: Node, room: str, tmp_path: Path) -> None:
        here = ("--room", room)
        viewer = await Viewer.open(node.ws, room)
        output = await done(node, "words", "add", "refuse", "hello", "hello", *here)
        assert output == f"words in {room}: refuse 1, mask 0, shadow 0\n"
        await answered(viewer, room, "word_refused")
        output = await done(node, "words", "check", "Oh, h3llo!", *here)
        assert output.splitlines() == ["refuse: Oh, h3llo!", "  refuse hello (room)"]
        shown = await done(node, "words", "show", *here)
        assert json.loads(shown) == {"refuse": ["hello"], "mask": [], "shadow": []}
        await done(node, "words", "remove", "refuse", "hello", *here)
        await answered(viewer, room, None)
        status, _, errors = await run(
            *("words", "remove", "refuse", "hello", *here), "--api", node.page
        )
        assert (status, errors) == (1, "danmaku: not on the list refuse: hello\n")
        (tmp_path / "words.json").write_text(shown)
        await done(node, "words", "set", str(tmp_path / "words.json"), *here)
        assert await done(node, "words", "show", *here) == shown
        await viewer.close()


class TestTail:
    async def test_it_says_what_is_ruled_and_taken_back(self, node: Node, room: str) -> None:
        async with danmaku("tail", room, "--url", node.ws) as tail:
            await tail.until_noted("watching")
            await done(node, "settings", room, "slow_s=7")
            assert await tail.line() == "-- slow mode, 7 s --"
            viewer = await Viewer.open(node.ws, room)
            await viewer.type(room, "oops")
            assert (await tail.line()).endswith(": oops")
            await done(node, "delete", room, "2")
            assert await tail.line() == "-- message 2 was taken back --"
            await done(node, "clear", room)
            assert await tail.line() == "-- all messages were taken back --"
            await viewer.close()


class TestAudit:
    async def test_who_did_what(self, node: Node, room: str) -> None:
        await done(node, "mute", "u 7", "--room", room, "--seconds", "5", "--reason", "loud")
        [line] = [line for line in (await done(node, "audit")).splitlines() if room in line]
        assert f" mute u 7 in {room} for 5 s (loud) by " in line
        assert line.endswith(", backend, api")
        entries = map(
            json.loads, (await done(node, "audit", "--json", "--hours", "0")).splitlines()
        )
        [entry] = [entry for entry in entries if entry.get("room") == room]
        assert (entry["uid"], entry["actor"], entry["via"]) == ("u 7", "api", "api")


class TestOutput:
    async def test_a_terminal_that_cannot_show_it(
        self, node: Node, room: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
        await speak(node, room)
        output = await done(node, "delete", room, "1")
        assert output == f"message 1 of {room.replace('弹', '?')} is taken back\n"


class TestRefusals:
    @pytest.mark.parametrize(
        ("key", "said"),
        [
            ("", "a key is needed here: give one with --key or in DANMAKU_API_KEY"),
            ("no", "the key is none of this server's: give one with --key or in DANMAKU_API_KEY"),
            (READER, "the key 'reader' has no scope 'moderate', which this needs"),
        ],
    )
    async def test_without_the_right_key(self, node: Node, key: str, said: str) -> None:
        status, output, errors = await run("mute", "u", "--api", node.page, "--key", key)
        assert (status, output, errors) == (1, "", f"danmaku: {said}\n")

    async def test_a_bad_value_is_told_by_its_name(self, node: Node, room: str) -> None:
        status, _, errors = await run("settings", room, "slow_s=soon", "--api", node.page)
        assert status == 2
        assert "\n  slow_s: " in errors

    async def test_a_message_that_is_not_there(self, node: Node, room: str) -> None:
        status, output, errors = await run("delete", room, "7", "--api", node.page)
        assert (status, output) == (1, "")
        assert errors.startswith("danmaku: ")

    async def test_another_server(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nwhat?")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            status, _, errors = await run("audit", "--api", f"http://127.0.0.1:{port}")
        assert status == 1
        assert "is it the API's address?" in errors
