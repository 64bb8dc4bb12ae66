"""Levelled shards: 40,000 viewers dial a node of 8 shards, from a handful of addresses.

What it measures: how far the fullest shard is ahead of the emptiest, as a share of their mean, when
all have joined, and again when one shard was killed and as many came anew as it had; joins a second
meanwhile, with 768 under way. The whole node and its clients share both cores. A process may open
some 19,900 files here, hence several clients, each with source addresses of its own: consecutive
ports of few addresses are what a hash spreads worst.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, interleave, pin
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 40_000
SHARDS = 8
IN_FLIGHT = 256
EACH = 13_400
"""Viewers of one process, as many as keep within its files."""
SOURCES = 8
"""Addresses a process may need."""
PATH = "/ws?room=bench"
AGAIN_S = 20.0
DIALLED, KILLED = "all dial", "one shard killed, its viewers dial"

COLUMNS = [
    Column("viewers", "viewers", "{:,.0f}"),
    Column("least", "least filled", "{:,.0f}"),
    Column("most", "fullest", "{:,.0f}"),
    Column("spread", "spread", "{:.2%}"),
    Column("per_s", "joins/s seen", "{:,.0f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("max_ms", "last ms", "{:,.0f}"),
]
_SHARD = re.compile(r'^danmaku_connections\{shard="\d+"\} (\S+)$', re.MULTILINE)


def filled(node: Node) -> list[int]:
    """Connections of each shard."""
    return [int(float(count)) for count in _SHARD.findall(node.metrics())]


def dial(clients: Sequence[Child], sizes: Sequence[int]) -> Figures:
    """All at once; how fast they joined. Raises RuntimeError."""
    began = time.monotonic()
    for client, size in zip(clients, sizes, strict=True):
        client.tell(f"connect {size} {IN_FLIGHT} {PATH}")
    joined = [client.answer() for client in clients]
    wall_s = time.monotonic() - began
    if any(one["failed"] for one in joined):
        raise RuntimeError(f"did not join: {[one['failure'] for one in joined if one['failed']]}")
    return {
        "per_s": sum(sizes) / wall_s,
        "us": wall_s / sum(sizes) * 1e6,
        "p99_ms": max(one["p99_us"] for one in joined) / 1e3,
        "max_ms": max(one["max_us"] for one in joined) / 1e3,
    }


def spread(node: Node) -> Figures:
    counts = filled(node)
    mean = sum(counts) / len(counts)
    return {
        "viewers": sum(counts),
        "least": min(counts),
        "most": max(counts),
        "spread": (max(counts) - min(counts)) / mean,
    }


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + AGAIN_S
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} within {AGAIN_S:.0f} s")
        time.sleep(0.05)


def kill_one(node: Node, clients: Sequence[Child]) -> list[int]:
    """End a shard; once its successor serves, how many each client is short of."""
    for client in clients:
        client.ask("reset")
    gone = node.pids("shard")[0]
    os.kill(gone, signal.SIGKILL)
    until(lambda: gone not in node.pids("shard"), "the shard did not end")
    until(lambda: len(node.pids("shard")) == SHARDS, "the shard was not started again")
    lost: list[int] = [client.ask("count")["closed"] for client in clients]

    def serves() -> bool:
        """Whether the next one who comes is the successor's. Until then others take them."""
        lost[0] -= int(clients[0].ask(f"connect 1 1 {PATH}")["ok"])
        return min(filled(node)) > 0

    until(serves, "the shard took nobody")
    return lost


class Crowd:
    """A node, the clients of `size` viewers, and what they make of it in each round."""

    def __init__(self, stack: ExitStack, size: int) -> None:
        self.node = stack.enter_context(Node(server_shards=SHARDS))
        count = -(-size // EACH)
        command = [str(build("viewers")), str(self.node.port)]
        self.clients = [
            stack.enter_context(Child([*command, str(i * SOURCES)], CLIENT_CORE))
            for i in range(count)
        ]
        for client in self.clients:
            pin(client.pid, SERVER_CORE, CLIENT_CORE)
        self.sizes = [size // count + (i < size % count) for i in range(count)]

    def all_dial(self) -> Figures:
        for client in self.clients:
            client.ask(f"drop {EACH}")
        until(lambda: not sum(filled(self.node)), "some did not leave")
        return dial(self.clients, self.sizes) | spread(self.node)

    def one_is_killed(self) -> Figures:
        lost = kill_one(self.node, self.clients)
        return dial(self.clients, lost) | spread(self.node)


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    with ExitStack() as stack:
        crowd = Crowd(stack, size)
        sides = {DIALLED: crowd.all_dial, KILLED: crowd.one_is_killed}
        measured = interleave(sides, settings.rounds)
    title = f"Levelled shards: {size:,} viewers of {SHARDS} shards"
    least = measured[DIALLED]["least"]
    slack = max(0.02, 16 / least)
    aims = [
        Aim(f"spread, in % of the mean, {name}", 100 * figures["spread"], at_most=100 * slack)
        for name, figures in measured.items()
    ]
    return Section(title, COLUMNS, measured, aims)
