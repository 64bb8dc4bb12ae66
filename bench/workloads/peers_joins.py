"""Joins beside other servers: TCP connect, upgrade, and what else each asks for to be in a room.

What it measures: CPU of all the server's processes per join, with at most 256 under way, how many
that makes per second of a core, and how many there were; from dialling until the server says that
one is in (Danmaku's `joined`, Centrifuge's connect reply, NATS's PONG behind a SUB; of the others
the 101 is the answer). In the same rounds a C loop that only accepts. All have their server's core
alone, and everyone leaves between rounds, uncounted.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from bench.harness import Figures, cpu_ns
from bench.peers.everyone import FLOOR, Make, against, in_turns, makes, present, winners
from bench.peers.server import Server
from bench.report import Column, Section
from bench.workloads import Settings
from bench.workloads.joins import accept_round

JOINS = 5_000
IN_FLIGHT = 256

COLUMNS = [
    Column("us", "CPU µs/join", "{:.1f}"),
    Column("ratio", "× floor"),
    Column("times_ours", "× ours"),
    Column("per_core_s", "joins/s of a core", "{:,.0f}"),
    Column("per_s", "joins/s seen", "{:,.0f}"),
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("client_busy", "client", "{:.0%}"),
]


def join_round(server: Server, size: int) -> Figures:
    """`size` viewers come, and go again."""
    spent, client = server.cpu_ns(), cpu_ns(server.viewers.pid)
    joined = server.viewers.ask(f"connect {size} {IN_FLIGHT} {server.path}")
    client = cpu_ns(server.viewers.pid) - client
    server.settle()
    spent = server.cpu_ns() - spent
    server.viewers.ask(f"drop {size}")
    server.settle()
    if joined["failed"]:
        raise RuntimeError(f"{joined['failed']} of {size} did not join: {joined['failure']}")
    return {
        "us": spent / size / 1e3,
        "per_core_s": size / (spent / 1e9),
        "per_s": size / (joined["wall_ns"] / 1e9),
        "p50_ms": joined["p50_us"] / 1e3,
        "p99_ms": joined["p99_us"] / 1e3,
        "client_busy": client / joined["wall_ns"],
    }


def run(settings: Settings) -> Section:
    return compare(makes(), settings.viewers(JOINS), settings.rounds)


def compare(makes: Mapping[str, Make], size: int, rounds: int) -> Section:
    """Those of them who can be here; the floor only accepts."""
    with ExitStack() as stack:
        upgrading = {name: make for name, make in makes.items() if name != FLOOR}
        servers, notes = present(upgrading, 1, stack, lambda one: join_round(one, size // 5))
        sides = {FLOOR: partial(accept_round, size)}
        sides |= {name: partial(join_round, server, size) for name, server in servers.items()}
        turns, failed = in_turns(sides, rounds)
    measured = against(turns, "us")
    notes = winners(measured, "us", "µs of CPU a join") + notes + failed
    title = f"Joins beside others: {size:,} viewers of one room, {IN_FLIGHT} under way, one core"
    return Section(title, COLUMNS, measured, notes=notes)
