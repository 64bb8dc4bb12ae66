"""Idle viewers beside other servers: what 15,000 connections in one room cost each in memory.

What it measures: growth per connection of the user-space memory of all the server's processes
(Private_Dirty and Pss from smaps_rollup, the server warmed by viewers that came and went), and the
kernel's for both ends (slab growth of the whole machine). As `idle` does it, everyone in default
configuration, once per run. A heap with a garbage collector counts as it stands.
"""

import time
from collections.abc import Mapping

from bench.harness import Figures
from bench.peers.everyone import FLOOR, TROUBLE, Make, against, makes, missing, winners
from bench.report import Column, Section
from bench.workloads import Settings
from bench.workloads.idle import WARM_VIEWERS, slab_bytes

VIEWERS = 15_000

COLUMNS = [
    Column("viewers", "viewers", "{:,.0f}"),
    Column("private", "Private_Dirty bytes/viewer", "{:,.0f}"),
    Column("times_ours", "× ours", "{:.1f}"),
    Column("pss", "Pss bytes/viewer", "{:,.0f}"),
    Column("pss_mib", "server Pss MiB", "{:,.1f}"),
    Column("slab", "slab bytes/connection", "{:,.0f}"),
]


def measure(make: Make, size: int) -> Figures:
    with make(1) as server:
        server.connect(WARM_VIEWERS)
        server.viewers.ask(f"drop {WARM_VIEWERS}")
        server.settle()
        before, slab = server.memory(), slab_bytes()
        server.connect(size)
        server.settle()
        time.sleep(server.quiet_s)
        after = server.memory()
        return {
            "viewers": size,
            "pss": (after["Pss"] - before["Pss"]) / size,
            "private": (after["Private_Dirty"] - before["Private_Dirty"]) / size,
            "pss_mib": after["Pss"] / 2**20,
            "slab": (slab_bytes() - slab) / size,
        }


def run(settings: Settings) -> Section:
    return compare(makes(), settings.viewers(VIEWERS))


def compare(makes: Mapping[str, Make], size: int) -> Section:
    """Those of them who can be here, one after the other; the floor has no memory."""
    rows: dict[str, Figures] = {}
    notes = []
    for name, make in makes.items():
        if name == FLOOR:
            continue
        try:
            rows[name] = measure(make, size)
        except TROUBLE as problem:
            notes.append(missing(name, problem))
    rows = against(rows, "private")
    notes = winners(rows, "private", "bytes a viewer (Private_Dirty)") + notes
    title = f"Idle beside others: {size:,} viewers of one room, one core"
    return Section(title, COLUMNS, rows, notes=notes)
