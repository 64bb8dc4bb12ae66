"""Typed messages the whole way: viewers of 50 rooms say things as fast as they are acknowledged.

What it measures: how many typed messages a node of two shards with its embedded engine carries per
second (decode, check, publish, read, encode, deliver to the ten in the room), none lost or out of
order. The loop is closed: each of 500 viewers keeps two sends unanswered, so the rate found is
the one that lasts. Node and viewers share both cores, pinned to nothing; the table says who has
used how much of a core, and the cores' own shares that nothing was left.
"""

import time
from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, Usage, pin, settle
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

ROOMS = 50
MEMBERS = 10
WINDOW = 2
WARM_MS = 1_000
SECONDS = 10
DELIVERY_MS = 20_000
MESSAGE = '{"t":"send","room":"room-$room","text":"@$now 前方高能","ref":$ref}'

COLUMNS = [
    Column("acks_s", "acks/s", "{:,.0f}"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("unacked", "unacked", "{:,.0f}"),
    Column("lost", "lost", "{:,.0f}"),
    Column("disorder", "disorder", "{:,.0f}"),
    Column("p50_ms", "p50 ms", "{:.0f}"),
    Column("p99_ms", "p99 ms", "{:.0f}"),
    Column("shards_busy", "shards", "{:.0%}"),
    Column("engine_busy", "engine", "{:.0%}"),
    Column("viewers_busy", "viewers", "{:.0%}"),
    Column("server_core_busy", "core 0", "{:.0%}"),
    Column("client_core_busy", "core 1", "{:.0%}"),
]


def measure(node: Node, viewers: Child, seconds: float) -> Figures:
    """Everyone types for `seconds`; what was acknowledged and delivered of it."""
    usage = Usage(shards=node.shards, engine=node.engine, viewers=[viewers.pid])
    viewers.ask("reset")
    viewers.ask(f"chat {WINDOW} {seconds * 1e3:.0f} {MESSAGE}")
    time.sleep(seconds)
    taken, during = usage.read(), viewers.ask("count")
    sent = during["emitted"]
    viewers.ask(f"wait acks {sent} {DELIVERY_MS}", DELIVERY_MS / 1e3 + 10)
    seen = viewers.ask(f"wait messages {sent * MEMBERS} {DELIVERY_MS}", DELIVERY_MS / 1e3 + 10)
    latency = viewers.ask("latency")
    return taken | {
        "sent": sent,
        "acks_s": during["acks"] / taken["wall_s"],
        "per_s": during["messages"] / taken["wall_s"],
        "unacked": sent - seen["acks"],
        "lost": sent * MEMBERS - seen["messages"],
        "disorder": seen["gaps"] + seen["repeats"],
        "p50_ms": latency["p50_us"] / 1e3,
        "p99_ms": latency["p99_us"] / 1e3,
    }


def run(settings: Settings) -> Section:
    limits = {"limits_commands_per_s": 10_000, "limits_commands_burst": 10_000}
    with ExitStack() as stack:
        node = stack.enter_context(Node(server_shards=2, **limits))
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        pin(viewers.pid, SERVER_CORE, CLIENT_CORE)
        connect(viewers, ROOMS * MEMBERS, "/ws?room=room-$room", ROOMS)
        measure(node, viewers, WARM_MS / 1e3)
        for shard in node.shards:
            settle(shard)
        figures = measure(node, viewers, 4 if settings.quick else SECONDS)
    title = f"Typed: {ROOMS * MEMBERS} viewers in {ROOMS} rooms, {WINDOW} sends each unanswered"
    wrong = abs(figures["unacked"]) + abs(figures["lost"]) + figures["disorder"]
    aims = [
        Aim("typed messages acknowledged a second", figures["acks_s"], at_least=15_000),
        Aim("unacknowledged, lost or out of order", wrong, at_most=0),
    ]
    return Section(title, COLUMNS, {"node of 2 shards": figures}, aims)
