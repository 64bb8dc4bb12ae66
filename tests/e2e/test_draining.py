"""A node that ends: its viewers are let go in steps, and hear everything until then."""

import asyncio
import os
import signal
from pathlib import Path

from bench.local import Node
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import until
from tests.e2e.viewers import Viewer

ROOM = "live:drain"
VIEWERS = 60


async def test_who_is_not_let_go_yet_hears_what_is_said_meanwhile(tmp_path: Path) -> None:
    with (
        EmbeddedEngine() as engine,
        Node(tmp_path, bus_url=engine.url) as staying,
        Node(tmp_path, bus_url=engine.url, server_shards=1, server_drain_s=20) as leaving,
    ):
        viewers = [await Viewer.open(leaving.ws, ROOM) for _ in range(VIEWERS)]
        await until(lambda: len(staying.request("GET", "/v1/nodes")[1]["nodes"]) == 2)
        os.kill(leaving.pid, signal.SIGTERM)
        said = 0
        while leaving.running:
            status, _ = await asyncio.to_thread(
                staying.request, "POST", f"/v1/rooms/{ROOM}/messages", [{"text": f"{said}"}]
            )
            assert status == 200
            said += 1
        for viewer in viewers:
            await viewer.until(lambda viewer: viewer.closed)
            assert viewer.socket.close_code == 4000
            assert viewer.texts == [f"{i}" for i in range(len(viewer.texts))], "none is left out"
            [bye] = viewer.of("bye")
            assert viewer.events[-1] is bye
            assert bye["reason"] == "restart"
            assert 0 <= bye["reconnect_in"] <= 1, "there is a node to go to"
        heard = [len(viewer.texts) for viewer in viewers]
        assert min(heard) < max(heard), "some went later than others"
        assert len(set(heard)) > 3, "in steps"
        assert leaving.stop() == 0


async def test_the_only_node_is_done_sooner_and_they_come_back_over_the_window(
    tmp_path: Path,
) -> None:
    with Node(tmp_path, server_shards=1, server_drain_s=600) as node:
        viewers = [await Viewer.open(node.ws, ROOM) for _ in range(8)]
        assert await asyncio.to_thread(node.stop) == 0
        moments = []
        for viewer in viewers:
            await viewer.until(lambda viewer: viewer.closed)
            [bye] = viewer.of("bye")
            moments.append(bye["reconnect_in"])
        assert all(0 <= moment <= 600 for moment in moments)
        assert max(moments) > 1
