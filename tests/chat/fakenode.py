"""The other end of a client's WebSocket, played by a test; and a world without waits."""

import asyncio
import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from chat.client.link import Env
from tests.patience import PATIENCE_S

GUEST = "guest:k3j2h1g0b5f1a2c3d4e5f"
DEFAULTS = {"color": 0xFFFFFF, "mode": "scroll", "size": 25}

Event = dict[str, Any]


class Peer:
    """One connection, as the node sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    @property
    def path(self) -> str:
        assert self.socket.request is not None
        return self.socket.request.path

    async def hear(self) -> Event:
        """The next command."""
        async with asyncio.timeout(PATIENCE_S):
            command = json.loads(await self.socket.recv())
        assert isinstance(command, dict)
        return command

    async def say(self, *events: Event) -> None:
        """One frame of events; a `msg` goes as a batch of its own."""
        await self.socket.send(json.dumps([batch(e) if e["t"] == "msg" else e for e in events]))

    async def welcome(self, uid: str = GUEST, role: str = "guest") -> None:
        await self.say(welcome(uid, role))

    async def let_in(self, seq: int = 0, epoch: str = "e1", *history: Event, **more: Any) -> Event:
        """Answer the join that comes now; the join."""
        join = await self.hear()
        assert join["t"] == "join"
        await self.say(joined(join["room"], seq, epoch, *history, ref=join["ref"], **more))
        return join

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    async def drop(self) -> None:
        """End without a closing handshake, as a killed process does."""
        self.socket.transport.abort()
        await self.socket.wait_closed()

    async def closed(self) -> int | None:
        """Wait for the client to close; its code."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


class FakeNode:
    """Listens on a free port; what comes in is for the test to play."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._server: Server

    @property
    def url(self) -> str:
        [listener] = self._server.sockets
        return f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"

    async def accept(self) -> Peer:
        """The next connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._peers.get()

    async def greet(self, *history: Event, seq: int = 0, uid: str = GUEST, **more: Any) -> Peer:
        """The next connection, welcomed and let into the room it asks for."""
        peer = await self.accept()
        await peer.welcome(uid)
        await peer.let_in(seq, "e1", *history, **more)
        return peer

    async def _met(self, socket: ServerConnection) -> None:
        self._peers.put_nowait(Peer(socket))
        await socket.wait_closed()

    async def __aenter__(self) -> Self:
        protocol = Subprotocol("danmaku.json")
        self._server = await serve(self._met, "127.0.0.1", 0, subprotocols=[protocol])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()


class World:
    """A clock that goes on when somebody waits, and by the full wait."""

    def __init__(self, chance: float = 1.0) -> None:
        self.time = 100.0
        self.slept: list[float] = []
        self.env = Env(now=lambda: self.time, sleep=self._sleep, chance=lambda: chance)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def welcome(uid: str = GUEST, role: str = "guest") -> Event:
    who = {"conn": "c", "uid": uid, "name": default_name(uid), "role": role}
    return {"t": "welcome", **who, "heartbeat": 30, "v": 1}


def joined(room: str, seq: int, epoch: str = "e1", *history: Event, **more: Any) -> Event:
    rest = {"online": 1, "recovered": False, "history": lean(history, None)}
    return {"t": "joined", "room": room, "epoch": epoch, "seq": seq, **rest, **more}


def batch(*messages: Event, **more: int) -> Event:
    """Messages as a node sends them; `seq` and `to` where the span is longer than they are."""
    epoch, _, _ = messages[0]["id"].partition("-")
    span = {"seq": messages[0]["seq"], "to": messages[-1]["seq"]} | more
    m = lean(messages, span["seq"] - 1)
    return {"t": "msgs", "room": messages[0]["room"], "epoch": epoch, **span, "m": m}


def lean(messages: Iterable[Event], after: int | None) -> list[Event]:
    """Messages as they are written behind seq `after`."""
    written = []
    for message in messages:
        default = DEFAULTS | {"name": default_name(message["uid"])}
        known = {"t", "room", "id"} | {k for k, value in default.items() if message[k] == value}
        if after is not None and message["seq"] == after + 1:
            known.add("seq")
        after = message["seq"]
        written.append({name: value for name, value in message.items() if name not in known})
    return written


def default_name(uid: str) -> str:
    return f"guest-{uid[-4:]}" if uid.startswith("guest:") else uid


def msg(seq: int, text: str = "hi", uid: str = "u9", room: str = "lobby", **more: Any) -> Event:
    look = DEFAULTS | {"ts": 1_764_000_000_000 + seq}
    who = {"id": f"e1-{seq}", "uid": uid, "name": "阿花"}
    return {"t": "msg", "room": room, "seq": seq, **who, "text": text, **look, **more}


def ack(send: Event, seq: int) -> Event:
    answer = {"ref": send["ref"], "room": send["room"], "seq": seq, "id": f"e1-{seq}"}
    return {"t": "ack", **answer, "ts": 1_764_000_000_000 + seq}


def error(command: Event, code: str = "unavailable", **more: Any) -> Event:
    return {"t": "error", "ref": command["ref"], "code": code, "message": "no", **more}
