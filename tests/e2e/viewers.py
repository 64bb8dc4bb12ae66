"""A viewer as a test sees it: it connects, keeps all events, and waits for what should come."""

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.patience import PATIENCE_S
from tests.whole import whole

Event = dict[str, Any]


class Viewer:
    """One WebSocket; `events` is everything that came, in order."""

    def __init__(self, socket: ClientConnection, binary: bool) -> None:
        self.events: list[Event] = []
        self.socket = socket
        self._binary = binary
        self._refs = itertools.count(1)
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls, url: str, *rooms: str, codec: str = "json", token: str = "", deflate: bool = True
    ) -> Self:
        """Connect, and wait for the welcome and the answer to every join."""
        query = [f"room={room}" for room in rooms] + ([f"token={token}"] if token else [])
        socket = await connect(
            f"{url}?{'&'.join(query)}",
            subprotocols=[Subprotocol(f"danmaku.{codec}")],
            compression="deflate" if deflate else None,
            max_size=None,
        )
        viewer = cls(socket, codec == "msgpack")
        await viewer.until(
            lambda _: viewer.of("welcome") and len(viewer.of("joined")) == len(rooms)
        )
        return viewer

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for payload in self.socket:
                assert isinstance(payload, bytes) == self._binary
                events = msgpack.unpackb(payload) if self._binary else json.loads(payload)
                async with self._news:
                    self.events += whole(events)
                    self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    def of(self, kind: str) -> list[Event]:
        """The events of one kind so far."""
        return [event for event in self.events if event["t"] == kind]

    @property
    def seqs(self) -> list[int]:
        """The seq of every message so far, in the order they came."""
        return [event["seq"] for event in self.of("msg")]

    @property
    def texts(self) -> list[str]:
        return [event["text"] for event in self.of("msg")]

    @property
    def epoch(self) -> str:
        """That of the newest message."""
        return str(self.of("msg")[-1]["id"]).partition("-")[0]

    @property
    def shard(self) -> str:
        """Which shard serves this viewer."""
        return str(self.of("welcome")[0]["conn"]).partition("-")[0]

    @property
    def closed(self) -> bool:
        return self._reading.done()

    async def until(self, condition: Callable[[Self], object]) -> None:
        """Wait until `condition` holds of this viewer."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(lambda: condition(self))
        except TimeoutError:
            raise AssertionError(f"it did not come; last were {self.events[-3:]}") from None

    async def ask(self, command: Event) -> Event:
        """Send a command and return what answers it."""
        ref = next(self._refs)
        await self.say(command | {"ref": ref})
        answers: list[Event] = []

        def answered(_: object) -> bool:
            answers[:] = [event for event in self.events if event.get("ref") == ref]
            return bool(answers)

        await self.until(answered)
        return answers[0]

    async def say(self, command: Event) -> None:
        """Send a command and do not wait."""
        packed = msgpack.packb(command) if self._binary else json.dumps(command)
        await self.socket.send(packed)

    async def type(self, room: str, text: str, **more: object) -> Event:
        """Type a message; its ack or error."""
        return await self.ask({"t": "send", "room": room, "text": text, **more})

    async def close(self) -> None:
        await self.socket.close()
        await self._reading
