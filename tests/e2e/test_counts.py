"""How many watch, on a real node of two shards: in rooms where something is said and where nothing
is, in the API, and after a death."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

RIGHT_S = 10.0
"""A count is right within two reports. What only three silent ones would mend takes longer."""


async def gather(node: Node, room: str, count: int) -> list[Viewer]:
    """Viewers of a room, on both shards."""
    viewers = list(await asyncio.gather(*(Viewer.open(node.ws, room) for _ in range(count))))
    while len({viewer.shard for viewer in viewers}) < 2:
        viewers.append(await Viewer.open(node.ws, room))
    return viewers


async def close(*viewers: Viewer) -> None:
    await asyncio.gather(*(viewer.close() for viewer in viewers))


async def seen(
    node: Node, room: str, condition: Callable[[Any], bool], bound_s: float = PATIENCE_S
) -> dict[str, Any]:
    """The room as the API shows it, when that is as it should be."""
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(bound_s):
            while True:
                _, found = await asyncio.to_thread(node.request, "GET", f"/v1/rooms/{room}")
                if condition(found):
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"the room stayed {found}") from None


async def told(viewers: list[Viewer], count: int) -> None:
    """Wait until this is what all of them were told last."""
    for viewer in viewers:
        await viewer.until(
            lambda viewer: [event["count"] for event in viewer.of("online")][-1:] == [count]
        )


class TestCounts:
    async def test_reach_rooms_with_and_without_a_word(self, tmp_path: Path) -> None:
        with Node(tmp_path, rooms_online_interval_s=1) as node:
            silent, loud = await gather(node, "silent", 8), await gather(node, "loud", 8)
            stop = asyncio.Event()

            async def talk() -> None:
                while not stop.is_set():
                    assert (await loud[0].type("loud", "and on"))["t"] == "ack"
                    await asyncio.sleep(0.1)

            talking = asyncio.create_task(talk())
            for viewers in (silent, loud):
                await told(viewers, len(viewers))
            await close(silent.pop(), loud.pop())
            for viewers in (silent, loud):
                await told(viewers, len(viewers))
            stop.set()
            await talking
            late = await Viewer.open(node.ws, "silent")
            assert late.of("joined")[0]["online"] == len(silent) + 1
            await close(late, *silent, *loud)

    async def test_are_in_the_api_with_their_peak_and_users(self, tmp_path: Path) -> None:
        with Node(tmp_path, rooms_online_interval_s=1, auth_secret="x" * 32) as node:
            viewers = await gather(node, "r", 6)
            most = len(viewers)
            key = viewers[0].of("welcome")[0]["guest"]
            await viewers[0].type("r", "somebody has spoken")
            first = await seen(node, "r", lambda room: room.get("unique") == room["online"] == most)
            assert first["peak"] == most
            await close(*viewers)
            found = await seen(node, "r", lambda room: room["online"] == 0)
            assert (found["peak"], found["unique"]) == (most, most)
            again = await Viewer.open(node.ws, f"r&guest={key}")
            other = await Viewer.open(node.ws, "r")
            found = await seen(node, "r", lambda room: room["online"] == 2)
            found = await seen(node, "r", lambda room: room["unique"] == most + 1)
            assert found["peak"] == most
            _, top = node.request("GET", "/v1/rooms")
            [mine] = [room for room in top["rooms"] if room["room"] == "r"]
            assert mine == {name: found[name] for name in mine}
            await close(again, other)

    async def test_are_right_again_when_a_shard_was_killed(self, tmp_path: Path) -> None:
        with Node(tmp_path) as node:
            viewers = await gather(node, "r", 8)
            await seen(node, "r", lambda room: room.get("online") == len(viewers))
            os.kill(node.pids("shard")[0], signal.SIGKILL)
            gone: list[Viewer] = []
            async with asyncio.timeout(PATIENCE_S):
                while not gone:
                    await asyncio.sleep(0.01)
                    gone = [viewer for viewer in viewers if viewer.closed]
            left = [viewer for viewer in viewers if viewer.shard != gone[0].shard]
            found = await seen(node, "r", lambda room: room["online"] == len(left), RIGHT_S)
            assert found["peak"] == len(viewers)
            await told(left, len(left))
            await close(*viewers)
