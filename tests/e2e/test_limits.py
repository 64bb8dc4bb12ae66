"""Limits as a user meets them who tries to get around them: on two nodes, by whole nodes."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.viewers import Event, Viewer

SECRET = "a secret of at least thirty-two bytes"
BURST = 10


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two nodes on one Valkey, on which a user may send ten messages at once."""
    folder: Path = tmp_path_factory.mktemp("limited")
    settings = {
        "auth_secret": SECRET,
        "server_shards": 1,
        "limits_user_messages_per_s": 1,
        "limits_user_messages_burst": BURST,
    }
    with (
        EmbeddedEngine() as engine,
        Node(folder, bus_url=engine.url, **settings) as one,
        Node(folder, bus_url=engine.url, **settings) as two,
    ):
        yield [one, two]


def token(uid: str, role: str = "user") -> str:
    claims = {"sub": uid, "role": role, "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET, "HS256")


async def one_user(nodes: list[Node], room: str, uid: str) -> list[Viewer]:
    """The same user on each node."""
    return [await Viewer.open(node.ws, room, token=token(uid)) for node in nodes]


async def first_refusal(viewers: list[Viewer], room: str) -> tuple[int, Event]:
    """How many messages, sent by turns, came before one that was refused."""
    for i in range(100):
        answer = await viewers[i % len(viewers)].type(room, f"{i}")
        if answer["t"] == "error":
            return i, answer
    raise AssertionError("nothing was ever refused")


async def test_a_user_has_one_quota_however_it_comes(nodes: list[Node]) -> None:
    viewers = await one_user(nodes, "live:quota", "u7")
    count, refused = await first_refusal(viewers, "live:quota")
    assert count >= BURST
    assert refused["code"] == "rate_limited"
    assert 0 < refused["retry_after"] <= 1
    other = await Viewer.open(nodes[0].ws, "live:quota", token=token("u8"))
    assert (await other.type("live:quota", "mine"))["t"] == "ack"
    await other.until(lambda viewer: viewer.texts[-1:] == ["mine"])
    for viewer in (*viewers, other):
        await viewer.close()


async def test_who_waits_as_long_as_it_was_told_is_heard(nodes: list[Node]) -> None:
    viewers = await one_user(nodes, "live:wait", "u9")
    _, refused = await first_refusal(viewers, "live:wait")
    await asyncio.sleep(refused["retry_after"])
    assert (await viewers[0].type("live:wait", "again"))["t"] == "ack"
    for viewer in viewers:
        await viewer.close()


@pytest.mark.parametrize(
    ("setting", "code"), [("slow_s", "slow_mode"), ("no_repeats_s", "repeated")]
)
async def test_what_a_moderator_sets_on_one_node_holds_on_both(
    nodes: list[Node], setting: str, code: str
) -> None:
    room = f"live:{setting}"
    moderator = await Viewer.open(nodes[0].ws, room, token=token("m", "moderator"))
    viewers = await one_user(nodes, room, f"user of {setting}")
    asked = {"t": "moderate", "room": room, "action": "settings", setting: 3600}
    assert (await moderator.ask(asked))["t"] == "done"
    for viewer in viewers:
        await viewer.until(
            lambda viewer: any(event["state"][setting] == 3600 for event in viewer.of("state"))
        )
    assert (await viewers[0].type(room, "hi"))["t"] == "ack"
    for viewer in viewers:
        refused = await viewer.type(room, "Hi ")
        assert (refused["t"], refused["code"]) == ("error", code)
        assert 0 < refused["retry_after"] <= 3600
    for _ in range(2):
        assert (await moderator.type(room, "hi"))["t"] == "ack"

    assert (await moderator.ask(asked | {setting: 0}))["t"] == "done"
    await viewers[1].until(lambda viewer: viewer.of("state")[-1]["state"][setting] == 0)
    assert (await viewers[1].type(room, "hi"))["t"] == "ack"
    for viewer in (moderator, *viewers):
        await viewer.close()
