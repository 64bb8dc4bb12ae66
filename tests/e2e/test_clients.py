"""Clients not written here talk to a node as they are."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import websocket

from bench.local import Node
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

HERE = Path(__file__).parent
NODE = shutil.which("node")
HAS_WS = (HERE / "node_modules" / "ws").exists()


class TestWebsocketClient:
    def test_it_joins_types_and_sees_its_line(self, node: Node) -> None:
        socket = websocket.create_connection(f"{node.ws}?room=client:a", timeout=PATIENCE_S)
        try:
            events = Received(lambda: json.loads(socket.recv()))
            assert events.next("joined")["room"] == "client:a"
            socket.send(json.dumps({"t": "send", "room": "client:a", "text": "你好", "ref": 1}))
            assert events.next("ack")["ref"] == 1
            assert events.next("msgs")["m"][0]["text"] == "你好"
            socket.ping("still there?")
        finally:
            socket.close()

    def test_it_speaks_msgpack(self, node: Node) -> None:
        socket = websocket.create_connection(
            f"{node.ws}?room=client:b", timeout=PATIENCE_S, subprotocols=["danmaku.msgpack"]
        )
        try:
            assert socket.getsubprotocol() == "danmaku.msgpack"
            events = Received(lambda: msgpack.unpackb(socket.recv()))
            events.next("joined")
            socket.send_binary(
                msgpack.packb({"t": "send", "room": "client:b", "text": "包", "ref": "x"})
            )
            assert events.next("ack")["ref"] == "x"
            assert events.next("msgs")["m"][0]["text"] == "包"
        finally:
            socket.close()


class TestAiohttp:
    async def test_it_joins_types_and_sees_its_line(self, node: Node) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(node.ws, protocols=["danmaku.json"], heartbeat=5) as socket,
        ):
            assert socket.protocol == "danmaku.json"
            await socket.send_json({"t": "join", "room": "client:c", "ref": 1})
            await socket.send_json({"t": "send", "room": "client:c", "text": "hi", "ref": 2})
            seen: dict[str, Any] = {}
            while not {"joined", "msgs"} <= seen.keys():
                for event in await socket.receive_json(timeout=PATIENCE_S):
                    seen[event["t"]] = event
                    if event["t"] == "error":
                        # Typed before the room was open; a client that waits is let type.
                        assert event["code"] == "unavailable"
                    if event["t"] == "joined":
                        command = {"t": "send", "room": "client:c", "text": "hi", "ref": 3}
                        await socket.send_json(command)
            assert seen["msgs"]["m"][0]["text"] == "hi"


@pytest.mark.skipif(NODE is None, reason="there is no node here")
@pytest.mark.skipif(not HAS_WS, reason="npm has not installed ws: run `make test`")
class TestNodeWs:
    def test_it_joins_types_and_sees_its_line(self, node: Node) -> None:
        done = subprocess.run(
            [str(NODE), str(HERE / "node_client.mjs"), node.ws, "client:d", "从 node"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        assert seen["protocol"] == "danmaku.json"
        assert "permessage-deflate" in seen["extensions"]
        assert seen["msgs"]["m"][0]["text"] == "从 node"
        assert seen["ack"]["seq"] == seen["msgs"]["seq"]
        assert seen["code"] == 1000


class TestBothDialectsInOneRoom:
    async def test_they_see_the_same_events(self, node: Node) -> None:
        as_json = await Viewer.open(node.ws, "client:e")
        as_msgpack = await Viewer.open(node.ws, "client:e", codec="msgpack")
        await as_msgpack.type("client:e", "弹幕", color=0xFF0000, mode="top", size=18)
        await as_json.type("client:e", "second")
        for viewer in (as_json, as_msgpack):
            await viewer.until(lambda viewer: len(viewer.seqs) == 2)
        assert as_json.of("msg") == as_msgpack.of("msg")
        assert as_json.of("msg")[0]["color"] == 0xFF0000
        await asyncio.gather(as_json.close(), as_msgpack.close())


class TestCompression:
    async def test_with_it_and_without_a_batch_is_the_same(self, node: Node) -> None:
        room = "client:f"
        viewers = [
            await Viewer.open(node.ws, room, codec=codec, deflate=deflate)
            for codec in ("json", "msgpack")
            for deflate in (True, False)
        ]
        agreed = [bool(viewer.socket.protocol.extensions) for viewer in viewers]
        assert agreed == [True, False, True, False]
        messages = [{"text": f"弹幕 number {i}"} for i in range(100)]
        await asyncio.to_thread(node.request, "POST", f"/v1/rooms/{room}/messages", messages)
        for viewer in viewers:
            await viewer.until(lambda viewer: len(viewer.seqs) == 100)
            assert viewer.of("msg") == viewers[0].of("msg")
        long = "x" * 200 + "弹幕" * 40
        assert (await viewers[0].type(room, long))["t"] == "ack"  # comes in compressed
        await viewers[1].until(lambda _: viewers[1].texts[-1] == long)
        for viewer in viewers:
            await viewer.close()

    async def test_aiohttp_compresses_too(self, node: Node) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{node.ws}?room=client:g", compress=15) as socket,
        ):
            assert socket.compress
            seen: dict[str, Any] = {}
            await socket.send_json({"t": "ping", "ref": "r" * 60})
            while not {"joined", "pong"} <= seen.keys():
                for event in await socket.receive_json(timeout=PATIENCE_S):
                    seen[event["t"]] = event
            assert seen["pong"]["ref"] == "r" * 60


class Received:
    """Events out of frames, asked for by kind."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._waiting: list[dict[str, Any]] = []

    def next(self, kind: str) -> dict[str, Any]:
        """The next event of a kind; those before it are kept."""
        while True:
            for event in self._waiting:
                if event["t"] == kind:
                    self._waiting.remove(event)
                    return event
            self._waiting += self._receive()
