"""goim's dialects beside the native one: 4,000 viewers of each, one message per flush, by HTTP.

What it measures: CPU of the shard process per delivery, the idle shard's CPU subtracted, to viewers
by JSON and by goim's framing at protover 0, 2 and 3, in a room each of one shard, taking turns. A
message is posted when everybody has the one before, so each leaves in a flush of its own. And what
the shard's memory grows by for each of them, idle.
"""

import json
import struct
import time
from contextlib import ExitStack
from statistics import fmean

from bench.child import Child, build
from bench.harness import (
    CLIENT_CORE,
    Figures,
    Stopwatch,
    cpu_ns,
    interleave,
    memory_bytes,
    settle,
)
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.targets import WAIT_MS
from bench.workloads import Settings
from bench.workloads.room import IDLE_S, MESSAGES

VIEWERS = 4_000
WARM_VIEWERS = 500
PARTS = 8
TOLD_S = 12
"""Until every room has been told how many they are."""
LINE = "前方高能预警，非战斗人员请撤离"
NATIVE = "JSON"
PROTOVERS = {"goim, plain": 0, "goim, zlib": 2, "goim, brotli": 3}
MOST, MOST_BYTES = 1.05, 40

COLUMNS = [
    Column("us", "CPU µs each", "{:.3f}"),
    Column("ratio", "× JSON"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("bytes", "bytes a frame", "{:.0f}"),
    Column("private", "idle: bytes/viewer", "{:,.0f}"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
]


def introduction(protover: int, room: int) -> str:
    """The first packet of a client, in hexadecimal."""
    body = json.dumps({"uid": 0, "roomid": room, "protover": protover}).encode()
    return (struct.pack(">IHHII", 16 + len(body), 16, 1, 7, 1) + body).hex()


class Side:
    """Viewers who are spoken to in one way, in the room `live:NUMBER`."""

    def __init__(
        self, node: Node, viewers: Child, size: int, room: int, protover: int | None
    ) -> None:
        self._node, self._viewers, self._size, self._room = node, viewers, size, room
        self._path = f"/ws?room=live:{room}"
        if protover is not None:
            viewers.ask(f"greet_bytes {introduction(protover, room)}")
            self._path = "/sub"
        self._grown = 0
        connect(viewers, WARM_VIEWERS, self._path)
        viewers.ask(f"drop {WARM_VIEWERS}")

    def connect(self) -> None:
        """A part of the viewers, and what the shard grows by for them."""
        shard = self._node.shard
        settle(shard)
        before = memory_bytes(shard)["Private_Dirty"]
        connect(self._viewers, self._size // PARTS, self._path)
        settle(shard)
        self._grown += memory_bytes(shard)["Private_Dirty"] - before

    def flush(self) -> Figures:
        shard, wanted = self._node.shard, MESSAGES * self._size
        idle = cpu_ns(shard)
        time.sleep(IDLE_S)
        idle_busy = (cpu_ns(shard) - idle) / IDLE_S / 1e9
        self._viewers.ask("reset")
        watch = Stopwatch(shard, self._viewers.pid)
        for done in range(MESSAGES):
            self._node.post(f"/v1/rooms/live:{self._room}/messages", {"text": LINE, "uid": "1001"})
            seen = self._viewers.ask(f"wait frames {(done + 1) * self._size} {WAIT_MS}")
        taken = watch.read()
        if seen["frames"] != wanted:
            raise RuntimeError(f"of {wanted} deliveries the viewers saw {seen}")
        return {
            "us": (taken.server_ns - idle_busy * taken.wall_ns) / wanted / 1e3,
            "bytes": seen["bytes"] / seen["frames"],
            "private": self._grown / self._size,
            "per_s": wanted / (taken.wall_ns / 1e9),
            "server_busy": taken.server_busy,
            "client_busy": taken.client_busy,
        }


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS) // PARTS * PARTS
    program = build("viewers")
    with ExitStack() as stack:
        node = stack.enter_context(Node(server_dialects='["danmaku", "goim"]'))
        sides = {}
        for room, name in enumerate((NATIVE, *PROTOVERS)):
            viewers = stack.enter_context(
                Child([program, str(node.port), str(room * 4)], CLIENT_CORE)
            )
            sides[name] = Side(node, viewers, size, room, PROTOVERS.get(name))
        for _ in range(PARTS):  # by turns: memory comes in steps, and the first would pay for all
            for side in sides.values():
                side.connect()
        time.sleep(TOLD_S)
        turns = {name: side.flush for name, side in sides.items()}
        measured = interleave(turns, settings.rounds)
    # The three differ in nothing while they are idle, but memory comes in steps.
    private = fmean(measured[name]["private"] for name in PROTOVERS)
    aims = [
        *(
            Aim(f"a delivery of {name} against JSON's", measured[name]["ratio"], at_most=MOST)
            for name in PROTOVERS
        ),
        Aim(
            "bytes an idle viewer of goim costs more",
            private - measured[NATIVE]["private"],
            at_most=MOST_BYTES,
        ),
    ]
    title = f"goim beside the native dialect: {size:,} viewers of each"
    return Section(title, COLUMNS, measured, aims)
