"""Nodes behind each proxy: wss://, sub-paths, event streams, addresses, a node that leaves."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.deploy.proxies import FOLDER, Site, behind, proxy
from tests.patience import PATIENCE_S

BANNED = 4504
NAMES = ("nginx", "haproxy", "caddy")
PATHS = pytest.mark.parametrize("path", ["", "/danmaku"], ids=["whole", "sub-path"])


@dataclass
class Served:
    """One node of two shards behind a proxy."""

    node: Node
    site: Site


@pytest.fixture(scope="module", params=NAMES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("site")
    with (
        Node(folder, **behind(request.param)) as node,
        proxy(request.param, folder / "proxy", [node]) as site,
    ):
        yield Served(node, site)


@asynccontextmanager
async def enter(
    site: Site, path: str, address: str = "127.0.0.2", **headers: str
) -> AsyncIterator[ClientConnection]:
    """A viewer who connects from `address`, a host of this machine's own."""
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE_S, (address, 0)) as plain:
        plain.setblocking(False)
        async with connect(
            site.wss(path),
            sock=plain,
            ssl=site.context,
            additional_headers=headers,
            open_timeout=PATIENCE_S,
            close_timeout=1,
        ) as viewer:
            yield viewer


async def heard(viewer: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The first event of each kind, when all have come."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_S):
        async for frame in viewer:
            for event in json.loads(frame):
                found.setdefault(event["t"], event)
            if found.keys() >= set(kinds):
                return found
    raise AssertionError(f"no {kinds} before the end")


async def close_code(viewer: ClientConnection) -> int | None:
    """What the viewer is closed with."""
    async with asyncio.timeout(PATIENCE_S):
        await viewer.wait_closed()
    return viewer.close_code


@PATHS
async def test_viewers_type_and_see_it_on_every_shard(served: Served, path: str) -> None:
    room = f"{path.strip('/') or 'whole'}:typed"
    async with AsyncExitStack() as stack:
        viewers: list[ClientConnection] = []
        shards: set[str] = set()
        while len(shards) < 2:  # one may be ahead of the other by sixteen
            assert len(viewers) < 40
            viewer = await stack.enter_async_context(enter(served.site, f"{path}/ws?room={room}"))
            shards.add(
                (await heard(viewer, "welcome", "joined"))["welcome"]["conn"].partition("-")[0]
            )
            viewers.append(viewer)
        await viewers[0].send(json.dumps({"t": "send", "room": room, "text": "前方高能"}))
        for one in (viewers[0], viewers[-1]):
            assert (await heard(one, "msgs"))["msgs"]["m"][0]["text"] == "前方高能"


@PATHS
def test_an_event_stream_is_not_held_up(served: Served, path: str) -> None:
    room = f"{path.strip('/') or 'whole'}:watched"
    request = f"GET {path}/sse?room={room} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", served.site.port), PATIENCE_S) as plain,
        served.site.context.wrap_socket(plain, server_hostname="localhost") as stream,
    ):
        stream.sendall(request.encode())
        said = read_until(stream, b"joined")
        assert said.startswith(b"HTTP/1.1 200")
        for text in ("one", "two"):  # each is there before the next is said
            body = {"text": text, "uid": "u1"}
            assert served.node.request("POST", f"/v1/rooms/{room}/messages", body)[0] == 200
            read_until(stream, f'"{text}"'.encode())


def read_until(stream: socket.socket, sign: bytes) -> bytes:
    said = b""
    while sign not in said:
        data = stream.recv(65536)
        assert data, said
        said += data
    return said


async def test_a_viewers_address_is_its_own(served: Served) -> None:
    ban = "/v1/bans/addresses/127.0.0.7"
    async with (
        enter(served.site, "/ws?room=banned", "127.0.0.7") as one,
        enter(served.site, "/ws?room=banned", "127.0.0.8") as other,
    ):
        assert await heard(one, "joined")
        assert await heard(other, "joined")
        assert served.node.request("PUT", ban)[0] == 200
        assert await close_code(one) == BANNED
        async with enter(served.site, "/ws?room=banned", "127.0.0.7") as again:
            assert await close_code(again) == BANNED
        await other.send(json.dumps({"t": "send", "room": "banned", "text": "here"}))
        assert await heard(other, "ack")


async def test_what_a_viewer_says_of_its_address_is_nothing(served: Served) -> None:
    assert served.node.request("PUT", "/v1/bans/addresses/127.0.0.9")[0] == 200
    claim = {"X-Forwarded-For": "127.0.0.10"}
    async with enter(served.site, "/ws?room=claimed", "127.0.0.9", **claim) as viewer:
        assert await close_code(viewer) == BANNED


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_a_node_that_drains_is_taken_out(
    name: str, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    settings = behind(name) | {"bus_url": engine.url, "server_shards": 1}
    with (
        Node(tmp_path, **settings) as staying,
        Node(tmp_path, **settings) as leaving,
        proxy(name, tmp_path / "proxy", [staying, leaving]) as site,
    ):
        places = {await place(site) for _ in range(10)}
        assert len(places) == 2, "both are in use"
        # A viewer who does not answer the close keeps the node draining.
        with connection_to(leaving, name):
            ended = asyncio.create_task(asyncio.to_thread(leaving.stop))
            await until(lambda: leaves(leaving, name))
            seen = {await place(site) for _ in range(20)}
        while not ended.done():
            seen.add(await place(site))
        seen.update([await place(site) for _ in range(10)])
        if name == "haproxy":  # the one that asks
            await until(lambda: statuses(tmp_path / "proxy/admin") == ["UP", "DOWN"])
        assert len(seen) == 1, "nobody was turned away, and all are where somebody stays"


def seconds(pattern: str, text: str) -> list[int]:
    found = [int(one) for one in re.findall(pattern, text)]
    assert found, pattern
    return found


def test_the_pause_between_two_nodes_outlasts_every_proxys() -> None:
    page = (FOLDER.parents[1] / "docs/deploying.md").read_text()
    (pause,) = seconds(r"(?m)^  sleep (\d+) ", page)
    nginx, haproxy, caddy = [
        (FOLDER / name).read_text() for name in ("nginx.conf", "haproxy.cfg", "Caddyfile")
    ]
    (every,), (times,) = seconds(r"check inter (\d+)s", haproxy), seconds(r" rise (\d+)", haproxy)
    left_out = {*seconds(r" fail_timeout=(\d+)s;", nginx), every * times}
    left_out.update(seconds(r"fail_duration (\d+)s", caddy))
    assert max(left_out) <= pause, "a node that is back takes viewers before the next one goes"


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine() as engine:
        yield engine


async def place(site: Site) -> str:
    """Which shard a newcomer gets."""
    async with enter(site, "/ws?room=lobby") as viewer:
        return str((await heard(viewer, "welcome"))["welcome"]["conn"]).partition("-")[0]


def header(name: str) -> str:
    """What a proxy of this machine says before a request."""
    return "PROXY TCP4 127.0.0.3 127.0.0.1 5000 80\r\n" if name == "haproxy" else ""


def leaves(node: Node, name: str) -> bool:
    """Whether a node says so, or is gone."""
    try:
        with socket.create_connection(("127.0.0.1", node.port), PATIENCE_S) as asked:
            asked.sendall(f"{header(name)}GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            return not asked.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return True


def connection_to(node: Node, name: str) -> socket.socket:
    """A viewer who was let in by the node itself, as a proxy's, and says nothing more."""
    made = socket.create_connection(("127.0.0.1", node.port), PATIENCE_S)
    made.sendall(
        f"{header(name)}GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert made.recv(4096).startswith(b"HTTP/1.1 101")
    return made


def statuses(admin: Path) -> list[str]:
    """What HAProxy thinks of its servers."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(PATIENCE_S)
        asked.connect(str(admin))
        asked.sendall(b"show stat\n")
        with asked.makefile() as answer:
            rows = [line.split(",") for line in answer]
    return [row[17] for row in rows if row[0] == "nodes" and row[1] != "BACKEND"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nothing to wait for
            await asyncio.sleep(0.02)
