"""What a connection group counts: the fields of its row on the scoreboard, in order.

Rules. Counters only grow; gauges (GAUGES) are set. A refusal or a drop has its reason in its name.
Histograms stand behind the counters. What `/metrics` calls them, `chat.api.families` says.
"""

from enum import IntEnum, unique
from typing import Final

from pool.histogram import Buckets, doubling


@unique
class Count(IntEnum):
    """Column numbers of a shard's row."""

    CONNECTIONS = 0
    SLOW_READERS = 1
    BACKLOG_BYTES = 2
    QUARANTINED = 3

    ACCEPTED = 4
    UPGRADED = 5
    CLOSED = 6
    FRAMES_IN = 7
    BYTES_IN = 8
    WRITES = 9
    BYTES_OUT = 10
    PINGS = 11

    REFUSED_HANDSHAKE = 12
    REFUSED_FULL = 13
    REFUSED_PER_ADDRESS = 14
    REFUSED_HANDSHAKE_TIMEOUT = 15
    ACCEPT_PAUSED = 16

    DROPPED_SLOW = 17
    DROPPED_CLOSED = 18
    CLOSED_PROTOCOL = 19
    CLOSED_HEARTBEAT = 20
    CLOSED_SLOW = 21
    CLOSED_STALLED = 22
    HANDLER_ERRORS = 23
    CLOSED_LARGEST_BACKLOG = 24
    CLOSED_FLOODING = 25
    CONTROLS_IN = 26
    DROPPED_SLOW_LOW = 27

    PASSED = 28
    REFUSED_PASS_DOWN = 29
    REFUSED_PASS_FULL = 30


TURN_US: Final = Buckets("turn_us", len(Count), doubling(125, 12))
"""Lengths of turns in microseconds, 125 µs to a quarter of a second."""
LOOP_LAG_US: Final = Buckets("loop_lag_us", TURN_US.end, doubling(500, 12))
"""How late the loop came to its ticks, in microseconds, half a millisecond to a second."""
HISTOGRAMS: Final = (TURN_US, LOOP_LAG_US)

FIELDS: Final = (
    *(count.name.lower() for count in Count),
    *(field for buckets in HISTOGRAMS for field in buckets.fields),
)
"""All columns of a row."""
GAUGES: Final = frozenset({"connections", "slow_readers", "backlog_bytes", "quarantined"})
