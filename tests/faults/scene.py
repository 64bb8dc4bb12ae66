"""One run: nodes on a bus, viewers and producers on the nodes, a fault, and the ledger after it.

Rules. The harness does to the server only what the world can do to it. A run goes: everybody is in
and messages flow; the fault; everything is mended; the producers finish what they began; last
messages, until every viewer has come to them or the patience is over; the audit. Whatever a viewer
has not got by then is missing.

All of it is one loop; the nodes and servers below are processes. They are started from the main
thread, to which the kernel ties their lives.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from bench.local import UP, Node
from tests.faults.balance import Result, balance
from tests.faults.books import Ack, Book
from tests.faults.bus import Bus
from tests.faults.censors import Censor
from tests.faults.followers import Follower, followers
from tests.faults.foreign import Subscriber, Watcher
from tests.faults.producers import SECRET, Backend, Bulk, Desk, Producer, Typist, token_for
from tests.faults.skewed import set_clock
from tests.faults.verdict import Breach
from tests.faults.viewers import Viewer
from tests.faults.ways import WAYS

SHARDS: Final = 2
ROOMS: Final = 3
IN_S: Final = 30.0
"""How long everybody may take to be in."""
UP_S: Final = 40.0
STEADY_S: Final = 2.0
SURE_S: Final = 0.02
"""How long a signal may take to have its effect."""
FINISH_S: Final = 20.0
LAST_TRIES: Final = 2
LAST_S: Final = 20.0

PROTOVERS: Final = 4
DIALECTS: Final = '["danmaku", "sse", "goim", "centrifugal"]'
SECOND_S: Final = 1.2
"""In which what is shown of a crowd is chosen anew."""

Rules = Mapping[str, object]
CROWD: Final[tuple[Rules, ...]] = (
    {"shown_per_s": 4},
    {"shown_per_s": 40, "merge_duplicates": True},
    {"shown_per_s": 8, "messages_per_s": 6},
)
"""Settings of a crowd's rooms, in each of which some thirteen messages a second are to be said."""
SPEAKERS: Final = ("typist0", "backend0", "typist1", "bulk-3", "typist2", "backend1")
"""Who watches as well in a crowd."""


class Scene:
    """`chance` decides everything that is not left to the machine.

    settings  of the nodes, as in bench.local
    padding   characters added to every text; buffer: bytes the kernel keeps for a viewer
    skewed    the nodes have wall clocks of their own, `clocks`
    crowd     the rooms show less than there is, or refuse what is too much, as CROWD says; alike:
              all shards have to choose the same then
    """

    def __init__(
        self,
        folder: Path,
        bus: Bus,
        chance: random.Random,
        viewers: int,
        settings: dict[str, object],
        padding: int = 0,
        buffer: int = 0,
        skewed: bool = False,
        crowd: bool = False,
        alike: bool = False,
    ) -> None:
        self.bus = bus
        self.chance = chance
        self.clocks = [folder / f"clock-{i}" for i in range(bus.nodes)] if skewed else []
        self.nodes: list[Node] = []
        self.viewers: list[Viewer] = []
        self.followers: list[Follower] = []
        self.desk: Desk
        self._folder = folder
        self._count = viewers
        self._held: list[tuple[float, float]] = []
        self._late: list[str] = []
        self._settings = {"auth_secret": SECRET, "bus_timeout_ms": 1000, **settings}
        self._settings.setdefault("server_dialects", DIALECTS)
        self._padding = padding
        self._buffer = buffer
        self._crowd = crowd
        self._alike = alike
        self._watching: list[asyncio.Task[None]] = []
        self._producing: list[asyncio.Task[None]] = []

    # --- its life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start bus and nodes."""
        self.bus.start()
        await self.bus.ready()
        for i in range(self.bus.nodes):
            node = Node(self._folder, bus_url=self.bus.url, server_shards=SHARDS, **self._settings)
            if self.clocks:
                set_clock(self.clocks[i], 0.0)
                node.command = ("-m", "tests.faults.skewed", str(self.clocks[i]), "serve")
            self.nodes.append(node)
            await self.bring_up(node)

    async def stop(self) -> None:
        """End everything that was started."""
        tasks = self._watching + self._producing
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._go_on_all()
        stops = [asyncio.to_thread(node.stop) for node in self.nodes]
        ended = await asyncio.gather(*stops, return_exceptions=True)
        await self.bus.stop()
        for error in filter(None, ended):
            assert not isinstance(error, BaseException), f"a node does not end: {error!r}"

    async def bring_up(self, node: Node) -> None:
        """Start a node, as often as it takes while its forerunner still holds the ports."""
        deadline = time.monotonic() + UP_S
        while True:
            node.launch()
            while node.running and UP not in node.said():
                assert time.monotonic() < deadline, node.said()
                await asyncio.sleep(0.05)
            if node.running:
                self.bus.adopt(node.pid)
                return
            assert time.monotonic() < deadline, node.said()
            await asyncio.sleep(0.2)

    # --- one run -------------------------------------------------------------------------------

    async def run(
        self,
        name: str,
        fault: Callable[["Scene", random.Random], Awaitable[None]],
    ) -> Result:
        """Do `fault` to the scene under load, in rooms of its own; the audit."""
        began = time.monotonic()
        rooms = [f"{name}:{i}" for i in range(ROOMS)]
        rules = CROWD if self._crowd else ({},) * ROOMS
        books = {room: book_of(rule) for room, rule in zip(rooms, rules, strict=True)}
        self.desk = Desk(books, self._padding, self.chance)
        await self._rule(dict(zip(rooms, rules, strict=True)))
        await self._let_in(rooms)
        producer = self._start_producers()
        await self.wait(STEADY_S)
        await fault(self, self.chance)
        await self.mend()
        await self.wait(STEADY_S)
        longest = max(viewer.longest for viewer in self.viewers)
        await self._finish()
        await self._last(producer)
        await self._let_out()
        result = self._audit()
        result.longest, result.seconds = longest, time.monotonic() - began
        return result

    async def wait(self, seconds: float) -> None:
        """Let the load go on."""
        await asyncio.sleep(seconds)

    async def hold(self, seconds: float) -> None:
        """The same, while the bus can publish nothing."""
        began = time.monotonic()
        await self.wait(seconds)
        self._held.append((began + SURE_S, time.monotonic()))

    async def _rule(self, rules: dict[str, Rules]) -> None:
        for room, rule in rules.items():
            if rule:
                path = f"/v1/rooms/{room}/settings"
                status, said = await asyncio.to_thread(self.nodes[0].request, "PATCH", path, rule)
                assert status == 200, said

    async def _let_in(self, rooms: list[str]) -> None:
        ports = [node.port for node in self.nodes]
        self.viewers = []
        for i in range(self._count):
            mine = [rooms[i % ROOMS]] if i % 4 else [rooms[i % ROOMS], rooms[(i + 1) % ROOMS]]
            chance = random.Random(self.chance.random())
            way = WAYS[i % len(WAYS)]
            uid = SPEAKERS[i // 2 % len(SPEAKERS)] if self._crowd and i % 2 else ""
            who = (uid, token_for(uid)) if uid else ("", "")
            how = (ports, chance, self._buffer, *who, self._crowd)
            if way.kind == "goim":
                watcher = Watcher(f"viewer {i}", way, mine[:1], *how)
                watcher.protover = i // len(WAYS) % PROTOVERS
                self.viewers.append(watcher)
            else:
                kind = Subscriber if way.kind in ("centrifugal", "protobuf") else Viewer
                self.viewers.append(kind(f"viewer {i}", way, mine, *how))
        self._watching = [asyncio.create_task(viewer.live()) for viewer in self.viewers]
        everybody = await self._until(
            lambda: all(viewer.at.keys() == set(viewer.rooms) for viewer in self.viewers), IN_S
        )
        assert everybody, "not every viewer was let in"
        if self._crowd:
            plain = [room for room, book in self.desk.books.items() if not book.merges]
            self.followers = [one for node in self.nodes for one in followers(node.ws, plain)]
            there = await self._until(lambda: all(one.is_in for one in self.followers), IN_S)
            assert there, "a client of ours was not let in"

    def _start_producers(self) -> Backend:
        """Start all; one of them."""
        pages = [node.page for node in self.nodes]
        ports = [node.port for node in self.nodes]
        backends = [Backend(f"backend{i}", self.desk, 0.2, pages) for i in range(3)]
        producers: list[Producer] = [
            *backends,
            Typist("typist0", self.desk, 0.3, ports, "moderator" if self._crowd else "user"),
            *(Typist(f"typist{i}", self.desk, 0.3, ports) for i in range(1, 4)),
            Bulk("bulk", self.desk, 0.7 if self._crowd else 1.5, pages),
        ]
        if self._crowd:
            producers.append(Censor(self.desk, 0.5, pages, list(self.desk.books)))
        self._producing = [asyncio.create_task(producer.live()) for producer in producers]
        return backends[0]

    async def _finish(self) -> None:
        """Have the producers finish what they began."""
        self.desk.stop.set()
        _, pending = await asyncio.wait(self._producing, timeout=FINISH_S)
        self.desk.give_up.set()
        if pending:
            await asyncio.wait(pending, timeout=FINISH_S)
        for task in self._producing:
            task.result()

    async def _last(self, producer: Backend) -> None:
        """Send last messages until everybody has come to one, which should be the first."""
        if self._crowd:
            await self.wait(SECOND_S)
        for _ in range(LAST_TRIES):
            last = await self._send_last(producer)
            await self._until(lambda: all(_is_at(viewer, last) for viewer in self.viewers), LAST_S)  # noqa: B023
            late = [viewer for viewer in self.viewers if not _is_at(viewer, last)]
            if not late:
                return
            for viewer in late:
                at = [viewer.at.get(room) for room in viewer.rooms]
                ends = [last[room].place for room in viewer.rooms]
                self._late.append(f"{viewer.name} {viewer.way} was at {at} when all were at {ends}")

    async def _send_last(self, producer: Backend) -> dict[str, Ack]:
        """A message in every room; where they are."""
        self.desk.give_up.clear()
        try:
            async with producer.open(), asyncio.timeout(UP_S):
                for room in self.desk.books:
                    await producer.one(room, self.desk.number(room))
        except TimeoutError:
            raise AssertionError("nothing is published any more, though all is mended") from None
        return {room: book.acks[-1] for room, book in self.desk.books.items()}

    async def _let_out(self) -> None:
        for follower in self.followers:
            for room in follower.rooms:
                end = self.desk.books[room].acks[-1].place.seq
                if not await self._until(lambda: follower.reached(room) >= end, LAST_S):  # noqa: B023
                    self._late.append(f"a client of ours never came to {end} of {room}")
            await follower.leave()
        for viewer in self.viewers:
            viewer.leave()
        await asyncio.wait(self._watching, timeout=FINISH_S)
        for task in self._watching:
            task.result()
        self._watching = []

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for `condition`, but not for ever; whether it came true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    def _audit(self) -> Result:
        tracebacks = filter(None, map(_traceback, self.nodes))
        result = balance(self.desk, self.viewers, self.followers, self._held, self._alike)
        for what in (*self.desk.odd, *self._late, *tracebacks):
            result.verdict.breach(Breach.WRONG, what)
        return result

    # --- what can be done to it ----------------------------------------------------------------

    def worker(self, name: str, chance: random.Random) -> int:
        """The process of a worker of any node, or 0 while there is none."""
        found = chance.choice(self.nodes).pids(name)
        pick = chance.random()
        return found[int(pick * len(found))] if found else 0

    def counted(self, name: str) -> int:
        """A counter of all nodes."""
        return sum(node.counted(name) for node in self.nodes)

    async def stop_for(self, pid: int, seconds: float) -> None:
        """Stop a process for so long."""
        send(pid, signal.SIGSTOP)
        await self.wait(seconds)
        send(pid, signal.SIGCONT)

    async def mend(self) -> None:
        """Undo what was done and is not undone yet."""
        self._go_on_all()
        await self.bus.mend()
        for node in self.nodes:
            assert node.running, f"a node ended by itself:\n{node.said()[-2000:]}"

    def _go_on_all(self) -> None:
        for node in self.nodes:
            for pid in (node.pid, *node.pids("shard"), *node.pids("api")):
                send(pid, signal.SIGCONT)


def book_of(rules: Rules) -> Book:
    """The book of a room that has these settings."""
    return Book(budget="shown_per_s" in rules, merges="merge_duplicates" in rules)


def _is_at(viewer: Viewer, last: dict[str, Ack]) -> bool:
    """Whether a viewer has come as far as `last` in all its rooms."""
    ends = [(room, last[room]) for room in viewer.rooms]
    return all(viewer.has_come_to(room, end.place, end.number) for room, end in ends)


def _traceback(node: Node) -> str:
    """What went wrong in a node that it had not reckoned with; "" for nothing."""
    _, found, rest = node.said().partition("Traceback (most recent call last)")
    return f"a node logged a traceback:{rest[:1500]}" if found else ""


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a process that may be gone; 0 is none."""
    if pid:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
