"""Counts in a silent crowd: 15,000 viewers of one room, of which some come and go all the time.

What it measures: writes and CPU of the shard while so few come and go that the count is never 1 %
off, and while it is 2 % off every few seconds; those who come and go take writes themselves, which
are not counted. Nobody is pinged meanwhile.
"""

import time
from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, cpu_ns, settle
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 15_000
PATH = "/ws?room=bench"
FEW, MORE = "0.5 % come and go", "2 % come and go"
SHARES = {"nobody comes": 0.0, FEW: 0.005, MORE: 0.02}
TURNS, QUICK_TURNS = 5, 1
STAY_S = 6.0
"""How long those who come stay, and stay away: a count is reported meanwhile, and told."""
BUDGET = 2_100
"""Writes a second that counts may take: a hundredth of the shard's time, and a tenth of that."""

COLUMNS = [
    Column("viewers", "viewers", "{:,.0f}"),
    Column("writes_s", "writes/s", "{:,.1f}"),
    Column("busy", "shard CPU", "{:.2%}"),
]


def measure(node: Node, others: Child, size: int, share: float, turns: int) -> Figures:
    some = int(size * share)
    settle(node.shard)
    began, before, spent = time.monotonic(), node.counters(), cpu_ns(node.shard)
    answers = 0.0
    for _ in range(turns):
        if some:
            at = node.counters()["writes"]
            connect(others, some, PATH)
            answers += node.counters()["writes"] - at
        time.sleep(STAY_S)
        if some:
            others.ask(f"drop {some}")
        time.sleep(STAY_S)
    wall_s, after = time.monotonic() - began, node.counters()
    return {
        "viewers": size,
        "writes_s": (after["writes"] - before["writes"] - answers) / wall_s,
        "busy": (cpu_ns(node.shard) - spent) / wall_s / 1e9,
    }


def run(settings: Settings) -> Section:
    size, turns = settings.viewers(VIEWERS), QUICK_TURNS if settings.quick else TURNS
    program = build("viewers")
    with ExitStack() as stack:
        node = stack.enter_context(Node(heartbeat_ping_s=3_000))
        crowd = stack.enter_context(Child([program, str(node.port)], CLIENT_CORE))
        others = stack.enter_context(Child([program, str(node.port)], CLIENT_CORE))
        connect(crowd, size, PATH)
        time.sleep(3 * STAY_S)  # all know how many they are
        figures = {
            name: measure(node, others, size, share, turns) for name, share in SHARES.items()
        }
    aims = [
        Aim("writes a second where a count is hardly off", figures[FEW]["writes_s"], at_most=5),
        Aim("writes a second for counts", figures[MORE]["writes_s"], at_most=BUDGET),
    ]
    notes = [f"Once per run, {turns * 2 * STAY_S:.0f} s each."]
    return Section(f"Counts in a silent crowd: {size:,} viewers", COLUMNS, figures, aims, notes)
