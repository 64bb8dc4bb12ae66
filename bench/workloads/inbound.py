"""Inbound frames: what reading one costs the shard, and what reading and answering one costs.

What it measures: CPU of the shard per masked pong, the empty one that answers our pings, and per
`ping` command (decoded, rate-limited, answered), from 2,000 viewers of one room in turn, at a pace
the shard keeps up with, so that each frame is a wake-up of its own. In the same rounds, C loops
that only receive as many bytes, and that also send the answer's: the kernel's share. The pong's aim
is absolute, so on a machine where `recv` alone takes longer it cannot be met, and that is said.
"""

from contextlib import ExitStack
from functools import partial

from bench.child import Child, build
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, Stopwatch, interleave, settle
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 2_000
FRAMES = 100_000
PER_S = 50_000
COMMAND, REPLY_BYTES = '{"t":"ping","ref":1}', len('[{"t":"pong","ref":1}]')
MASKED_HEADER = 6
WAIT_MS = 20_000
PONG_US, PING_RATIO = 4, 1.5
RECEIVE, PONG = "C recv loop (the floor)", "shard: a pong frame"
ANSWER, PING = "C recv and send loop (the floor)", "server: a ping command"

COLUMNS = [
    Column("us", "CPU µs each", "{:.2f}"),
    Column("ratio", "× floor"),
    Column("per_s", "frames/s", "{:,.0f}"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
]


class Floor:
    """A C loop that reads the viewers' frames, and may answer each."""

    def __init__(self, stack: ExitStack, size: int) -> None:
        self.server = stack.enter_context(Child([build("floor")], SERVER_CORE))
        port = str(self.server.hello["port"])
        self.viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        self.viewers.tell(f"raw {size}")
        self.server.ask(f"accept {size}")
        self.viewers.answer()
        self.server.ask(f"frame {REPLY_BYTES}")

    def read(self, verb: str, kind: str, payload: str, frames: int) -> Figures:
        """`verb` is drain or answer."""
        watch = Stopwatch(self.server.pid, self.viewers.pid)
        self.server.ask(f"{verb} {frames} {MASKED_HEADER + len(payload)}")
        self.viewers.ask("reset")
        self.viewers.ask(f"emit {kind} {frames} {PER_S} {payload}")
        done, taken = self.server.answer(), watch.read()
        if done["frames"] != frames:
            raise RuntimeError(f"the floor read {done['frames']} of {frames} frames")
        return figures(done["cpu_ns"], frames, done["wall_ns"] / 1e9, taken.client_busy)


class Room:
    """A node and its viewers, who say things."""

    def __init__(self, stack: ExitStack, size: int) -> None:
        self.node = stack.enter_context(
            Node(limits_commands_per_s=10_000, limits_commands_burst=10_000)
        )
        port = str(self.node.port)
        self.viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        connect(self.viewers, size, "/ws?room=bench")
        settle(self.node.shard)

    def read(self, kind: str, payload: str, answers: int, frames: int) -> Figures:
        """`answers` are the pongs to wait for."""
        before = self.node.counters()
        self.viewers.ask("reset")
        watch = Stopwatch(self.node.shard, self.viewers.pid)
        self.viewers.ask(f"emit {kind} {frames} {PER_S} {payload}")
        self.viewers.ask(f"wait emitted {frames} {WAIT_MS}")
        seen, taken = self.viewers.ask(f"wait pongs {answers} {WAIT_MS}"), watch.read()
        settle(self.node.shard)
        spent, after = watch.read().server_ns, self.node.counters()
        came = after["frames_in"] - before["frames_in"]
        if came != frames or seen["pongs"] != answers:
            raise RuntimeError(f"of {frames} the shard read {came:.0f}, answers: {seen}")
        return figures(spent, frames, taken.wall_ns / 1e9, taken.client_busy)


def figures(cpu_ns: float, frames: int, wall_s: float, client_busy: float) -> Figures:
    return {
        "us": cpu_ns / frames / 1e3,
        "per_s": frames / wall_s,
        "server_busy": cpu_ns / wall_s / 1e9,
        "client_busy": client_busy,
    }


def run(settings: Settings) -> Section:
    size, frames = settings.viewers(VIEWERS), settings.viewers(FRAMES)
    with ExitStack() as stack:
        floor, room = Floor(stack, size), Room(stack, size)
        pongs = {
            RECEIVE: partial(floor.read, "drain", "pong", "", frames),
            PONG: partial(room.read, "pong", "", 0, frames),
        }
        pings = {
            ANSWER: partial(floor.read, "answer", "text", COMMAND, frames),
            PING: partial(room.read, "text", COMMAND, frames, frames),
        }
        measured = interleave(pongs, settings.rounds) | interleave(pings, settings.rounds)
    notes = []
    if measured[RECEIVE]["us"] > PONG_US:
        notes += [f"{RECEIVE} alone is above the aim of {PONG_US} µs on this machine now."]
    title = f"Inbound: {size:,} viewers in turn, {PER_S:,} frames/s"
    aims = [
        Aim("CPU µs of a pong frame", measured[PONG]["us"], at_most=PONG_US),
        Aim("× floor of a ping command", measured[PING]["ratio"], at_most=PING_RATIO),
    ]
    return Section(title, COLUMNS, measured, aims, notes)
