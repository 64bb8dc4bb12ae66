"""A herd: 10,000 viewers of a killed shard come back at once, each about 300 messages behind.

What it measures: a node of two shards with 20,000 viewers of one room loses one by SIGKILL. Some
hundreds of messages later all whom it served dial at the same moment, without the jitter of our
clients, and join with the position they had: the time from the first dial until the last is
resumed. Beside it an honest room of 20 messages a second: the age of its messages at those of its
viewers who were not cut off, before and meanwhile. All come from one position, or from 300
different ones; and the same with permessage-deflate. Node and viewers share both cores, pinned to
nothing. The floor is a C loop that sends as many frames of the answers' size to raw sockets.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from redis import Redis

from bench.child import Child, build
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, cpu_ns, interleave, pin, settle
from bench.load import connect, stamped
from bench.node import Backend, Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS, CLIENTS = 20_000, 2
HONEST, PER_S, CALM_S = 200, 20, 5.0
BEHIND, SPREAD = 300, 300
"""Messages missed on average; and how many different positions, where they differ."""
TEXT = "x" * 20
ANSWER_BYTES = 28_000
"""Of such an answer, about, for the floor."""
START_S = 20.0
ROUNDS = 3
NOTHING = '{"t":"ping"}'
"""What those say who join by their address."""

SAME, MIXED, DEFLATED, FLOOR = (
    "all at one position",
    "at 300 positions",
    "at 300 positions, deflated",
    "C send loop of 28 KB frames (the floor)",
)
COLUMNS = [
    Column("herd", "back", "{:,.0f}"),
    Column("all_s", "all back s"),
    Column("half_ms", "half ms", "{:,.0f}"),
    Column("us", "shards' CPU µs each", "{:.1f}"),
    Column("client_us", "viewers' CPU µs each", "{:.1f}"),
    Column("reads", "XRANGE", "{:,.0f}"),
    Column("failed", "not back", "{:,.0f}"),
    Column("calm_p99_ms", "honest p99 ms before", "{:.1f}"),
    Column("herd_p99_ms", "meanwhile", "{:.1f}"),
    Column("slower", "×"),
]


class Arena:
    """A node, the honest and the herd."""

    def __init__(self, stack: ExitStack, size: int) -> None:
        self.node = stack.enter_context(Node(server_shards=2))
        self.redis = Redis(unix_socket_path=str(self.node.engine_socket))
        stack.callback(self.redis.close)
        self.speaker = Backend(self.node.api_port)
        stack.callback(self.speaker.close)
        self.honest, *self.clients = [self._viewers(stack) for _ in range(1 + CLIENTS)]
        self._each = size // CLIENTS
        self._turn = 0

    def _viewers(self, stack: ExitStack) -> Child:
        child = stack.enter_context(Child([build("viewers"), str(self.node.port)], CLIENT_CORE))
        pin(child.pid, SERVER_CORE, CLIENT_CORE)
        return child

    def age(self, spread: int, deflated: bool) -> Figures:
        """Kill a shard, and have whom it served come back."""
        receipt = self._gather(deflated)
        calm = self._honest_p99(partial(time.sleep, CALM_S))
        lost = self._kill()
        for _ in range((BEHIND + spread // 2) // 50):
            receipt = self._post_herd()
        for pid in self.node.shards:
            settle(pid)
        first = receipt["last"] - BEHIND - spread // 2
        since = f'{{"epoch":"{receipt["epoch"]}","seq":$room+{first}}}'
        figures: Figures = {}
        meanwhile = self._honest_p99(lambda: figures.update(self._come_back(lost, since, spread)))
        return figures | {
            "calm_p99_ms": calm,
            "herd_p99_ms": meanwhile,
            "slower": meanwhile / calm,
        }

    def _gather(self, deflated: bool) -> dict[str, Any]:
        for client in self.clients:
            have = client.ask("count")["open"]
            client.ask(f"drop {have}")
        for pid in self.node.shards:
            settle(pid)
        have = self.honest.ask("count")["open"]
        connect(self.honest, HONEST - have, "/ws?room=honest")
        for client in self.clients:
            client.ask("deflate" if deflated else "deflate 0")
            client.ask(f"greet {NOTHING}")
            connect(client, self._each, "/ws?room=herd")
        for _ in range(10):
            receipt = self._post_herd()
        for pid in self.node.shards:
            settle(pid)
        return receipt

    def _post_herd(self) -> dict[str, Any]:
        return self.node.post("/v1/rooms/herd/messages", [{"text": TEXT}] * 50)

    def _kill(self) -> list[int]:
        """End one shard, the next one each time; how many viewers each client lost by it."""
        victim = self.node.shards[self._turn % len(self.node.shards)]
        self._turn += 1
        for client in self.clients:
            client.ask("reset")
        os.kill(victim, signal.SIGKILL)
        until = time.monotonic() + START_S
        while victim in (now := self.node.pids("shard")) or len(now) < len(self.node.shards):
            if time.monotonic() > until:
                raise RuntimeError("the shard is not started again")
            time.sleep(0.05)
        self.node.shards = now
        return [client.ask("count")["closed"] for client in self.clients]

    def _come_back(self, lost: Sequence[int], since: str, spread: int) -> Figures:
        herd = sum(lost)
        reads, shards = self._reads(), self._cpu_ns()
        clients = sum(client.cpu_ns() for client in self.clients)
        for client, size in zip(self.clients, lost, strict=True):
            client.ask(f'greet {{"t":"join","room":"herd","since":{since}}}')
            client.tell(f"connect {size} {size} /ws {spread}")
        back = [client.answer(60) for client in self.clients]
        return {
            "herd": herd,
            "failed": sum(one["failed"] for one in back),
            "all_s": max(one["wall_ns"] for one in back) / 1e9,
            "half_ms": max(one["p50_us"] for one in back) / 1e3,
            "reads": self._reads() - reads,
            "us": (self._cpu_ns() - shards) / herd / 1e3,
            "client_us": (sum(c.cpu_ns() for c in self.clients) - clients) / herd / 1e3,
        }

    def _reads(self) -> int:
        found = self.redis.info("commandstats")
        return int(found.get("cmdstat_xrange", {}).get("calls", 0))

    def _cpu_ns(self) -> int:
        return sum(map(cpu_ns, self.node.shards))

    def _honest_p99(self, work: Callable[[], object]) -> float:
        """p99 of the age of the honest room's messages while `work` is done."""
        ended = threading.Event()
        self.honest.ask("reset")
        speaking = threading.Thread(target=self._speak, args=(ended,))
        speaking.start()
        try:
            work()
        finally:
            ended.set()
            speaking.join()
        return float(self.honest.ask("latency")["p99_us"]) / 1e3

    def _speak(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self.speaker.post("/v1/rooms/honest/messages", [{"text": stamped()}])
            ended.wait(1 / PER_S)


def floor(size: int) -> Figures:
    """What the kernel charges for the same bytes."""
    with ExitStack() as stack:
        sender = stack.enter_context(Child([build("floor")], SERVER_CORE))
        port = str(sender.hello["port"])
        viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        sender.ask(f"frame {ANSWER_BYTES}")
        sender.tell(f"accept {size}")
        viewers.ask(f"raw {size}")
        sender.answer()
        viewers.ask("reset")
        before = viewers.cpu_ns()
        sent = sender.ask("flush 1 0")
        seen = viewers.ask(f"wait frames {sent['sends']} 20000")
        return {
            "herd": size,
            "us": sent["cpu_ns"] / size / 1e3,
            "all_s": sent["wall_ns"] / 1e9,
            "client_us": (viewers.cpu_ns() - before) / size / 1e3,
            "failed": size - seen["frames"],
        }


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    with ExitStack() as stack:
        arena = Arena(stack, size)
        sides = {
            FLOOR: partial(floor, size // 2),
            SAME: partial(arena.age, 1, False),
            MIXED: partial(arena.age, SPREAD, False),
            DEFLATED: partial(arena.age, SPREAD, True),
        }
        measured = interleave(sides, min(settings.rounds, ROUNDS))
    herds = [measured[name] for name in (SAME, MIXED, DEFLATED)]
    aims = [
        Aim("s until all are back, at worst", max(one["all_s"] for one in herds), at_most=3),
        Aim("not back, of all", sum(one["failed"] for one in herds), at_most=0),
        Aim("reads of the history, at worst", max(one["reads"] for one in herds), at_most=100),
        Aim("honest p99, × before, at worst", max(one["slower"] for one in herds), at_most=2),
    ]
    title = f"Herd: {size // 2:,} of a killed shard come back at once, {BEHIND} messages behind"
    return Section(title, COLUMNS, measured, aims)
