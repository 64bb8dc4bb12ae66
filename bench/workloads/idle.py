"""Idle viewers: what 15,000 viewers of one room cost while nothing happens.

What it measures: growth of the shard's user-space memory per viewer (Pss and Private_Dirty from
smaps_rollup, the shard warmed by viewers that came and went), kernel memory for both ends of each
connection (slab growth of the whole machine), and the CPU share of the idle shard over a whole
period of heartbeats, in which everyone is pinged once. For guests, for viewers who came with a
token each (a name and a uid of their own), and for a shard without rooms; and the CPU of a C loop
that sends as many pings and reads the answers (the floor). The room counts as quiet, although its
viewers have just come: heartbeat.trust_tcp is off.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jwt

from bench.child import Child, build, python
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, Stopwatch, memory_bytes, settle
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 15_000
WARM_VIEWERS = 500
PERIOD_S, QUICK_S = 31, 1
TOLD_S = 12
"""Until the room has been told how many they are, which is once and no part of being idle."""
HEARTBEAT_S = 30
SECRET = "a secret of the benchmarks only, 32 bytes or more"
PATH = "/ws?room=bench"
BARE, GUESTS, USERS = "shard alone", "server, guests", "server, with a token each"
FLOOR = "C ping and pong loop (the floor)"

COLUMNS = [
    Column("viewers", "viewers", "{:,.0f}"),
    Column("pss", "Pss bytes/viewer", "{:,.0f}"),
    Column("private", "Private_Dirty bytes/viewer", "{:,.0f}"),
    Column("shard_mib", "shard Pss MiB", "{:,.1f}"),
    Column("slab", "slab bytes/connection", "{:,.0f}"),
    Column("idle_busy", "idle CPU", "{:.2%}"),
    Column("us", "CPU µs/heartbeat", "{:.1f}"),
]


def slab_bytes() -> int:
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return next(int(row[1]) * 1024 for row in rows if row[0] == "Slab:")


def idle_cpu(spent_ns: float, size: int, idle_s: int) -> Figures:
    heartbeats = size * idle_s / HEARTBEAT_S
    return {"idle_busy": spent_ns / idle_s / 1e9, "us": spent_ns / heartbeats / 1e3}


def measure(shard: int, viewers: Child, paths: str, size: int, idle_s: int) -> Figures:
    before, slab = memory_bytes(shard), slab_bytes()
    connect(viewers, size, paths)
    settle(shard)
    time.sleep(TOLD_S)
    watch = Stopwatch(shard, viewers.pid)
    time.sleep(idle_s)
    spent = watch.read().server_ns
    after = memory_bytes(shard)
    return {
        "viewers": size,
        "pss": (after["Pss"] - before["Pss"]) / size,
        "private": (after["Private_Dirty"] - before["Private_Dirty"]) / size,
        "shard_mib": after["Pss"] / 2**20,
        "slab": (slab_bytes() - slab) / size,
        **idle_cpu(spent, size, idle_s),
    }


def measure_floor(size: int, idle_s: int) -> Figures:
    with ExitStack() as stack:
        floor = stack.enter_context(Child([build("floor")], SERVER_CORE))
        port = str(floor.hello["port"])
        viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        viewers.tell(f"raw {size}")
        floor.ask(f"accept {size}")
        viewers.answer()
        settle(floor.pid)
        watch = Stopwatch(floor.pid, viewers.pid)
        done = floor.ask(f"beat {idle_s} {HEARTBEAT_S}")
        spent = watch.read().server_ns
    if done["pongs"] != done["pings"]:
        raise RuntimeError(f"of {done['pings']} pings {done['pongs']} were answered")
    return {"viewers": size, **idle_cpu(spent, size, idle_s)}


def measure_server(size: int, idle_s: int, paths: str = PATH) -> Figures:
    with ExitStack() as stack:
        node = stack.enter_context(Node(auth_secret=SECRET, heartbeat_trust_tcp="false"))
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        # A few hundred come, hear one message and go, so one-time memory is not counted.
        connect(viewers, WARM_VIEWERS, paths)
        node.post("/v1/rooms/bench/messages", {"text": "x"})
        viewers.ask(f"wait messages {WARM_VIEWERS} 10000")
        viewers.ask(f"drop {WARM_VIEWERS}")
        settle(node.shard)
        return measure(node.shard, viewers, paths, size, idle_s)


def measure_bare(size: int, idle_s: int) -> Figures:
    with ExitStack() as stack:
        bare = stack.enter_context(Child(python("bench.fanout_server"), SERVER_CORE))
        port = str(bare.hello["port"])
        viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        connect(viewers, WARM_VIEWERS, "/")
        viewers.ask(f"drop {WARM_VIEWERS}")
        settle(bare.pid)
        return measure(bare.pid, viewers, "/", size, idle_s)


@contextmanager
def tokens(size: int) -> Iterator[str]:
    """A file of `size` paths, each with a token of its own, as `connect` takes it."""
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
        for number in range(size):
            claims = {"sub": f"user-{number:06}", "name": f"观众{number:06}", "role": "user"}
            token = jwt.encode(claims | {"exp": int(time.time()) + 3600}, SECRET, "HS256")
            print(f"{PATH}&token={token}", file=file)
        file.flush()
        yield f"@{file.name}"


def run(settings: Settings) -> Section:
    size, idle_s = settings.viewers(VIEWERS), QUICK_S if settings.quick else PERIOD_S
    figures = {BARE: measure_bare(size, idle_s), GUESTS: measure_server(size, idle_s)}
    with tokens(size) as paths:
        figures[USERS] = measure_server(size, idle_s, paths)
    figures[FLOOR] = measure_floor(size, idle_s)
    aims = [
        Aim("user-space bytes per idle guest", figures[GUESTS]["private"], at_most=250),
        Aim("user-space bytes per user with a token", figures[USERS]["private"], at_most=800),
        Aim("CPU % of a shard of idle guests", 100 * figures[GUESTS]["idle_busy"], at_most=0.6),
    ]
    notes = [f"Once per run. Idle CPU over {idle_s} s; slab holds both ends of a connection."]
    return Section("Idle viewers on one shard", COLUMNS, figures, aims, notes)
