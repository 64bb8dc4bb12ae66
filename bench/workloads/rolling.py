"""A rolling restart: two nodes on one Redis, each stopped and started again while the other serves.

What it measures: viewers of one room come through a balancer, which asks `/readyz` five times a
second and gives new connections to the nodes that are ready, in turns; a backend posts to one of
those. One node is told to stop (SIGTERM), ends, is started and is ready; then the other. Of the
viewers, our Python client: how many had to connect again, in the fullest second how many, how long
anybody heard nothing; and what was acknowledged and missed, came twice or out of order. With the
default `server.drain_s`, and with none, where all come back at once.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Final

from bench.harness import Figures, interleave
from bench.local import Node
from bench.node import Backend
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from chat.client import Client, Gap, Joined, Msg
from chat.config.sections import Server
from chat.ops.engine import EmbeddedEngine
from chat.tasks import Tasks

VIEWERS: Final = 500
PER_S: Final = 10
CHECK_S: Final = 0.2
CALM_S: Final = 3.0
READY_S: Final = 60.0
ROOM: Final = "evening"
DEFAULT: Final = Server().drain_s
CHUNK: Final = 1 << 16

COLUMNS = [
    Column("viewers", "viewers", "{:,.0f}"),
    Column("again", "connected again", "{:,.0f}"),
    Column("peak_s", "in the fullest second", "{:,.0f}"),
    Column("silent_ms", "longest without a message, ms", "{:,.0f}"),
    Column("acked", "acknowledged", "{:,.0f}"),
    Column("missed", "missed", "{:,.0f}"),
    Column("said", "said to be lost", "{:,.0f}"),
    Column("twice", "twice or out of order", "{:,.0f}"),
    Column("took_s", "both restarted in s", "{:.1f}"),
]


class Balancer:
    """One port before several nodes. `accepted`: when each connection came, on the loop's clock."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.accepted: list[float] = []
        self.ready: list[Node] = list(nodes)
        self._nodes = nodes
        self._turn = itertools.count()
        self._checked = asyncio.Condition()
        self._tasks = Tasks("balancer")
        self._server: asyncio.Server

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._came, "127.0.0.1", 0, backlog=4096)
        self._tasks.spawn(self._check())
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._tasks.stop()

    async def _check(self) -> None:
        while True:
            answers = await asyncio.gather(*map(self._is_ready, self._nodes))
            async with self._checked:
                self.ready = [node for node, yes in zip(self._nodes, answers, strict=True) if yes]
                self._checked.notify_all()
            await asyncio.sleep(CHECK_S)

    async def until_ready(self, node: Node) -> None:
        """Wait until a node is given connections again. Raises TimeoutError."""
        async with asyncio.timeout(READY_S), self._checked:
            await self._checked.wait_for(lambda: node in self.ready)

    async def _is_ready(self, node: Node) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: balancer\r\n\r\n")
            status = await reader.readline()
            writer.close()
        except OSError:
            return False
        return b" 200 " in status

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(asyncio.get_running_loop().time())
        self._tasks.spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        with suppress(OSError, IndexError):  # IndexError: nobody is ready
            node = self.ready[next(self._turn) % len(self.ready) if self.ready else 0]
            theirs, ours = await asyncio.open_connection("127.0.0.1", node.port)
            ends.append(ours)
            await asyncio.gather(self._pass(reader, ours), self._pass(theirs, writer))
        for end in ends:
            end.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                sink.write(data)
                await sink.drain()
        sink.close()


@dataclass
class Viewer:
    """What one viewer was shown: texts in order; how many it was told are lost."""

    seen: list[str] = field(default_factory=list)
    said: int = 0
    silent_s: float = 0.0

    async def watch(self, url: str, joined: asyncio.Semaphore) -> None:
        """Until it is cancelled."""
        clock = asyncio.get_running_loop().time
        heard = None
        async with Client(url, ROOM) as client:
            async for event in client:
                if isinstance(event, Joined):
                    joined.release()
                    self.said += event.recovered is False and heard is not None
                elif isinstance(event, Gap):
                    self.said += 1
                elif isinstance(event, Msg):
                    self.silent_s = max(self.silent_s, clock() - (heard or clock()))
                    heard = clock()
                    self.seen.append(event.text)


class Speaker:
    """A backend: a message every 1 / PER_S seconds to a node that is ready, again until it is
    acknowledged. `acked`: the texts that were."""

    def __init__(self, balancer: Balancer, stack: ExitStack) -> None:
        self.acked: list[str] = []
        self._balancer = balancer
        self._stack = stack
        self._backends: dict[int, Backend] = {}

    async def speak(self) -> None:
        """Until it is cancelled."""
        for number in itertools.count():
            await self._say(f"m{number}")
            await asyncio.sleep(1 / PER_S)

    async def _say(self, text: str) -> None:
        while True:
            for node in self._balancer.ready:
                with suppress(OSError, HTTPException, RuntimeError):
                    await asyncio.to_thread(self._post, node, text)
                    self.acked.append(text)
                    return
                self._backends.pop(node.api_port).close()
            await asyncio.sleep(CHECK_S)

    def _post(self, node: Node, text: str) -> None:
        backend = self._backends.get(node.api_port)
        if backend is None:
            backend = self._backends[node.api_port] = Backend(node.api_port)
            self._stack.callback(backend.close)
        backend.post(f"/v1/rooms/{ROOM}/messages", [{"text": text, "id": text}])


async def roll(nodes: Sequence[Node], balancer: Balancer) -> None:
    """The restart itself."""
    for node in nodes:
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)
        await balancer.until_ready(node)


async def evening(nodes: Sequence[Node], size: int, drain_s: int, stack: ExitStack) -> Figures:
    """Viewers come, and listen through a rolling restart until all are back: what they heard."""
    clock = asyncio.get_running_loop().time
    viewers = [Viewer() for _ in range(size)]
    balancer, joined = Balancer(nodes), asyncio.Semaphore(0)
    async with AsyncExitStack() as running:
        url = await running.enter_async_context(balancer)
        watching, speaking = Tasks("viewers"), Tasks("backend")
        running.push_async_callback(watching.stop)
        running.push_async_callback(speaking.stop)
        for viewer in viewers:
            watching.spawn(viewer.watch(url, joined))
        for _ in viewers:
            await joined.acquire()
        speaker = Speaker(balancer, stack)
        speaking.spawn(speaker.speak())
        await asyncio.sleep(CALM_S)
        began, before = clock(), len(balancer.accepted)
        await roll(nodes, balancer)
        took = clock() - began
        await asyncio.sleep(drain_s + CALM_S)
        await speaking.stop()
        await asyncio.sleep(CALM_S)
        again = balancer.accepted[before:]
    return {
        "viewers": size,
        "again": len(again),
        "peak_s": fullest_second(again),
        "silent_ms": max(viewer.silent_s for viewer in viewers) * 1e3,
        "acked": len(speaker.acked),
        "missed": sum(len(set(speaker.acked) - set(viewer.seen)) for viewer in viewers),
        "said": sum(viewer.said for viewer in viewers),
        "twice": sum(disorder(viewer.seen) for viewer in viewers),
        "took_s": took,
    }


def fullest_second(times: Sequence[float]) -> int:
    """Of ascending `times`, as many as lie within one second, at most."""
    most = start = 0
    for end, time in enumerate(times):
        while time - times[start] > 1:
            start += 1
        most = max(most, end - start + 1)
    return most


def disorder(texts: Sequence[str]) -> int:
    """How many of what a speaker said in order do not come after the one before."""
    numbers = [int(text[1:]) for text in texts]
    return sum(later <= earlier for earlier, later in itertools.pairwise(numbers))


def restarted(size: int, drain_s: int) -> Figures:
    """One rolling restart of two new nodes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="danmaku-bench-")))
        engine = EmbeddedEngine("")
        stack.callback(engine.stop)
        engine.start()
        shared = {"bus_url": engine.url, "server_drain_s": drain_s}
        nodes = [stack.enter_context(Node(folder, **shared)) for _ in range(2)]
        return asyncio.run(evening(nodes, size, drain_s, stack))


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    with_drain = f"drained over {DEFAULT} s, the default"
    sides = {
        with_drain: partial(restarted, size, DEFAULT),
        "drained at once": partial(restarted, size, 0),
    }
    measured = interleave(sides, settings.rounds, "took_s")
    found = measured[with_drain]
    aims = [
        Aim("messages that somebody missed, or had twice", found["missed"] + found["twice"], 0),
        Aim("share of the viewers that came in the fullest second", found["peak_s"] / size, 0.2),
    ]
    title = f"Rolling restart: two nodes, a message every {1000 / PER_S:.0f} ms"
    return Section(title, COLUMNS, measured, aims)
