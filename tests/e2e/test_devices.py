"""Users who may be connected once, on two nodes: the newer is refused while the older is there."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from websockets.asyncio.client import connect

from bench.local import Node
from chat.hub.devices import RETRY_S
from chat.ops.engine import EmbeddedEngine
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    folder: Path = tmp_path_factory.mktemp("devices")
    settings = {"auth_secret": SECRET, "auth_devices": "refuse"}
    with (
        EmbeddedEngine() as engine,
        Node(folder, bus_url=engine.url, **settings) as one,
        Node(folder, bus_url=engine.url, **settings) as two,
    ):
        yield [one, two]


def token(uid: str) -> str:
    claims = {"sub": uid, "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET, "HS256")


async def closed_with(node: Node, uid: str) -> int:
    """The code that one more connection of a user is closed with."""
    async with connect(f"{node.ws}?token={token(uid)}") as socket:
        async with asyncio.timeout(PATIENCE_S):
            await socket.wait_closed()
        assert socket.close_code is not None
        return socket.close_code


async def test_the_newer_one_is_refused_on_whatever_node(nodes: list[Node]) -> None:
    old = await Viewer.open(nodes[0].ws, "a", token=token("u1"))
    for node in nodes:
        assert await closed_with(node, "u1") == 4507
    other = await Viewer.open(nodes[1].ws, "a", token=token("u2"))
    guests = [await Viewer.open(node.ws, "a") for node in nodes]
    for viewer in (old, other, *guests):
        assert (await viewer.type("a", "here"))["t"] == "ack"
        await viewer.close()


async def test_a_page_that_is_loaded_again_gets_in(nodes: list[Node]) -> None:
    for i in range(4):
        old = await Viewer.open(nodes[i % 2].ws, "b", token=token("u3"))
        new = await Viewer.open(nodes[(i + 1) % 2].ws, "b", token=token("u3"))
        await old.close()
        refused_by = time.monotonic() + 2 * RETRY_S
        while time.monotonic() < refused_by:
            assert (await new.ask({"t": "ping"}))["t"] == "pong"
            await asyncio.sleep(RETRY_S / 4)
        await new.close()
