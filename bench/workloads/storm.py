"""A storm: 10,000 viewers of one room dial at the same moment, as when a node before this one died.

What it measures: whether all get in, and the time from dialling to `joined`, with every connect
under way at once; the first in line waits for the last to have dialled. Beside it, round by round,
a shard without rooms. The kernel's accept queue (server.accept_backlog, net.core.somaxconn) is
smaller than the storm: what overflows it is dialled again by the kernel a second later, so p99
shows whether the shard empties it fast enough.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from bench.child import Child, python
from bench.harness import SERVER_CORE, Figures, interleave
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from bench.workloads.joins import COLUMNS, upgrade_round, viewers_of

VIEWERS = 10_000
BARE, SERVER = "shard alone: upgrade", "server: upgrade and join"


def run(settings: Settings) -> Section:
    size, failed = settings.viewers(VIEWERS), list[float]()
    with ExitStack() as stack:
        bare = stack.enter_context(Child(python("bench.fanout_server"), SERVER_CORE))
        node = stack.enter_context(Node())
        to_bare = stack.enter_context(viewers_of(bare.hello["port"]))
        to_node = stack.enter_context(viewers_of(node.port))
        upgrade = partial(upgrade_round, bare.pid, to_bare, "/")
        join = partial(upgrade_round, node.shard, to_node, "/ws?room=bench")
        upgrade(size // 10)
        join(size // 10)

        def storm(arrive: Callable[..., Figures]) -> Figures:
            figures = arrive(size, in_flight=size, may_fail=True)
            failed.append(figures["failed"])
            return figures

        sides = {BARE: partial(storm, upgrade), SERVER: partial(storm, join)}
        measured = interleave(sides, settings.rounds)
    aims = [
        Aim("failed, in all rounds of both", sum(failed), at_most=0),
        Aim("p99 from dialling to joined, ms", measured[SERVER]["p99_ms"], at_most=1000),
    ]
    columns = [column for column in COLUMNS if column.key != "ratio"]
    columns.append(Column("max_ms", "last ms", "{:,.0f}"))
    return Section(f"Storm: {size:,} viewers dial at once", columns, measured, aims)
