"""The fan-out alone at 15,000 connections, where no processor cache holds the sockets any more.

What it measures: the same as `fanout`, with three times the connections: the kernel's own price
of a send rises as it has to fetch each socket from memory, for the floor as for the shard, and the
ratio says whether the shard's own rows and sets cost cache misses on top.
"""

from bench.report import Section
from bench.workloads import Settings
from bench.workloads.fanout import fan_out

VIEWERS = 15_000


def run(settings: Settings) -> Section:
    return fan_out(settings.viewers(VIEWERS), settings.rounds)
