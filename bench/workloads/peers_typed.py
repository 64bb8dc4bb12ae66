"""Typed messages beside other servers: viewers of 50 rooms say things as fast as they are answered.

What it measures: messages per second, and CPU of all the server's processes for each, that comes in
on a viewer's own socket and goes out to the ten in its room. The loop is that of `typed`: each of
500 viewers keeps two unanswered. The answer is the protocol's own where it has one (Danmaku's
`ack`, Centrifuge's reply, NATS's +OK), else the viewer's message come back to it. Servers and
viewers share both cores, pinned to nothing: two shards, GOMAXPROCS=2, one nginx worker, one process
of a Python library. The floor is a C loop of a `recv` and ten sends a message; who gathers
several into one write goes below it. Danmaku's messages alone go through an engine, which numbers
and keeps them for other nodes and for who comes back: its work is in the figure. The others hand
them on inside one server.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from bench.harness import Figures, cpu_ns
from bench.peers.danmaku import Danmaku
from bench.peers.everyone import NATS, US, Make, against, in_turns, makes, present, winners
from bench.peers.nats import VerboseNats
from bench.peers.server import Server
from bench.report import Column, Section
from bench.workloads import Settings
from bench.workloads.typed import MEMBERS, ROOMS, WINDOW

SECONDS, QUICK_S = 4.0, 1.0
CORES = 2
WAIT_MS = 8_000
LIMITS = {"limits_commands_per_s": 10_000, "limits_commands_burst": 10_000}

COLUMNS = [
    Column("per_s", "messages/s", "{:,.0f}"),
    Column("us", "CPU µs/message", "{:.1f}"),
    Column("ratio", "× floor"),
    Column("times_ours", "× ours"),
    Column("lost", "lost", "{:,.0f}"),
    Column("per_frame", "a frame", "{:.1f}"),
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("server_busy", "server", "{:.0%}"),
    Column("viewers_busy", "viewers", "{:.0%}"),
]


def type_round(server: Server, seconds: float) -> Figures:
    """Everyone types for `seconds`; what it cost until all of that was delivered."""
    viewers = server.viewers
    server.settle()
    viewers.ask("reset")
    with server.relaying(MEMBERS):
        cpu, client, began = server.cpu_ns(), cpu_ns(viewers.pid), time.monotonic_ns()
        viewers.ask(f"chat {WINDOW} {seconds * 1e3:.0f} {server.say}")
        time.sleep(seconds)
        during = viewers.ask("count")
        wall, busy = time.monotonic_ns() - began, server.cpu_ns() - cpu
        client, sent = cpu_ns(viewers.pid) - client, during["emitted"]
        answered = viewers.ask(f"wait acks {sent} {WAIT_MS}")["acks"]
        seen = viewers.ask(f"wait messages {sent * MEMBERS} {WAIT_MS}")
        spent, latency = server.cpu_ns() - cpu, viewers.ask("latency")
    if not answered or seen["closed"]:
        raise RuntimeError(
            f"{answered} of {sent} were answered, {seen['closed']} viewers sent away"
        )
    return {
        "per_s": during["acks"] / (wall / 1e9),
        "us": spent / answered / 1e3,
        "lost": sent * MEMBERS - seen["messages"],
        "per_frame": seen["messages"] / seen["frames"],
        "p50_ms": latency["p50_us"] / 1e3,
        "p99_ms": latency["p99_us"] / 1e3,
        "server_busy": busy / wall,
        "viewers_busy": client / wall,
    }


def fill(server: Server) -> None:
    """Everyone comes, and types for a moment."""
    server.connect(ROOMS * MEMBERS, ROOMS)
    type_round(server, QUICK_S)


def run(settings: Settings) -> Section:
    those = makes() | {US: partial(Danmaku, **LIMITS), NATS: VerboseNats}
    return compare(those, QUICK_S if settings.quick else SECONDS, settings.rounds)


def compare(makes: Mapping[str, Make], seconds: float, rounds: int) -> Section:
    """Those of them who can be here."""
    with ExitStack() as stack:
        servers, notes = present(makes, CORES, stack, fill)
        sides = {name: partial(type_round, server, seconds) for name, server in servers.items()}
        turns, failed = in_turns(sides, rounds)
    measured = against(turns, "us")
    said = winners(measured, "us", "µs of CPU a typed message")
    said += winners(measured, "per_s", "typed messages a second", more_is_better=True)
    said += [f"{name} lost {row['lost']:,.0f}." for name, row in measured.items() if row["lost"]]
    viewers = f"{ROOMS * MEMBERS} viewers in {ROOMS} rooms"
    title = f"Typed beside others: {viewers}, {WINDOW} sends each unanswered, two cores"
    return Section(title, COLUMNS, measured, notes=said + notes + failed)
