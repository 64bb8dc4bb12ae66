"""What strangers may send to a whole node: each gets its answer, and the shards live on."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that knows tokens and reaches a rate limit late."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    with Node(folder, auth_secret=SECRET, limits_commands_burst=2000) as node:
        shards = node.pids("shard")
        yield node
        assert node.pids("shard") == shards, "a shard died"


@pytest.fixture
async def viewer(guarded: Node) -> AsyncIterator[Viewer]:
    viewer = await Viewer.open(guarded.ws, "lobby")
    yield viewer
    await viewer.close()


class TestCommands:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ({"t": "dance"}, "unknown_command"),
            ({"room": "lobby"}, "bad_request"),
            ({"t": "join", "room": 42}, "bad_request"),
            ({"t": "join", "room": "lobby", "since": "yesterday"}, "bad_request"),
            ({"t": "join", "room": "two words"}, "bad_room"),
            ({"t": "join", "room": "x" * 300}, "bad_room"),
            ({"t": "join", "room": ""}, "bad_room"),
            ({"t": "send", "room": "elsewhere", "text": "hi"}, "not_joined"),
            ({"t": "send", "room": "lobby", "text": "x" * 301}, "text_too_long"),
            ({"t": "send", "room": "lobby", "text": " \n "}, "text_empty"),
            ({"t": "send", "room": "lobby", "text": "hi", "color": 0x1000000}, "bad_request"),
            ({"t": "send", "room": "lobby", "text": "hi", "mode": "sideways"}, "bad_request"),
            ({"t": "leave", "room": "elsewhere"}, "not_joined"),
        ],
    )
    async def test_a_bad_command_gets_an_error_with_its_code(
        self, viewer: Viewer, command: dict[str, Any], code: str
    ) -> None:
        answer = await viewer.ask(command)
        assert (answer["t"], answer["code"]) == ("error", code)
        assert answer["message"]
        assert (await viewer.type("lobby", "still here"))["t"] == "ack"

    async def test_what_is_not_json_gets_an_error_without_a_ref(self, viewer: Viewer) -> None:
        await viewer.socket.send("{")
        await viewer.until(lambda viewer: viewer.of("error"))
        assert viewer.of("error")[0]["code"] == "bad_request"

    async def test_a_thousand_rooms_are_refused_from_the_limit_on(self, viewer: Viewer) -> None:
        for i in range(1000):
            await viewer.say({"t": "join", "room": f"room:{i}"})
        await viewer.until(lambda v: len(v.of("joined")) + len(v.of("error")) == 1001)
        assert len(viewer.of("joined")) == 50
        assert {event["code"] for event in viewer.of("error")} == {"too_many_rooms"}


class TestConnections:
    @pytest.mark.parametrize("token", ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
    async def test_a_bad_token_is_closed_for_good(self, guarded: Node, token: str) -> None:
        assert await close_code(f"{guarded.ws}?token={token}") == 4500

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x81\x02hi", 1002),  # not masked
            (b"\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00abcd", 1009),  # a megabyte
            (b"\x81\x82\x00\x00\x00\x00\xc3\x28", 1007),  # not UTF-8
            (b"\x82\x82\x00\x00\x00\x00{}", 1003),  # binary where JSON was agreed
        ],
    )
    def test_a_bad_frame_is_closed_with_its_code(
        self, guarded: Node, frame: bytes, code: int
    ) -> None:
        with raw(guarded) as connection:
            connection.sendall(
                b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            said = connection.recv(65536)
            assert said.startswith(b"HTTP/1.1 101")
            connection.sendall(frame)
            rest = read_all(connection)
            closing = rest[rest.rindex(b"\x88") :]
            assert int.from_bytes(closing[2:4], "big") == code

    def test_a_handshake_of_a_megabyte_is_refused(self, guarded: Node) -> None:
        with raw(guarded) as connection, suppress(ConnectionError):
            connection.sendall(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 1_000_000)
            assert read_all(connection).startswith(b"HTTP/1.1 431")

    def test_a_handshake_that_never_ends_is_ended(self, tmp_path: Path) -> None:
        with Node(tmp_path, heartbeat_handshake_s=1) as node, raw(node) as connection:
            connection.sendall(b"GET /ws HTTP/1.1\r\n")
            assert read_all(connection).startswith(b"HTTP/1.1 408")


def raw(node: Node) -> socket.socket:
    return socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


async def close_code(url: str) -> int | None:
    """How the server closes a connection to `url`."""
    async with connect(url) as socket_:
        with suppress(ConnectionClosed):
            while True:
                await socket_.recv()
        return socket_.close_code
