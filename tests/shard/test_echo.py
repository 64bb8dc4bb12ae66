"""The echo server as a process of its own, spoken to by three independent client libraries."""

from collections.abc import Iterator

import aiohttp
import pytest
import websocket
from websockets.sync.client import connect

from tests.patience import PATIENCE_S
from tests.shard.servers import start, stop


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
    @pytest.mark.parametrize("compression", [None, "deflate"])
    def test_messages_of_any_size_come_back(
        self, url: str, size: int, compression: str | None
    ) -> None:
        with connect(url, max_size=None, compression=compression) as client:
            assert len(client.protocol.extensions) == (compression is not None)
            client.send("x" * size)
            assert client.recv(PATIENCE_S) == "x" * size
            client.send(b"\xff" * size)
            assert client.recv(PATIENCE_S) == b"\xff" * size

    def test_fragments_come_back_as_one(self, url: str) -> None:
        with connect(url) as client:
            client.send(["弹", "", "幕"])
            assert client.recv(PATIENCE_S) == "弹幕"

    def test_a_ping_is_answered(self, url: str) -> None:
        with connect(url) as client:
            assert client.ping(b"anyone?").wait(PATIENCE_S)

    def test_the_close_code_comes_back(self, url: str) -> None:
        with connect(url) as client:
            client.close(4321, "enough")
            assert client.close_code == 4321


class TestWebsocketClient:
    def test_text_binary_and_close(self, url: str) -> None:
        client = websocket.create_connection(url, timeout=PATIENCE_S)
        client.send("弹幕")
        assert client.recv() == "弹幕"
        client.send_binary(b"\x00\xff")
        assert client.recv() == b"\x00\xff"
        client.close(status=1000)
        assert not client.connected


class TestAiohttp:
    @pytest.mark.parametrize("compress", [0, 15])
    async def test_text_binary_ping_and_close(self, url: str, compress: int) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, autoping=False, compress=compress) as client,
        ):
            assert client.compress == compress
            await client.send_str("弹幕")
            assert await client.receive_str(timeout=PATIENCE_S) == "弹幕"
            await client.send_bytes(b"\x00\xff")
            assert await client.receive_bytes(timeout=PATIENCE_S) == b"\x00\xff"
            await client.ping(b"anyone?")
            answer = await client.receive(PATIENCE_S)
            assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"anyone?")
            await client.close(code=4321)
            assert client.close_code == 4321

    async def test_health_is_plain_http(self, url: str) -> None:
        health = url.replace("ws://", "http://") + "healthz"
        async with aiohttp.ClientSession() as session, session.get(health) as response:
            assert (response.status, await response.text()) == (200, "ok\n")
