"""The process: what it takes of a request's head, and how it ends."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from chat.api import server
from chat.bus.keys import Keys
from chat.config.sections import Config
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import Api, chunk, lines, new_room, read, streaming, until

ENOUGH = server.HEAD_BYTES


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /healthz HTTP/1.1", b"Host: localhost", *lines, b"", b""])


LAST = b"Connection: close"


class Wire(asyncio.Transport):
    """A connection whose chunks are exactly those that are fed; answers come at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = b""
        self.closed = False
        config = uvicorn.Config(fine, lifespan="off", log_config=None)
        config.load()
        self._protocol = server.Protocol(config, ServerState(), {})
        self._protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        self._protocol.data_received(data)

    async def end(self) -> None:
        while self._protocol.tasks:
            await asyncio.gather(*self._protocol.tasks)
            await asyncio.sleep(0)  # those that are done tell the protocol in the next turn
        self._protocol.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answered += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """What is fed is fed."""

    resume_reading = pause_reading


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


class TestHugeHeads:
    def test_a_large_head_is_taken(self, api: Api) -> None:
        cookies = b"Cookie: " + b"x" * (ENOUGH // 2)
        assert api.raw(head(cookies, LAST)).startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "data",
        [
            head(b"Cookie: " + b"x" * ENOUGH, LAST),
            head(*(b"X-%d: %s" % (i, b"x" * 100) for i in range(ENOUGH // 100)), LAST),
            b"GET /" + b"x" * ENOUGH + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ],
        ids=["one header", "many headers", "the path"],
    )
    def test_a_huge_head_is_refused(self, api: Api, data: bytes) -> None:
        assert answered(api, data).startswith(b"HTTP/1.1 400 ")

    @pytest.mark.parametrize(
        "begin", [b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX", b"GET /"], ids=repr
    )
    def test_a_head_without_end_is_cut_off(self, api: Api, begin: bytes) -> None:
        assert endless(api, begin) < 100 * ENOUGH

    async def test_a_body_does_not_count_for_the_head_behind_it(self) -> None:
        wire = Wire()
        wire.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (3 * ENOUGH))
        wire.feed(b" " * (3 * ENOUGH) + b"GET / HT")
        wire.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert wire.answered == b""
        await wire.end()
        assert wire.answered.count(b"HTTP/1.1 200 ") == 2

    async def test_each_head_is_counted_by_itself(self) -> None:
        wire = Wire()
        for _ in range(3):
            wire.feed(b"GET / HTTP/1.1\r\nX: ")
            wire.feed(b"x" * (ENOUGH // 2))
            wire.feed(b"y\r\n\r\n")
        assert not wire.closed
        await wire.end()

    async def test_a_header_that_comes_byte_by_byte_is_counted_by_the_byte(self) -> None:
        wire = Wire()
        wire.feed(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(ENOUGH):
            wire.feed(b"x")
        assert not wire.closed
        wire.feed(b"x")
        assert wire.closed
        assert wire.answered.startswith(b"HTTP/1.1 400 ")
        await wire.end()


class TestBrokenRequests:
    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"hello\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nabc",
        ],
        ids=lambda data: repr(data[:40]),
    )
    def test_what_is_no_request_is_a_400_and_a_close(self, api: Api, data: bytes) -> None:
        answer = api.raw(data)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b'"code":"bad_request"' in answer


class TestSlowHeads:
    @pytest.fixture
    def hasty(self, valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
        """An API that gives a head a twentieth of a second."""
        monkeypatch.setattr(server, "HEAD_S", 0.05)
        api = Api(valkey.url)
        yield api
        api.close()

    @pytest.mark.parametrize("begin", [b"", b"G", b"GET / HTTP/1.1\r\nHost: loc"])
    def test_a_head_that_does_not_end_is_not_waited_for(self, hasty: Api, begin: bytes) -> None:
        assert answered(hasty, begin) == b""

    def test_a_second_head_has_no_longer(self, hasty: Api) -> None:
        answer = answered(hasty, head() + b"GET / HT")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1") == 1


PROCESS = """
import sys
from chat.api.server import run
from chat.config.sections import Config
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard
from shard.listen import listen
[listener] = listen("127.0.0.1", 0, 1, 128, 65536)
print(listener.getsockname()[1], flush=True)
run(Config(), sys.argv[1], listener, Scoreboard(FIELDS, 1), 8000, lambda: None)
print("ended", flush=True)
"""


class TestProcess:
    @pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a kept connection"])
    def test_sigterm_ends_it_as_one_who_was_asked_to(
        self, valkey: EmbeddedEngine, busy: bool
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", PROCESS, valkey.url], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(head() if busy else head(LAST))
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                process.send_signal(signal.SIGTERM)
                assert process.stdout.read() == b"ended\n"
                assert process.wait(10) == 0

    def test_a_stream_is_told_how_far_it_got(self, valkey: EmbeddedEngine) -> None:
        room = new_room()
        with subprocess.Popen(
            [sys.executable, "-c", PROCESS, valkey.url], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            with streaming(int(process.stdout.readline()), room) as connection:
                connection.send(chunk(lines({"text": "a"}, {"text": "b"}) + b'{"text":"half'))
                until(lambda: published(valkey, room) == 2, "the lines")
                process.send_signal(signal.SIGTERM)
                answer = read(connection)
            assert process.stdout.read() == b"ended\n"
            assert process.wait(10) == 0
        assert (answer.status, answer.error["code"]) == (503, "unavailable")
        assert (answer.error["accepted"], answer.error["lines"]) == (2, 2)
        assert answer.headers["retry-after"] == "1"
        assert published(valkey, room) == 2


def published(valkey: EmbeddedEngine, room: str) -> int:
    """How many messages a room has, with the default configuration."""
    with redis.Redis.from_url(valkey.url, protocol=2) as client:
        return int(client.xlen(Keys(Config().bus.prefix, Config().bus.partitions).history(room)))


def answered(api: Api, data: bytes) -> bytes:
    """What comes back until the connection ends, gently or not."""
    with socket.create_connection(("127.0.0.1", api.port), 10) as client:
        found = b""
        try:
            client.sendall(data)
            while chunk := client.recv(65536):
                found += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return found


def endless(api: Api, begin: bytes) -> int:
    """How many bytes after `begin` could be sent before the connection was cut."""
    sent = 0
    with socket.create_connection(("127.0.0.1", api.port), 10) as client:
        client.sendall(begin)
        try:
            while sent < 200 * ENOUGH:
                sent += client.send(b"x" * 65536)
        except (ConnectionResetError, BrokenPipeError):
            pass
    return sent
