"""A shard on a real Valkey, and viewers with an independent WebSocket client to speak to it.

Rules. One loop runs both sides. Time is fake where it matters: `clock` and `wall` are numbers, a
tick is `advance`. Nothing sleeps and hopes: `until` waits for a condition under a bound, and to
show that something did not come, a viewer asks for something that comes after it (`settle`).

A shard that is left without an error has closed every connection, lent out no buffer, and logged no
error (unless `errors` was taken out of it).
"""

import asyncio
import json
import logging
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Self

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from chat.bus.entries import Noticed, Said, pack, read_broadcast
from chat.bus.keys import Keys
from chat.bus.store import Outgoing, Receipt, Store
from chat.bus.topology import open_servers
from chat.config.sections import SECTIONS, Config
from chat.counters import FIELDS, ChatCount
from chat.hub.shard import Shard as Service
from chat.node import shard_settings
from pool.scoreboard import Scoreboard
from shard.counters import Count
from shard.group import ConnectionGroup
from shard.listen import listen
from tests.patience import PATIENCE_S, eventually
from tests.shard.descriptors import no_holes_below
from tests.whole import whole

BOUND_S = PATIENCE_S
ROWS = 4096

Event = dict[str, Any]


moments = count(1_000)
"""Times of publishing: no two messages have the same."""


async def until(condition: Callable[[], object], what: str = "what was waited for") -> None:
    """Let the loop run until `condition` holds."""
    await eventually(condition, what, 0.001)


def new_prefix() -> str:
    """A prefix nobody else uses on the Valkey all tests share."""
    return f"t{secrets.token_hex(6)}"


def configured(**sections: dict[str, Any]) -> Config:
    """The default configuration but for `sections`."""
    made: dict[str, Any] = {name: SECTIONS[name](**values) for name, values in sections.items()}
    return Config(**made)


def a_store(url: str, prefix: str, partitions: int = 4, **options: Any) -> Store:
    """A store that keeps 50 messages a room, unless told otherwise."""
    servers = open_servers(url, options.pop("timeout_s", 5.0))
    usual: dict[str, Any] = {
        "history": 50,
        "fanout_entries": 10_000,
        "ttl_s": 600,
    }
    return Store(servers, Keys(prefix, partitions), **(usual | options))


def read_notice(entry: bytes) -> Noticed:
    """An entry of the broadcast stream that is a notice."""
    found = read_broadcast(entry)
    assert isinstance(found, Noticed)
    return found


async def clock_ms(raw: Any) -> int:
    """Redis' clock, milliseconds since 1970."""
    seconds, micros = await raw.time()
    return int(seconds) * 1000 + int(micros) // 1000


def outgoing(room: str, text: str, message_id: str | None = None, uid: str = "u") -> Outgoing:
    said = Said(uid, "n", text, 1, "scroll", 25, next(moments))
    return Outgoing(room, uid, pack(said), message_id)


async def publish(store: Store, room: str, *texts: str, epoch: str = "e00001") -> list[Receipt]:
    """Publish texts in a room as any other process would; `epoch` is for a room that has none."""
    found = []
    for text in texts:
        [receipt] = await store.publish([outgoing(room, text)], epoch, 1_000, 0)
        assert isinstance(receipt, Receipt), receipt
        found.append(receipt)
    return found


class Errors(logging.Handler):
    """What our packages log as errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Shard:
    """One shard: a hub on a connection group, on the running loop."""

    def __init__(self, url: str, prefix: str, name: str = "", **sections: dict[str, Any]) -> None:
        self.url, self.prefix = url, prefix
        self.name = name or secrets.token_hex(3)
        self.config = configured(**{"bus": {"partitions": 4, "flush_interval_ms": 5}} | sections)
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.clock = 1_000.0
        self.wall = 1_800_000_000.0
        self.tick = 1_000
        self.errors = Errors()
        self.store = a_store(
            url,
            prefix,
            self.config.bus.partitions,
            timeout_s=self.config.bus.timeout_ms / 1000,
            history=self.config.rooms.history,
            ttl_s=self.config.rooms.history_ttl_s,
        )

    async def __aenter__(self) -> Self:
        logging.getLogger().addHandler(self.errors)
        loop = asyncio.get_running_loop()
        self._listener = listen("127.0.0.1", 0, backlog=128, send_buffer=1 << 16)
        self.address = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/ws"
        self.group = ConnectionGroup(
            self._listener,
            shard_settings(self.config, ROWS),
            self.counts,
            wake=lambda: loop.call_soon(self.group.turn),
            chance=random.Random(1),
            rows=ROWS,
        )
        self.service = Service(
            self.group,
            self.config,
            self.store,
            self.name,
            self.counts,
            ROWS,
            self.name,
            clock=lambda: self.clock,
            wall=lambda: self.wall,
            chance=random.Random(2),
        )
        self.hub = self.service.handler
        await self.service.start()
        self.group.start(self.hub, self.tick)
        loop.add_reader(self.group.fileno(), self.group.turn)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.group.stop_accepting()
        asyncio.get_running_loop().remove_reader(self.group.fileno())
        await self.service.stop()
        self.group.shut()
        self._listener.close()
        logging.getLogger().removeHandler(self.errors)
        if kind is None:
            assert self.errors.found == []
            assert self.counts[Count.HANDLER_ERRORS] == 0
            assert self.counts[Count.CONNECTIONS] == 0
            assert self.group._inbound.buffers.on_loan == 0

    def advance(self, ticks: int = 1) -> None:
        """Let `ticks` seconds pass, one by one."""
        for _ in range(ticks):
            self.tick += 1
            self.clock += 1
            self.wall += 1
            self.group.advance(self.tick)

    async def let_pass(self, ticks: int) -> None:
        """Likewise, and what is reported in each is known at its end."""
        reporting = self.service.rooms._online._tasks
        for _ in range(ticks):
            self.advance()
            await until(lambda: not reporting.busy, "the report")

    @asynccontextmanager
    async def successor(self, conn: str) -> AsyncIterator["Viewer"]:
        """A viewer on the descriptor of one that is gone, though no second has passed."""
        await until(lambda: self.group.connections == 0)
        descriptor = int(conn.rpartition("-")[2], 16)
        with no_holes_below(descriptor):
            sock = socket.create_connection(self._listener.getsockname())
            self.tick += 5
            self.group.advance(self.tick)  # out of quarantine, and taken at once
        async with Viewer(self.address, sock=sock) as viewer:
            await until(lambda: viewer.of("welcome"))
            assert viewer.of("welcome")[0]["conn"].rpartition("-")[2] == conn.rpartition("-")[2]
            yield viewer

    def count(self, what: ChatCount | Count) -> int:
        return self.counts[what]

    def viewer(self, query: str = "", **how: Any) -> "Viewer":
        return Viewer(self.address + query, **how)


class Viewer:
    """A client that writes down every event, and of every batch (room, epoch, seq, to)."""

    def __init__(
        self,
        address: str,
        binary: bool = False,
        compressed: bool = False,
        sock: socket.socket | None = None,
        subprotocol: str = "",
    ) -> None:
        self.events: list[Event] = []
        self.spans: list[tuple[str, str, int, int]] = []
        self.close_code = 0
        self._address = address
        self._binary = binary
        self._subprotocol = subprotocol or ("danmaku.msgpack" if binary else "danmaku.json")
        self._compressed = compressed
        self._made = sock
        self._taken: set[int] = set()
        self._refs = 1_000_000
        self._socket: ClientConnection
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        name = Subprotocol(self._subprotocol)
        # No proxy from the environment, no pings of its own.
        self._socket = await connect(
            self._address,
            subprotocols=[name],
            compression="deflate" if self._compressed else None,
            sock=self._made,
            proxy=None,
            ping_interval=None,
        )
        assert self._socket.subprotocol == name
        self._reading = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._reading

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._socket.recv()
                assert isinstance(frame, bytes) is self._binary
                found = msgpack.unpackb(frame) if self._binary else json.loads(frame)
                assert isinstance(found, list)
                self.events += whole(found)
                self.spans += [
                    (one["room"], one["epoch"], one["seq"], one["to"])
                    for one in found
                    if one["t"] == "msgs"
                ]
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else 1006

    async def raw(self, frame: str | bytes) -> None:
        await self._socket.send(frame)

    async def do(self, t: str, **fields: Any) -> None:
        """Send a command."""
        command = {"t": t, **fields}
        await self.raw(msgpack.packb(command) if self._binary else json.dumps(command))

    def of(self, t: str) -> list[Event]:
        """All events of one type that came."""
        return [event for event in self.events if event["t"] == t]

    @property
    def texts(self) -> list[str]:
        """What was said, as far as it came."""
        return [message["text"] for message in self.of("msg")]

    async def hear(self, t: str, **fields: Any) -> Event:
        """Wait for the next event of a type (and with these fields) that was not heard yet."""
        found: list[int] = []

        def came() -> bool:
            found[:] = [
                i
                for i, event in enumerate(self.events)
                if i not in self._taken
                and event["t"] == t
                and all(event.get(name) == value for name, value in fields.items())
            ][:1]
            return bool(found)

        await until(came, f"{t} {fields or ''}")
        self._taken.add(found[0])
        return self.events[found[0]]

    async def ask(self, t: str, **fields: Any) -> Event:
        """Send a command and wait for what answers it."""
        self._refs += 1
        ref = self._refs
        await self.do(t, ref=ref, **fields)
        await until(lambda: any(event.get("ref") == ref for event in self.events), f"{t} {fields}")
        return next(event for event in self.events if event.get("ref") == ref)

    async def join(
        self, room: str, since: tuple[str, int] | tuple[str, int, int] | None = None
    ) -> Event:
        """Join a room and be let in."""
        place = dict(zip(("epoch", "seq", "ts"), since or (), strict=False))
        fields = {"since": place} if place else {}
        joined = await self.ask("join", room=room, **fields)
        assert joined["t"] == "joined", joined
        return joined

    async def say(self, room: str, text: str, **fields: Any) -> Event:
        """Type a message and have it acknowledged."""
        ack = await self.ask("send", room=room, text=text, **fields)
        assert ack["t"] == "ack", ack
        return ack

    async def settle(self) -> None:
        """Whatever the shard had sent here before now has been read after this."""
        pong = await self.ask("ping")
        assert pong["t"] == "pong"

    async def closed(self) -> int:
        """The close code, once it is closed."""
        await until(lambda: self.close_code, "the close")
        return self.close_code
