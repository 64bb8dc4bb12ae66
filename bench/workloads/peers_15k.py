"""The same beside other servers with 15,000 viewers each, where caches no longer hold the sockets.

What it measures: see peers.py.
"""

from bench.report import Section
from bench.workloads import Settings, peers

VIEWERS = 15_000


def run(settings: Settings) -> Section:
    return peers.compare(settings.viewers(VIEWERS), settings.rounds)
