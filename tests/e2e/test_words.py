"""Words set by HTTP hold on every shard, with no restart; shadowed messages reach their sender."""

import asyncio
import time
from typing import Any

import jwt
import pytest

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

SECRET = "0123456789abcdef0123456789abcdef"
SETTINGS = {"auth_secret": SECRET}
VIEWERS = 12


def token(uid: str) -> str:
    return jwt.encode({"sub": uid, "exp": int(time.time()) + 3_600}, SECRET, "HS256")


async def on_both_shards(node: Node, room: str, uid: str) -> list[Viewer]:
    """One user's connections, on all shards of a node."""
    found = [await Viewer.open(node.ws, room, token=token(uid)) for _ in range(VIEWERS)]
    assert len({viewer.shard for viewer in found}) == 2
    return found


async def put(node: Node, path: str, lists: dict[str, list[str]]) -> None:
    status, body = await asyncio.to_thread(node.request, "PUT", path, lists)
    assert status == 200, body


async def until_answered(viewer: Viewer, room: str, text: str, kind: str) -> None:
    """Type until the answer is of this kind: `ack`, or an error's code."""
    latest = time.monotonic() + PATIENCE_S
    answer: dict[str, Any] = {}
    while time.monotonic() < latest:
        answer = await viewer.type(room, text)
        if kind in (answer["t"], answer.get("code")):
            return
        await asyncio.sleep(0.15)  # ten commands a second are allowed
    raise AssertionError(f"still {answer}")


@pytest.mark.parametrize("where", ["room", "everywhere"])
async def test_lists_hold_on_both_shards_and_change_while_they_run(node: Node, where: str) -> None:
    room = f"live:{where}"
    path = "/v1/words" if where == "everywhere" else f"/v1/rooms/{room}/words"
    users = await on_both_shards(node, room, "u1")
    long = [f"word{number}" for number in range(20_000)]
    for lists, word in (({"refuse": ["bad"]}, "bad"), ({"refuse": long}, "word19999")):
        await put(node, path, lists)
        await asyncio.gather(*(until_answered(one, room, word, "word_refused") for one in users))
    await put(node, path, {})
    await asyncio.gather(*(until_answered(one, room, "bad", "ack") for one in users))
    await asyncio.gather(*(one.close() for one in users))


async def test_a_shadowed_message_is_seen_on_all_connections_of_its_sender_only(
    node: Node,
) -> None:
    room = "live:shadow"
    await put(node, f"/v1/rooms/{room}/words", {"shadow": ["spam"], "mask": ["ugly"]})
    senders = await on_both_shards(node, room, "u1")
    others = await on_both_shards(node, room, "u2")
    for text in ("hello", "buy spam", "so ugly"):
        assert (await senders[0].type(room, text))["t"] == "ack"
    for viewer in senders + others:
        await viewer.until(lambda one: "so ****" in one.texts)
    for viewer in senders:
        assert viewer.texts == ["hello", "buy spam", "so ****"]
    for viewer in others:
        assert (viewer.texts, viewer.seqs) == (["hello", "so ****"], [1, 3])
    status, history = await asyncio.to_thread(node.request, "GET", f"/v1/rooms/{room}/messages")
    assert (status, [one["text"] for one in history["messages"]]) == (200, ["hello", "so ****"])
    await asyncio.gather(*(viewer.close() for viewer in senders + others))
