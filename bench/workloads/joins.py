"""Joins: TCP connect, upgrade with `?room=bench`, and the `joined` event received.

What it measures: CPU of the shard per completed join, with at most 256 under way, and how many
that makes per second of the shard's core; the time from dialling to `joined`. In the same rounds,
a C loop that only accepts (the floor) and a shard without rooms that only upgrades. Everyone
leaves between rounds, uncounted.
"""

from contextlib import ExitStack
from functools import partial

from bench.child import Child, build, python
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, Stopwatch, interleave, settle
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

JOINS = 5_000
IN_FLIGHT = 256
FLOOR, BARE, SERVER = (
    "C accept loop (the floor)",
    "shard alone: upgrade",
    "server: upgrade and join",
)

COLUMNS = [
    Column("us", "CPU µs/join", "{:.1f}"),
    Column("ratio", "× floor"),
    Column("per_core_s", "joins/s of a core", "{:,.0f}"),
    Column("per_s", "joins/s seen", "{:,.0f}"),
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
]


def upgrade_round(
    server: int,
    viewers: Child,
    path: str,
    size: int,
    in_flight: int = IN_FLIGHT,
    may_fail: bool = False,
) -> Figures:
    """Connect `size` viewers to the process `server`, then let them all go again."""
    watch = Stopwatch(server, viewers.pid)
    joined = viewers.ask(f"connect {size} {in_flight} {path}")
    arrival = watch.read()
    settle(server)
    spent = watch.read().server_ns
    viewers.ask(f"drop {size}")
    settle(server)
    if joined["failed"] and not may_fail:
        raise RuntimeError(f"{joined['failed']} of {size} did not join: {joined['failure']}")
    return {
        "failed": joined["failed"],
        "us": spent / size / 1e3,
        "per_core_s": size / (spent / 1e9),
        "per_s": size / (joined["wall_ns"] / 1e9),
        "p50_ms": joined["p50_us"] / 1e3,
        "p99_ms": joined["p99_us"] / 1e3,
        "max_ms": joined["max_us"] / 1e3,
        "server_busy": arrival.server_busy,
        "client_busy": arrival.client_busy,
    }


def accept_round(size: int) -> Figures:
    with ExitStack() as stack:
        server = stack.enter_context(Child([build("floor")], SERVER_CORE))
        viewers = stack.enter_context(viewers_of(server.hello["port"]))
        watch = Stopwatch(server.pid, viewers.pid)
        server.tell(f"accept {size}")
        viewers.ask(f"raw {size}")
        accepted = server.answer()
        taken = watch.read()
    return {
        "us": accepted["cpu_ns"] / size / 1e3,
        "per_core_s": size / (accepted["cpu_ns"] / 1e9),
        "per_s": size / (accepted["wall_ns"] / 1e9),
        "server_busy": taken.server_busy,
        "client_busy": taken.client_busy,
    }


def viewers_of(port: int) -> Child:
    return Child([build("viewers"), str(port)], CLIENT_CORE)


def run(settings: Settings) -> Section:
    size = settings.viewers(JOINS)
    with ExitStack() as stack:
        bare = stack.enter_context(Child(python("bench.fanout_server"), SERVER_CORE))
        node = stack.enter_context(Node())
        to_bare = stack.enter_context(viewers_of(bare.hello["port"]))
        to_node = stack.enter_context(viewers_of(node.port))
        upgrade = partial(upgrade_round, bare.pid, to_bare, "/")
        join = partial(upgrade_round, node.shard, to_node, "/ws?room=bench")
        upgrade(size // 5)
        join(size // 5)
        sides = {
            FLOOR: partial(accept_round, size),
            BARE: partial(upgrade, size),
            SERVER: partial(join, size),
        }
        measured = interleave(sides, settings.rounds)
    title = f"Joins: {size:,} viewers of one room, {IN_FLIGHT} under way"
    aim = Aim("joins per second of one core", measured[SERVER]["per_core_s"], at_least=36_000)
    return Section(title, COLUMNS, measured, [aim])
