"""The echo server as a process of its own, spoken to by three independent client libraries."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import aiohttp
import pytest
import websocket
from websockets.sync.client import connect

from tests.shard.wire import REQUEST

TIMEOUT_S = 20.0

Server = subprocess.Popen[str]


def start(*command: str) -> tuple[Server, str]:
    """A server process and the URL it announced."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    announced = process.stdout.readline()
    assert announced.startswith("echoing on ws://"), announced
    return process, announced.removeprefix("echoing on ").strip()


def stop(process: Server) -> None:
    """SIGTERM must end it cleanly, with nothing to say."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    process, url = start("-m", "shard.echo", "--port", "0")
    try:
        yield url
        stop(process)
    finally:
        process.kill()
        process.communicate()


class TestWebsockets:
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 3_000_000])
    def test_messages_of_any_size_come_back(self, url: str, size: int) -> None:
        with connect(url, max_size=None) as client:
            client.send("x" * size)
            assert client.recv(TIMEOUT_S) == "x" * size
            client.send(b"\xff" * size)
            assert client.recv(TIMEOUT_S) == b"\xff" * size

    def test_fragments_come_back_as_one(self, url: str) -> None:
        with connect(url) as client:
            client.send(["弹", "", "幕"])
            assert client.recv(TIMEOUT_S) == "弹幕"

    def test_a_ping_is_answered(self, url: str) -> None:
        with connect(url) as client:
            assert client.ping(b"anyone?").wait(TIMEOUT_S)

    def test_the_close_code_comes_back(self, url: str) -> None:
        with connect(url) as client:
            client.close(4321, "enough")
            assert client.close_code == 4321

    def test_compression_is_not_negotiated(self, url: str) -> None:
        with connect(url, compression="deflate") as client:
            assert client.protocol.extensions == []


class TestWebsocketClient:
    def test_text_binary_and_close(self, url: str) -> None:
        client = websocket.create_connection(url, timeout=TIMEOUT_S)
        client.send("弹幕")
        assert client.recv() == "弹幕"
        client.send_binary(b"\x00\xff")
        assert client.recv() == b"\x00\xff"
        client.close(status=1000)
        assert not client.connected


class TestAiohttp:
    async def test_text_binary_ping_and_close(self, url: str) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, autoping=False, compress=15) as client,
        ):
            assert client.compress == 0
            await client.send_str("弹幕")
            assert await client.receive_str(timeout=TIMEOUT_S) == "弹幕"
            await client.send_bytes(b"\x00\xff")
            assert await client.receive_bytes(timeout=TIMEOUT_S) == b"\x00\xff"
            await client.ping(b"anyone?")
            answer = await client.receive(TIMEOUT_S)
            assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"anyone?")
            await client.close(code=4321)
            assert client.close_code == 4321

    async def test_health_is_plain_http(self, url: str) -> None:
        health = url.replace("ws://", "http://") + "healthz"
        async with aiohttp.ClientSession() as session, session.get(health) as response:
            assert (response.status, await response.text()) == (200, "ok\n")


NO_PATIENCE = """
from pool.scoreboard import Scoreboard
from shard import process
from shard.counters import FIELDS
from shard.echo import SETTINGS, Echo
from shard.listen import listen
[listener] = listen("127.0.0.1", 0, 1, 16, 65536)
print(f"echoing on ws://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
process.run(listener, SETTINGS, Scoreboard(FIELDS, 1).row(0), 1024, Echo, drain_s=0)
"""


class TestStopping:
    def test_clients_that_stay_are_hung_up_on(self) -> None:
        process, url = start("-c", NO_PATIENCE)
        try:
            port = int(url.rstrip("/").rpartition(":")[2])
            with (
                socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client,
                client.makefile("rb") as answers,
            ):
                client.sendall(REQUEST.replace(b"/ws", b"/"))
                assert answers.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
                stop(process)
                assert answers.read().endswith(b"\r\n\r\n")
        finally:
            process.kill()
            process.communicate()

    def test_who_leaves_is_not_waited_for(self) -> None:
        process, url = start("-m", "shard.echo", "--port", "0")
        try:
            with connect(url) as client:
                client.send("hello")
                assert client.recv(TIMEOUT_S) == "hello"
            stop(process)
        finally:
            process.kill()
            process.communicate()
