"""Idle viewers: what 15,000 anonymous viewers of one room cost while nothing happens.

What it measures: growth of the shard's user-space memory per viewer (Pss and Private_Dirty from
smaps_rollup, the shard warmed by viewers that came and went), kernel memory for both ends of each
connection (slab growth of the whole machine), and the CPU share of the idle shard; then the same
for a shard without rooms.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from bench.child import Child, build, python
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, cpu_ns, memory_bytes, settle
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 15_000
WARM_VIEWERS = 500
IDLE_S = 10.0
BARE, SERVER = "shard alone", "server, in one room"

COLUMNS = [
    Column("viewers", "viewers", "{:,.0f}"),
    Column("pss", "Pss bytes/viewer", "{:,.0f}"),
    Column("private", "Private_Dirty bytes/viewer", "{:,.0f}"),
    Column("shard_mib", "shard Pss MiB", "{:,.1f}"),
    Column("slab", "slab bytes/connection", "{:,.0f}"),
    Column("idle_busy", "idle CPU", "{:.2%}"),
]


def slab_bytes() -> int:
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return next(int(row[1]) * 1024 for row in rows if row[0] == "Slab:")


def connect(viewers: Child, size: int, path: str) -> None:
    joined = viewers.ask(f"connect {size} 256 {path}")
    if joined["failed"]:
        raise RuntimeError(f"{joined['failed']} of {size} did not join: {joined['failure']}")


def measure(shard: int, viewers: Child, path: str, size: int) -> Figures:
    before, slab = memory_bytes(shard), slab_bytes()
    connect(viewers, size, path)
    settle(shard)
    began = cpu_ns(shard)
    time.sleep(IDLE_S)
    idle = (cpu_ns(shard) - began) / IDLE_S / 1e9
    after = memory_bytes(shard)
    return {
        "viewers": size,
        "pss": (after["Pss"] - before["Pss"]) / size,
        "private": (after["Private_Dirty"] - before["Private_Dirty"]) / size,
        "shard_mib": after["Pss"] / 2**20,
        "slab": (slab_bytes() - slab) / size,
        "idle_busy": idle,
    }


def measure_server(size: int) -> Figures:
    path = "/ws?room=bench"
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        # A few hundred come, hear one message and go, so one-time memory is not counted.
        connect(viewers, WARM_VIEWERS, path)
        node.post("/v1/rooms/bench/messages", {"text": "x"})
        viewers.ask(f"wait messages {WARM_VIEWERS} 10000")
        viewers.ask(f"drop {WARM_VIEWERS}")
        settle(node.shard)
        return measure(node.shard, viewers, path, size)


def measure_bare(size: int) -> Figures:
    with ExitStack() as stack:
        bare = stack.enter_context(Child(python("bench.fanout_server"), SERVER_CORE))
        port = str(bare.hello["port"])
        viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        connect(viewers, WARM_VIEWERS, "/")
        viewers.ask(f"drop {WARM_VIEWERS}")
        settle(bare.pid)
        return measure(bare.pid, viewers, "/", size)


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    figures = {BARE: measure_bare(size), SERVER: measure_server(size)}
    title = "Idle viewers, anonymous, on one shard"
    aim = Aim("user-space bytes per idle viewer", figures[SERVER]["private"], at_most=500)
    notes = [f"Once per run. Idle CPU over {IDLE_S:.0f} s; slab holds both ends of a connection."]
    return Section(title, COLUMNS, figures, [aim], notes)
