"""Stock clients of goim's framing, as they are published, at a node: what a viewer goes through."""

import asyncio
import itertools
import json
import os
import random
import re
import shutil
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import jwt
import pytest

from bench.local import Node
from tests.patience import PATIENCE_S
from tests.relay import Relay

HERE = Path(__file__).parent
DOCUMENT = (HERE.parents[1] / "docs" / "goim.md").read_text("utf-8")
NODE = shutil.which("node")
HAS_CLIENTS = (HERE / "node_modules" / "tiny-bilibili-ws").exists()
pytestmark = [
    pytest.mark.skipif(NODE is None, reason="there is no node here"),
    pytest.mark.skipif(not HAS_CLIENTS, reason="npm has not installed them: run `make test`"),
]

SECRET = "a secret of at least thirty-two bytes"
SETTINGS: dict[str, object] = {
    "auth_secret": SECRET,
    "server_dialects": '["danmaku", "goim"]',
    "server_shards": 1,
}
CLIENTS = [
    *(("bilibili-live-ws", protover) for protover in (1, 2, 3)),
    *(("tiny-bilibili-ws", protover) for protover in (2, 3)),
]
HAN = [chr(code) for code in range(0x4E00, 0x9FA5)]
ROOMS = itertools.count(1000)

each = pytest.mark.parametrize("client", CLIENTS, ids=lambda one: f"{one[0]}-{one[1]}")
Client = tuple[str, int]


class Viewer:
    """A client in a process of Node's; `events` are what it was told, in order."""

    def __init__(self, process: Process) -> None:
        self.events: list[list[Any]] = []
        self._process = process
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, client: Client, port: int, room: int, key: str = "") -> Self:
        library, protover = client
        arguments = [str(port), str(room), str(protover), *([key] if key else [])]
        program = [str(NODE), str(HERE / "goim_client.mjs"), library]
        return cls(
            await asyncio.create_subprocess_exec(
                *program, *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=1 << 22
            )
        )

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            async with self._news:
                if line.startswith(b"["):
                    self.events.append(json.loads(line))
                    self._news.notify_all()

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await self._process.wait() == 0
        await self._reading

    def do(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    async def until(self, found: Callable[[], Any], what: str) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                while not (result := found()):
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {what}; last were {self.events[-3:]}") from None
        return result

    def of(self, kind: str) -> list[Any]:
        return [event[1:] for event in self.events if event[0] == kind]

    async def nth(self, kind: str, nth: int = 1) -> Any:
        return (await self.until(lambda: self.of(kind)[nth - 1 :], f"{kind} {nth}"))[0]

    def words(self, cmd: str) -> list[dict[str, Any]]:
        return [word for [word] in self.of("word") if word["cmd"] == cmd]

    async def word(self, cmd: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = await self.until(lambda: self.words(cmd), cmd)
        return found[0]

    async def again(self, cmd: str) -> None:
        """Until a word came twice."""
        await self.until(lambda: len(self.words(cmd)) > 1, f"{cmd} again")

    @property
    def texts(self) -> list[str]:
        return [word["info"][1] for word in self.words("DANMU_MSG")]

    async def text(self, text: str) -> None:
        await self.until(lambda: text in self.texts, text)


@pytest.fixture
def room() -> int:
    return next(ROOMS)


@asynccontextmanager
async def watching(client: Client, port: int, room: int, key: str = "") -> AsyncIterator[Viewer]:
    """A viewer that is in its room."""
    viewer = await Viewer.open(client, port, room, key)
    try:
        await viewer.word("ONLINE_RANK_COUNT")
        yield viewer
    finally:
        await viewer.close()


def token(uid: str) -> str:
    return jwt.encode({"sub": uid, "exp": int(time.time()) + 3600}, SECRET, "HS256")


async def call(node: Node, method: str, path: str, body: object = None) -> Any:
    status, answer = await asyncio.to_thread(node.request, method, f"/v1{path}", body)
    assert status == 200, answer
    return answer


async def say(node: Node, room: int, *texts: str, **more: object) -> Any:
    messages = [{"text": text, "name": "阿花", "uid": "1001", **more} for text in texts]
    return await call(node, "POST", f"/rooms/live:{room}/messages", messages)


@each
async def test_live(node: Node, room: int, client: Client) -> None:
    async with watching(client, node.port, room) as viewer:
        await viewer.nth("online")
        viewer.do("beat")
        assert await viewer.nth("online", 2) == [1]
        await say(node, room, "前方高能", color=0xFF0000, mode="top")
        await viewer.text("前方高能")
        [line] = viewer.words("DANMU_MSG")
        assert (line["info"][0][1], line["info"][0][3]) == (5, 0xFF0000)
        assert line["info"][2][:2] == [1001, "阿花"]
        await say(node, room, "辣条", kind="gift", data={"num": 3})
        assert (await viewer.word("SEND_GIFT"))["data"]["num"] == 3
        await say(node, room, "老板好", kind="superchat", data={"price": 30})
        assert (await viewer.word("SUPER_CHAT_MESSAGE"))["data"]["message"] == "老板好"
        many = [f"第 {number} 条" for number in range(500)]
        await say(node, room, *many)
        # One of them opens what is compressed in threads, and shows it as each is done.
        await viewer.until(lambda: len(viewer.texts) == 501, "all of them")
        assert sorted(viewer.texts[1:]) == sorted(many)
        assert viewer.of("close") == viewer.of("unread") == []


@each
async def test_cut_and_reconnected(node: Node, room: int, client: Client) -> None:
    async with Relay(node.port) as between, watching(client, between.port, room) as viewer:
        await say(node, room, "before")
        await viewer.text("before")
        between.cut()
        await viewer.nth("close")
        await viewer.nth("open", 2)
        await viewer.again("ONLINE_RANK_COUNT")
        await say(node, room, "after")
        await viewer.text("after")
        assert viewer.texts == ["before", "after"]


@each
async def test_moderated(node: Node, room: int, client: Client) -> None:
    uid = str(room * 10)
    async with watching(client, node.port, room, token(uid)) as viewer:
        said = await say(node, room, "spam")
        await viewer.text("spam")
        await call(node, "DELETE", f"/rooms/live:{room}/messages/{said['last']}")
        recalled = await viewer.word("RECALL_DANMU_MSG")
        assert recalled["data"]["target_id"] == viewer.words("DANMU_MSG")[0]["info"][0][5]
        await call(node, "PATCH", f"/rooms/live:{room}/settings", {"silence": "all"})
        assert (await viewer.word("ROOM_SILENT_ON"))["roomid"] == room
        await call(node, "PATCH", f"/rooms/live:{room}/settings", {"silence": "none"})
        await viewer.word("ROOM_SILENT_OFF")
        await call(node, "PUT", f"/rooms/live:{room}/mutes/{uid}", {"seconds": 60})
        assert (await viewer.word("ROOM_BLOCK_MSG"))["uid"] == int(uid)
        await call(node, "PUT", f"/rooms/live:{room}/bans/{uid}", {"reason": "spam"})
        assert (await viewer.word("CUT_OFF"))["msg"] == "banned: spam"
        await viewer.nth("open", 2)
        await viewer.again("CUT_OFF")
        await say(node, room, "among others")
        viewer.do("beat")
        await viewer.nth("online", len(viewer.of("online")) + 1)
        assert viewer.texts == ["spam"]


@each
async def test_refused(node: Node, room: int, client: Client) -> None:
    viewer = await Viewer.open(client, node.port, room, "no token of ours")
    try:
        await viewer.nth("close")
        await say(node, room, "not for it")
        await viewer.nth("close", 2)
        assert viewer.of("word") == viewer.of("online") == []
    finally:
        await viewer.close()


async def test_the_documented_example(node: Node, room: int) -> None:
    [example] = re.findall(r"```js\n// watch\.mjs\n(.*?)```", DOCUMENT, re.DOTALL)
    program = example.replace("KeepLiveWS(42", f"KeepLiveWS({room}")
    assert program != example
    running = await asyncio.create_subprocess_exec(
        *(str(NODE), "--input-type=module", "-e", program),
        cwd=HERE,
        env={**os.environ, "DANMAKU_SUB": f"ws://127.0.0.1:{node.port}/sub"},
        stdout=PIPE,
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await running.stdout.readline() == b"connected\n"
            assert await running.stdout.readline() == b"online 1\n"
            await say(node, room, "前方高能")
            assert await running.stdout.readline() == "阿花: 前方高能\n".encode()
    finally:
        running.terminate()
        await running.wait()


async def all_watching(stack: AsyncExitStack, port: int, room: int) -> list[Viewer]:
    """A viewer of each client."""
    opening = [stack.enter_async_context(watching(client, port, room)) for client in CLIENTS]
    return await asyncio.gather(*opening)


async def test_slow(node: Node, room: int) -> None:
    """All at once, for the flood is what takes the time. Who reads again sees what comes then."""
    chance = random.Random(1)
    async with AsyncExitStack() as stack:
        viewers = await all_watching(stack, node.port, room)
        for viewer in viewers:
            viewer.do("pause")
        dropped, posted = 0, 0
        while dropped < 10 * len(viewers):
            # Noise, which is not compressed to nothing.
            noise = chance.choices(HAN, k=400 * 290)
            lines = ["".join(noise[i : i + 290]) for i in range(0, len(noise), 290)]
            await say(node, room, *lines)
            posted += 400
            dropped = await asyncio.to_thread(node.counted, "dropped_slow")
        for viewer in viewers:
            viewer.do("resume")
        for viewer in viewers:
            for attempt in range(1000):
                await say(node, room, f"again {attempt}")
                if is_back(viewer):
                    break
                await asyncio.sleep(0.05)
            assert is_back(viewer)
            assert viewer.of("close") == []
        assert min(len(viewer.texts) for viewer in viewers) < posted


def is_back(viewer: Viewer) -> bool:
    return any(text.startswith("again") for text in viewer.texts)


async def test_drained(node: Node, room: int) -> None:
    async with AsyncExitStack() as stack:
        viewers = await all_watching(stack, node.port, room)
        assert await asyncio.to_thread(node.stop) == 0
        await asyncio.to_thread(node.start)
        for viewer in viewers:
            await viewer.nth("close")
            await viewer.nth("open", 2)
            await viewer.again("ONLINE_RANK_COUNT")
        await say(node, room, "again")
        for viewer in viewers:
            await viewer.text("again")
