"""Everyone in a room sees the same messages, once, in order: across shards and across nodes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.e2e.viewers import Viewer

VIEWERS = 50
TYPISTS = 3
LINES = 20


async def gather(urls: Sequence[str], room: str, count: int, codec: str = "json") -> list[Viewer]:
    """`count` viewers of one room, spread over `urls`."""
    return list(
        await asyncio.gather(
            *(Viewer.open(urls[i % len(urls)], room, codec=codec) for i in range(count))
        )
    )


async def type_lines(typist: Viewer, room: str, name: str) -> None:
    for line in range(LINES):
        answer = await typist.type(room, f"{name} {line}")
        assert answer["t"] == "ack", answer


async def check_same_for_all(urls: Sequence[str], room: str, shards: int) -> None:
    """Watch and type; all must see the same, and each typist's own lines in their order."""
    viewers = await gather(urls, room, VIEWERS - 10)
    viewers += await gather(urls, room, 10, codec="msgpack")
    typists = await gather(urls, room, TYPISTS)
    try:
        assert len({viewer.shard for viewer in viewers}) == shards
        await asyncio.gather(*(type_lines(t, room, f"t{i}") for i, t in enumerate(typists)))
        everyone = viewers + typists
        total = TYPISTS * LINES
        for viewer in everyone:
            await viewer.until(lambda viewer: len(viewer.seqs) >= total)
        for viewer in everyone:
            assert viewer.seqs == list(range(1, total + 1))
            assert viewer.texts == everyone[0].texts
        for i in range(TYPISTS):
            mine = [text for text in everyone[0].texts if text.startswith(f"t{i} ")]
            assert mine == [f"t{i} {line}" for line in range(LINES)]
    finally:
        await asyncio.gather(*(viewer.close() for viewer in viewers + typists))


class TestOneNode:
    async def test_all_viewers_of_both_shards_see_the_same_in_order(self, node: Node) -> None:
        await check_same_for_all([node.ws], "live:one", shards=2)

    async def test_a_room_is_not_heard_in_another(self, node: Node) -> None:
        here, there = await Viewer.open(node.ws, "here"), await Viewer.open(node.ws, "there")
        await here.type("here", "only here")
        await there.type("there", "only there")
        await there.until(lambda _: there.texts)
        assert there.texts == ["only there"]
        await here.close()
        await there.close()

    async def test_a_backend_posts_and_every_viewer_sees_it(self, node: Node) -> None:
        viewers = await gather([node.ws], "live:api", 10)
        messages = [{"text": f"line {i}", "name": "board"} for i in range(300)]
        status, answer = await asyncio.to_thread(
            node.request, "POST", "/v1/rooms/live:api/messages", messages
        )
        assert (status, answer["accepted"]) == (200, 300)
        for viewer in viewers:
            await viewer.until(lambda viewer: len(viewer.seqs) == 300)
            assert viewer.texts == [f"line {i}" for i in range(300)]
            await viewer.close()

    async def test_a_notice_reaches_everyone_in_every_room(self, node: Node) -> None:
        viewers = [await Viewer.open(node.ws, f"room{i % 3}") for i in range(12)]
        body = {"all": True, "message": {"text": "maintenance at noon"}}
        status, _ = await asyncio.to_thread(node.request, "POST", "/v1/broadcast", body)
        assert status == 200
        for viewer in viewers:
            await viewer.until(lambda viewer: viewer.of("notice"))
            assert viewer.of("notice")[0]["text"] == "maintenance at noon"
            await viewer.close()

    async def test_online_counts_the_viewers_of_both_shards(self, tmp_path: Path) -> None:
        with Node(tmp_path, rooms_online_interval_s=1) as node:
            viewers = await gather([node.ws], "live:count", 12)
            await viewers[0].until(
                lambda _: any(event["count"] == 12 for event in viewers[0].of("online"))
            )
            for viewer in viewers:
                await viewer.close()


class TestTwoNodes:
    async def test_two_nodes_on_one_valkey_are_one_room(
        self, engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        with Node(tmp_path, bus_url=engine.url) as a, Node(tmp_path, bus_url=engine.url) as b:
            await check_same_for_all([a.ws, b.ws], "live:two", shards=4)
