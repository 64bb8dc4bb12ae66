"""Watching without a WebSocket: curl and a browser's EventSource, cut and coming back."""

import asyncio
import http.client
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.streams import CURL, Curl
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(CURL is None, reason="no curl: apt install curl")


def url(node: Node, *rooms: str, **more: str) -> str:
    query = "&".join([*(f"room={room}" for room in rooms), *(f"{k}={v}" for k, v in more.items())])
    return f"http://127.0.0.1:{node.port}/sse?{query}"


async def say(node: Node, room: str, *texts: str) -> None:
    messages = [{"text": text} for text in texts]
    path = f"/v1/rooms/{room}/messages"
    status, _ = await asyncio.to_thread(node.request, "POST", path, messages)
    assert status == 200


@asynccontextmanager
async def speaking(node: Node, room: str) -> AsyncIterator[list[str]]:
    """Somebody says 1, 2, 3… in a room all the while; what was said is in the list."""
    said: list[str] = []

    async def speak() -> None:
        while True:
            await say(node, room, str(len(said) + 1))
            said.append(str(len(said) + 1))

    task = asyncio.create_task(speak())
    try:
        yield said
    finally:
        task.cancel()
        await asyncio.wait([task])


def ask(node: Node, method: str, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE_S)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def numbers(upto: int, since: int = 0) -> list[str]:
    return [str(number) for number in range(since + 1, upto + 1)]


class TestCurl:
    async def test_it_is_cut_and_comes_back_without_a_hole(self, node: Node) -> None:
        """Time and again, at once: some of the shards it meets have not read as far as it has."""
        room = "stream:cut"
        seen: list[str] = []
        last_id = ""
        async with speaking(node, room) as said:
            for _ in range(25):
                options = ["-H", f"Last-Event-ID: {last_id}"] if last_id else []
                async with Curl(url(node, room), *options) as curl:
                    await curl.until(lambda curl: len(curl.texts(room)) > 10)
                    await curl.kill()
                if last_id:
                    assert curl.of("joined")[0]["recovered"]
                seen += curl.texts(room)
                last_id = curl.last_id
            first = int(seen[0])
        assert seen == numbers(first - 1 + len(seen), first - 1)
        assert len(seen) > 250
        assert last_id.split("-")[1] == seen[-1]
        assert len(said) >= len(seen) - 1

    async def test_its_shard_is_killed_and_it_comes_back_without_a_hole(
        self, tmp_path: Path
    ) -> None:
        room = "stream:killed"
        with Node(tmp_path) as node:
            async with speaking(node, room):
                async with Curl(url(node, room)) as curl:
                    await curl.until(lambda curl: len(curl.texts(room)) > 20)
                    for pid in node.pids("shard"):
                        os.kill(pid, signal.SIGKILL)
                    await curl.until(lambda curl: curl.ended)
                retrying = ("--retry", "50", "--retry-all-errors", "--retry-delay", "0")
                back = Curl(url(node, room, lastEventId=curl.last_id), *retrying)
                async with back as again:
                    await again.until(lambda curl: len(curl.texts(room)) > 20)
                assert again.of("joined")[0]["recovered"]
        seen = curl.texts(room) + again.texts(room)
        assert seen == numbers(int(seen[0]) - 1 + len(seen), int(seen[0]) - 1)

    async def test_several_rooms_have_a_position_each(self, node: Node) -> None:
        rooms = "stream:a", "stream:b"
        for room in rooms:
            await say(node, room, "before")
        async with Curl(url(node, *rooms)) as curl:
            await curl.until(lambda curl: len(curl.of("joined")) == 2)
            await say(node, "stream:b", "one", "two")
            await curl.until(lambda curl: curl.texts("stream:b")[1:] == ["one", "two"])
            assert re.fullmatch(r"\w+-1-\d{13},\w+-3-\d{13}", curl.last_id)
            last_id = curl.last_id
        await say(node, "stream:a", "missed")
        async with Curl(url(node, *rooms, lastEventId=last_id)) as curl:
            await curl.until(lambda curl: len(curl.of("joined")) == 2)
            await curl.until(lambda curl: curl.texts("stream:a") == ["missed"])
            assert [joined["recovered"] for joined in curl.of("joined")] == [True, True]
            assert curl.texts("stream:b") == []

    @pytest.mark.parametrize("rooms", [["stream:far"], ["stream:far", "stream:near"]])
    async def test_no_position_comes_before_what_was_missed(
        self, engine: EmbeddedEngine, tmp_path: Path, rooms: list[str]
    ) -> None:
        """One who is cut again while Redis is asked for it has missed it still."""
        far = rooms[0]
        assert engine.pid is not None
        settings = {"bus_url": engine.url, "rooms_history_on_join": 5, "server_shards": 1}
        with Node(tmp_path, **settings) as node:
            async with Curl(url(node, *rooms)) as first, Curl(url(node, *rooms)) as staying:
                await first.until(lambda curl: len(curl.of("joined")) == len(rooms))
                await say(node, far, *numbers(3))
                await first.until(lambda curl: curl.texts(far) == numbers(3))
                await first.kill()
                await say(node, far, *numbers(100, 3))
                await staying.until(lambda curl: curl.texts(far) == numbers(100))
                os.kill(engine.pid, signal.SIGSTOP)
                try:
                    async with Curl(url(node, *rooms, lastEventId=first.last_id)) as cut:
                        await cut.until(lambda curl: curl.of("welcome"))
                finally:
                    os.kill(engine.pid, signal.SIGCONT)
                assert cut.texts(far) == []
                assert cut.last_id == first.last_id
            async with Curl(url(node, *rooms, lastEventId=first.last_id)) as back:
                await back.until(lambda curl: len(curl.of("joined")) == len(rooms))
                assert back.texts(far) == numbers(100, 3)
                assert back.last_id.split(",")[0].split("-")[1] == "100"

    async def test_a_position_that_is_none_starts_fresh(self, node: Node) -> None:
        await say(node, "stream:fresh", "1", "2")
        for last_id in ("nonsense", "e-1,e-2", "zzzzzz-1"):
            options = ("-H", f"Last-Event-ID: {last_id}")
            async with Curl(url(node, "stream:fresh"), *options) as curl:
                await curl.until(lambda curl: curl.of("joined"))
                assert not curl.of("joined")[0]["recovered"]
                assert curl.texts("stream:fresh") == ["1", "2"]

    async def test_silence_is_broken_by_comments(self, tmp_path: Path) -> None:
        with Node(tmp_path, heartbeat_ping_s=1, heartbeat_timeout_s=1) as node:
            async with Curl(url(node, "stream:silent")) as curl:
                await curl.until(lambda curl: curl.comments >= 3)
                assert not curl.ended

    async def test_a_node_that_ends_says_when_to_come_back(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_drain_s=7) as node:
            async with Curl(url(node, "stream:drain")) as curl:
                await curl.until(lambda curl: curl.of("joined"))
                assert curl.retry_ms == 2_000
                await asyncio.to_thread(node.stop)
                await curl.until(lambda curl: curl.ended)
                [bye] = curl.of("bye")
                assert bye["reason"] == "restart"
                assert curl.retry_ms == round(bye["reconnect_in"] * 1_000) <= 7_000
                assert curl.close_code == 4000


class TestBadInput:
    @pytest.mark.parametrize(
        ("method", "path", "status", "said"),
        [
            ("GET", "/sse?room=a%20b", 400, "bad_room"),
            ("GET", "/sse?room=ok&room=" + "x" * 65, 400, "bad_room"),
            ("GET", "/sse?room=", 400, "bad_room"),
            ("GET", "/sse", 400, "?room="),
            ("GET", "/sse?" + "&".join(f"room=r{i}" for i in range(51)), 400, "too_many_rooms"),
            ("GET", "/sse?room=a&token=nonsense", 401, "token"),
            ("POST", "/sse?room=a", 405, "GET"),
            ("PUT", "/sse?room=a", 405, "GET"),
        ],
    )
    def test_is_refused_with_a_reason(
        self, node: Node, method: str, path: str, status: int, said: str
    ) -> None:
        answered, body = ask(node, method, path)
        assert answered == status
        assert said in body

    def test_another_origin_may_be_refused(self, tmp_path: Path) -> None:
        with Node(tmp_path, server_origins='["https://a.example"]') as node:
            status, body = ask(node, "GET", "/sse?room=a", Origin="https://b.example")
            assert (status, body) == (403, "this origin is not in server.origins\n")

    @pytest.mark.parametrize(
        ("dialects", "there", "missing"), [("danmaku", "/ws", "/sse"), ("sse", "/sse", "/ws")]
    )
    def test_what_is_switched_off_is_not_there(
        self, tmp_path: Path, dialects: str, there: str, missing: str
    ) -> None:
        with Node(tmp_path, server_dialects=f'["{dialects}"]') as node:
            assert ask(node, "GET", f"{missing}?room=a")[0] == 404
            assert ask(node, "POST", f"{there}?room=a")[0] == 405


class TestSlowReaders:
    async def test_one_is_ended_and_comes_back_without_a_hole(self, tmp_path: Path) -> None:
        room = "stream:slow"
        limits = {"limits_send_buffer_bytes": 4_096, "limits_backlog_soft_bytes": 16_384}
        with Node(tmp_path, server_shards=1, rooms_history=100_000, **limits) as node:
            small = socket.socket()
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            small.connect(("127.0.0.1", node.port))
            reader, writer = await asyncio.open_connection(sock=small)
            writer.write(f"GET /sse?room={room} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b'"joined"')
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            posted = 0
            while not node.counted("dropped_slow"):
                await say(node, room, *(f"{posted + i:06} " + "x" * 200 for i in range(500)))
                posted += 500
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            stream = (await reader.read()).decode()
            writer.close()
            assert '"code":4001' in stream.rpartition("event: close")[2]
            seen = [int(number) for number in re.findall(r'"text":"(\d{6}) x', stream)]
            assert seen == list(range(len(seen)))
            assert len(seen) < posted
            last_id = re.findall(r"^id: (.*)$", stream, re.MULTILINE)[-1]
            while len(seen) < posted:  # with buffers so small the next one may be slow, too
                async with Curl(url(node, room, lastEventId=last_id)) as curl:
                    missing = posted - len(seen)
                    await curl.until(
                        lambda curl: curl.ended or len(curl.texts(room)) == missing  # noqa: B023
                    )
                    assert curl.of("joined")[0]["recovered"]
                seen += [int(text[:6]) for text in curl.texts(room)]
                last_id = curl.last_id
            assert seen == list(range(posted))
