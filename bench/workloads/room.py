"""One room through the whole server: 5,000 viewers, one message per flush, posted over HTTP.

What it measures: CPU of the shard process per message a viewer received, the idle shard's CPU
subtracted, against a C `send` loop that writes as many bytes to as many sockets at the same pace
in the same round. Each message leaves in a flush of its own, which the frame count proves.
"""

import time
from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, Stopwatch, cpu_ns, interleave, settle
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.targets import WAIT_MS, Target
from bench.workloads import Settings

VIEWERS = 5_000
MESSAGES = 25
FASTEST_PACE_S = 0.04
IDLE_S = 1.0
FLOOR, SERVER = "C send loop (the floor)", "shard, through HTTP and stream"

COLUMNS = [
    Column("us", "CPU µs each", "{:.3f}"),
    Column("ratio", "× floor"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("wall_s", "wall s"),
    Column("per_frame", "msgs/frame"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
    Column("idle_busy", "idle", "{:.1%}"),
]


class Room:
    """A node, its viewers in one room, and a backend that posts to it. `path` is how they watch."""

    def __init__(
        self, node: Node, viewers: Child, size: int, name: str = "bench", path: str = "/ws"
    ) -> None:
        self.node, self.viewers, self.size, self.name = node, viewers, size, name
        connect(viewers, size, f"{path}?room={name}")
        settle(node.shard)

    def post(self) -> None:
        self.node.post(f"/v1/rooms/{self.name}/messages", {"text": "x"})

    def frame_bytes(self) -> int:
        """The size of one message's frame, as viewers see it; a count that changed is in the frame
        before it."""
        time.sleep(0 if self.size < 1000 else 6)
        for _ in range(2):
            self.viewers.ask("reset")
            self.post()
            seen = self.viewers.ask(f"wait messages {self.size} {WAIT_MS}")
        return int(seen["bytes"] // seen["frames"])

    def idle_share(self) -> float:
        before = cpu_ns(self.node.shard)
        time.sleep(IDLE_S)
        return (cpu_ns(self.node.shard) - before) / IDLE_S / 1e9

    def flush(self, pace_s: float) -> Figures:
        idle, wanted = self.idle_share(), MESSAGES * self.size
        self.viewers.ask("reset")
        watch = Stopwatch(self.node.shard, self.viewers.pid)
        due = time.monotonic()
        for _ in range(MESSAGES):
            time.sleep(max(0.0, due - time.monotonic()))
            self.post()
            due += pace_s
        seen = self.viewers.ask(f"wait messages {wanted} {WAIT_MS}")
        taken = watch.read()
        if seen["messages"] != wanted or seen["gaps"] or seen["repeats"]:
            raise RuntimeError(f"of {wanted} deliveries the viewers saw {seen}")
        spent = taken.server_ns - idle * taken.wall_ns
        return {
            "us": spent / wanted / 1e3,
            "per_s": wanted / (taken.wall_ns / 1e9),
            "wall_s": taken.wall_ns / 1e9,
            "per_frame": seen["messages"] / seen["frames"],
            "server_busy": taken.server_busy,
            "client_busy": taken.client_busy,
            "idle_busy": idle,
            "deliveries": wanted,
        }


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        floor = stack.enter_context(Target.floor(size))
        room = Room(node, viewers, size)
        payload = room.frame_bytes()
        floor.payload(payload)
        pace_s = pace_for(floor.flush(5)["us"] * size / 1e6)
        sides = {
            FLOOR: lambda: floor.flush(MESSAGES, int(pace_s * 1e6)),
            SERVER: lambda: room.flush(pace_s),
        }
        measured = interleave(sides, settings.rounds)
    title = f"One room: {size:,} viewers, one message every {pace_s * 1e3:.0f} ms"
    notes = [f"Frame payload {payload} bytes, for both. Idle CPU of the shard is subtracted."]
    aim = Aim("CPU per delivery against the floor", measured[SERVER]["ratio"], at_most=1.6)
    return Section(title, COLUMNS, measured, [aim], notes)


def pace_for(floor_flush_s: float) -> float:
    """Slow enough that a server at twice the floor finishes one flush before the next."""
    return max(FASTEST_PACE_S, round(2 * floor_flush_s, 2))
