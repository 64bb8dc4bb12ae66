"""The stock clients of Centrifugo, unchanged, behind one set of words.

Rules. What a client is told is kept in `events`, in order, as the JavaScript client names it. The
JavaScript ones run in Node, the Python ones here. Nothing of a client is replaced: faults are made
on the line between.
"""

import asyncio
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import centrifuge

from chat.tasks import Tasks
from tests.patience import PATIENCE_S
from tests.relay import Relay

HERE = Path(__file__).parent
NODE = shutil.which("node")
HAS_NODE = NODE is not None and (HERE / "node_modules" / "centrifuge").exists()

Event = dict[str, Any]


class Refused(Exception):
    """What a client asked for failed: `code`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message = code, message


def url_by(line: Relay) -> str:
    """Where a client dials that is to be cut off."""
    return f"ws://127.0.0.1:{line.port}/connection/websocket"


class Client:
    """What the scenarios ask of any of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Condition()

    async def _tell(self, event: Event) -> None:
        async with self._news:
            self.events.append(event)
            self._news.notify_all()

    async def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait for a condition on what was told."""
        async with self._news:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._news.wait_for(condition)
            except TimeoutError:
                raise AssertionError(f"{what or 'it'} never came: {self.events}") from None
        return condition()

    def of(self, kind: str, room: str = "") -> list[Event]:
        """The events of one kind so far."""
        found = [event for event in self.events if event["event"] == kind]
        return [event for event in found if not room or event["channel"] == room]

    async def told(self, kind: str, at: int = 1) -> Event:
        """The `at`-th event of a kind."""
        found: list[Event] = await self.until(
            lambda: self.of(kind) if len(self.of(kind)) >= at else None, f"{kind} {at}"
        )
        return found[at - 1]

    def offsets(self, room: str) -> list[int]:
        return [event["offset"] for event in self.of("publication", room)]

    def texts(self, room: str) -> list[str]:
        said = [event["data"] for event in self.of("publication", room)]
        return [data["text"] for data in said if data["t"] == "msg"]

    async def until_texts(self, room: str, *texts: str) -> None:
        """Wait until just these were said, in this order."""
        await self.until(lambda: len(self.texts(room)) >= len(texts), f"{texts}")
        assert self.texts(room) == list(texts)

    async def ask(self, op: str, **given: Any) -> Any:
        """Have it do something; its answer. Raises Refused."""
        raise NotImplementedError

    async def connect(self) -> Event:
        await self.ask("connect")
        return await self.told("connected")

    async def subscribe(self, room: str, **given: Any) -> Event:
        """Subscribe; the first answer."""
        await self.ask("subscribe", room=room, **given)
        found: list[Event] = await self.until(
            lambda: self.of("subscribed", room) or self.of("unsubscribed", room), room
        )
        return found[0]

    async def publish(self, room: str, data: Any) -> None:
        await self.ask("publish", room=room, data=data)

    async def close(self) -> None:
        """End it."""
        raise NotImplementedError


class Script(Client):
    """The JavaScript client, of npm `centrifuge`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._tasks = Tasks("script")
        self._tasks.spawn(self._read())

    @classmethod
    async def open(cls, url: str, build: str, *tokens: str) -> Self:
        assert NODE is not None
        process = await asyncio.create_subprocess_exec(
            *(NODE, "centrifuge_client.mjs", url, build, ",".join(tokens)),
            cwd=HERE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            one = json.loads(line)
            if "n" in one:
                self._asked.pop(one["n"]).set_result(one)
            else:
                await self._tell(one)

    async def ask(self, op: str, **given: Any) -> Any:
        assert self._process.stdin is not None
        n = next(self._numbers)
        self._asked[n] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"n": n, "op": op, **given}).encode() + b"\n")
        answer = await asyncio.wait_for(self._asked[n], PATIENCE_S)
        if "error" in answer:
            raise Refused(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE_S)
        except TimeoutError:
            self._process.kill()
            raise
        await self._tasks.stop()


class _Handlers(Protocol):
    """Coroutines by the names of the Python client's handlers."""


class Snake(Client):
    """The Python client, of PyPI `centrifuge-python`."""

    def __init__(self, url: str, build: str, *tokens: str) -> None:
        super().__init__()
        self._binary = build == "protobuf"

        async def newest() -> str:
            return tokens[-1]

        names = ("connecting", "connected", "disconnected", "error")
        more: dict[str, Any] = {"token": tokens[0], "get_token": newest} if tokens else {}
        self._client = centrifuge.Client(
            url,
            events=self._handlers("", *names),
            use_protobuf=self._binary,
            min_reconnect_delay=0.02,
            max_reconnect_delay=0.2,
            max_server_ping_delay=2.0,
            proxy=None,
            **more,
        )

    def _handlers(self, room: str, *names: str) -> Any:
        base = centrifuge.SubscriptionEventHandler if room else centrifuge.ClientEventHandler
        return type("Handlers", (base,), {f"on_{name}": self._on(name, room) for name in names})()

    def _on(self, name: str, room: str) -> Any:
        async def on(handlers: _Handlers, context: Any) -> None:
            fields = {**vars(context)} if hasattr(context, "__dict__") else {}
            event: Event = {"event": "refused" if room and name == "error" else name}
            event |= {"channel": room} if room else {}
            if name == "publication":
                pub = context.pub
                user = pub.info.user if pub.info else None
                data = self._unpack(pub.data)
                await self._tell(event | {"data": data, "offset": pub.offset, "user": user})
                return
            for theirs, ours in (
                *(("code", "code"), ("reason", "reason"), ("client", "client")),
                *(("recovered", "recovered"), ("was_recovering", "wasRecovering")),
            ):
                if theirs in fields:
                    event[ours] = fields[theirs]
            if fields.get("data") is not None:
                event["data"] = self._unpack(fields["data"])
            position = fields.get("stream_position")
            if position is not None:
                event["streamPosition"] = {"offset": position.offset, "epoch": position.epoch}
            if "error" in fields:
                event["error"] = {"code": getattr(fields["error"], "code", 0)}
            await self._tell(event)

        return on

    def _pack(self, data: Any) -> Any:
        return json.dumps(data).encode() if self._binary else data

    def _unpack(self, data: Any) -> Any:
        return json.loads(data) if self._binary and data is not None else data

    async def ask(self, op: str, **given: Any) -> Any:
        try:
            return await getattr(self, f"_{op}")(**given)
        except centrifuge.ReplyError as error:
            raise Refused(error.code, str(error)) from None

    async def _connect(self) -> None:
        await self._client.connect()

    async def _subscribe(self, room: str, token: str = "") -> None:
        names = ("subscribing", "subscribed", "unsubscribed", "publication", "error")
        subscription = self._client.new_subscription(
            *(room, self._handlers(room, *names), token),
            min_resubscribe_delay=0.02,
            max_resubscribe_delay=0.2,
        )
        await subscription.subscribe()

    async def _unsubscribe(self, room: str) -> None:
        subscription = self._client.get_subscription(room)
        assert subscription is not None
        await subscription.unsubscribe()

    async def _publish(self, room: str, data: Any) -> None:
        await self._client.publish(room, self._pack(data))

    async def _history(self, room: str, **given: Any) -> Any:
        since = given.pop("since", None)
        place = centrifuge.StreamPosition(**since) if since else None
        found = await self._client.history(room, since=place, **given)
        publications = [
            {"data": self._unpack(one.data), "offset": one.offset} for one in found.publications
        ]
        return {"offset": found.offset, "epoch": found.epoch, "publications": publications}

    async def _stats(self, room: str) -> Any:
        found = await self._client.presence_stats(room)
        return {"numClients": found.num_clients, "numUsers": found.num_users}

    async def _presence(self, room: str) -> Any:
        await self._client.presence(room)

    async def _rpc(self, method: str) -> Any:
        await self._client.rpc(method, self._pack({}))

    async def close(self) -> None:
        await self._client.disconnect()


KINDS = ["script-json", "script-protobuf", "snake-json", "snake-protobuf"]


async def a_client(kind: str, url: str, *tokens: str) -> Client:
    """A client that is not connected yet."""
    which, _, build = kind.partition("-")
    if which == "script":
        return await Script.open(url, build, *tokens)
    return Snake(url, build, *tokens)
