"""What a backend orders by HTTP is so for viewers on every shard, and it sees who they are."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Two shards that know tokens."""
    with Node(tmp_path_factory.mktemp("node"), auth_secret=SECRET) as node:
        yield node


def token(uid: str) -> str:
    claims = {"sub": uid, "exp": int(time.time()) + 3600}
    return jwt.encode(claims, SECRET, "HS256")


async def on_both_shards(node: Node, uid: str, room: str) -> list[Viewer]:
    """Two connections of one user, one on each shard."""
    found: dict[str, Viewer] = {}
    while len(found) < 2:
        viewer = await Viewer.open(node.ws, room, token=token(uid))
        if viewer.shard in found:
            await viewer.close()
        found.setdefault(viewer.shard, viewer)
    return list(found.values())


@pytest.fixture
async def pair(node: Node, request: pytest.FixtureRequest) -> AsyncIterator[list[Viewer]]:
    """The connections of the user `u1` in a room of the test's own, both called like it."""
    name = request.node.originalname
    viewers = await on_both_shards(node, f"u-{name}", name)
    yield viewers
    await asyncio.gather(*(viewer.close() for viewer in viewers))


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return str(request.node.originalname)


@pytest.fixture
def uid(room: str) -> str:
    return f"u-{room}"


async def order(node: Node, method: str, path: str, body: Any = None) -> Any:
    status, answer = await asyncio.to_thread(node.request, method, f"/v1{path}", body)
    assert status == 200, answer
    return answer


async def answered(viewer: Viewer, room: str, code: str | None) -> None:
    """Type until that is the answer: the error's code, or an ack (None)."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = await viewer.type(room, f"line {time.monotonic_ns()}")
        if answer.get("code") == code:
            return
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)  # within the rate of commands


class TestOrders:
    async def test_mute(self, node: Node, pair: list[Viewer], room: str, uid: str) -> None:
        for place in ("", f"/rooms/{room}"):
            await order(node, "PUT", f"{place}/mutes/{uid}", {"seconds": 3600})
            for viewer in pair:
                await answered(viewer, room, "muted")
            await order(node, "DELETE", f"{place}/mutes/{uid}")
            for viewer in pair:
                await answered(viewer, room, None)

    async def test_ban(self, node: Node, pair: list[Viewer], room: str, uid: str) -> None:
        await order(node, "PUT", f"/rooms/{room}/bans/{uid}", {"reason": "rude"})
        for viewer in pair:
            await viewer.until(lambda viewer: viewer.of("left"))
            answer = await viewer.ask({"t": "join", "room": room})
            assert answer["code"] == "banned"
            assert not viewer.closed
        await order(node, "PUT", f"/bans/{uid}")
        for viewer in pair:
            await viewer.until(lambda viewer: viewer.closed)
            assert viewer.socket.close_code == 4504
        await order(node, "DELETE", f"/bans/{uid}")

    async def test_kick(self, node: Node, pair: list[Viewer], room: str, uid: str) -> None:
        await order(node, "POST", f"/rooms/{room}/kicks", {"uid": uid})
        for viewer in pair:
            await viewer.until(lambda viewer: viewer.of("left"))
            assert not viewer.closed

    async def test_settings(self, node: Node, pair: list[Viewer], room: str, uid: str) -> None:
        await order(node, "PATCH", f"/rooms/{room}/settings", {"silence": "all"})
        for viewer in pair:
            await viewer.until(lambda viewer: viewer.of("state"))
            assert viewer.of("state")[-1]["state"]["silence"] == "all"
            await answered(viewer, room, "silenced")
        await order(node, "PATCH", f"/rooms/{room}/settings", {"owners": [uid]})
        for viewer in pair:
            await answered(viewer, room, None)

    async def test_an_address(self, tmp_path: Path, room: str) -> None:
        with Node(tmp_path) as node:  # of its own: it is everybody's address here
            guest = await Viewer.open(node.ws, room)
            await order(node, "PUT", "/bans/addresses/127.0.0.0%2F8", {"seconds": 60})
            await guest.until(lambda viewer: viewer.closed)
            assert guest.socket.close_code == 4504
            await guest.close()


class TestUsers:
    async def test_one_is_seen_on_both_shards_and_disconnected(
        self, node: Node, pair: list[Viewer], room: str, uid: str
    ) -> None:
        user = await order(node, "GET", f"/users/{uid}")
        assert (user["count"], user["complete"], user["answered"], user["known"]) == (2, True, 2, 2)
        names = [str(viewer.of("welcome")[0]["conn"]) for viewer in pair]
        assert sorted(one["conn"] for one in user["connections"]) == sorted(names)
        assert [one["rooms"] for one in user["connections"]] == [[room], [room]]
        done = await order(node, "DELETE", f"/users/{uid}/connections")
        assert (done["count"], done["complete"]) == (2, True)
        for viewer in pair:
            await viewer.until(lambda viewer: viewer.closed)
            assert viewer.socket.close_code == 4505
            assert viewer.of("bye")[-1]["reconnect_in"] > 0
        assert (await order(node, "GET", f"/users/{uid}"))["count"] == 0


class TestReports:
    async def test_what_viewers_report_is_read_and_dealt_with(
        self, node: Node, pair: list[Viewer], room: str, uid: str
    ) -> None:
        one, other = pair
        said = await one.type(room, "rude")
        await other.until(lambda viewer: viewer.texts)
        for viewer in pair:  # the same user, so it is one report
            answer = await viewer.ask({"t": "report", "room": room, "seq": said["seq"]})
            assert (answer["t"], answer["action"]) == ("done", "report")
        [found] = (await order(node, "GET", "/reports"))["reports"]
        assert (found["reporter"], found["message"]["text"]) == (uid, "rude")
        assert (await order(node, "DELETE", f"/reports/{found['id']}"))["found"] is True
        assert (await order(node, "GET", "/reports"))["reports"] == []
        audit = (await order(node, "GET", "/audit?limit=1000"))["entries"]
        assert (audit[-1]["action"], audit[-1]["uid"]) == ("dealt", uid)
