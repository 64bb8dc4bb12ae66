"""What a shard counts of chat: the columns of its scoreboard row behind the group's own.

Rules. As in `shard.counters`: counters only grow, gauges are set, and whatever is not delivered
or not accepted has its reason in its name. A column that is new gets its place in
`chat.api.families`, or nobody sees it.
"""

from enum import IntEnum, unique
from typing import Final

from pool.histogram import Buckets, doubling
from shard import counters as shard_counters

_BASE: Final = len(shard_counters.FIELDS)


@unique
class ChatCount(IntEnum):
    """Column numbers of a shard's row."""

    ROOMS = _BASE
    STREAMS = _BASE + 1
    BUS_CONNECTED = _BASE + 2

    COMMANDS = _BASE + 3
    JOINS = _BASE + 4
    RESUMED = _BASE + 5
    RESUME_FAILED = _BASE + 6
    PUBLISHED = _BASE + 7
    DUPLICATES_PUBLISHED = _BASE + 8

    ENTRIES_READ = _BASE + 9
    FLUSHES = _BASE + 10
    MESSAGES_DELIVERED = _BASE + 11
    NOTICES_DELIVERED = _BASE + 12
    DUPLICATES_READ = _BASE + 13
    GAPS = _BASE + 14
    GAP_MESSAGES_FILLED = _BASE + 15
    GAP_MESSAGES_LOST = _BASE + 16
    BUS_ERRORS = _BASE + 17

    REFUSED_BAD_REQUEST = _BASE + 18
    REFUSED_RATE_LIMITED = _BASE + 19
    REFUSED_READ_ONLY = _BASE + 20
    REFUSED_UNAVAILABLE = _BASE + 21
    REFUSED_TOKEN = _BASE + 22

    REWINDS = _BASE + 23
    BAD_ENTRIES = _BASE + 24
    REFUSED_TOO_MANY_ROOMS = _BASE + 25

    STARTS = _BASE + 26

    GUESTS_RETURNED = _BASE + 27
    REFUSED_GUEST_KEY = _BASE + 28

    NOTICES_DROPPED = _BASE + 29
    REFUSED_ID_REUSED = _BASE + 30

    REFUSED_BANNED = _BASE + 31
    REFUSED_MUTED = _BASE + 32
    REFUSED_SILENCED = _BASE + 33
    REFUSED_ROLE = _BASE + 34
    MODERATED_MUTE = _BASE + 35
    REFUSED_MODERATION = _BASE + 36
    SENT_OUT = _BASE + 37
    RULES_LOADED = _BASE + 38

    REPORTS = _BASE + 39
    REPORTS_REPEATED = _BASE + 40
    REPORTS_DROPPED = _BASE + 41

    REFUSED_WORD = _BASE + 42
    MASKED = _BASE + 43
    SHADOWED = _BASE + 44

    DEVICES_REPLACED = _BASE + 45
    DEVICES_UNCHECKED = _BASE + 46
    REFUSED_DEVICE = _BASE + 47

    REFUSED_BY_HOOK = _BASE + 48
    REFUSED_BY_PRESEND = _BASE + 49
    REFUSED_UNCHECKED = _BASE + 50
    PASSED_UNCHECKED = _BASE + 51
    HOOKS_FAILED = _BASE + 52
    HOOKS_SLOW = _BASE + 53
    PRESEND_FAILED = _BASE + 54
    PRESEND_OPEN = _BASE + 55

    REFUSED_SLOW_MODE = _BASE + 56
    REFUSED_REPEATED = _BASE + 57
    REFUSED_ROOM_BUSY = _BASE + 58

    CONNECTION_EVENTS_DROPPED = _BASE + 59

    COUNTS_WRITTEN = _BASE + 60
    VISITORS_UNCOUNTED = _BASE + 61

    LIKES = _BASE + 62
    LIKES_DROPPED = _BASE + 63
    MERGED = _BASE + 64
    JOIN_NOTICES_DROPPED = _BASE + 65
    MESSAGES_SHED = _BASE + 66

    MESSAGES_IN = _BASE + 67
    STREAM_LAG_MS = _BASE + 68
    PUBLISH_OPEN = _BASE + 69
    BUS_REQUESTS_FAILED = _BASE + 70
    MODERATED_UNMUTE = _BASE + 71
    MODERATED_BAN = _BASE + 72
    MODERATED_UNBAN = _BASE + 73
    MODERATED_KICK = _BASE + 74
    MODERATED_DELETE = _BASE + 75
    MODERATED_CLEAR = _BASE + 76
    MODERATED_SETTINGS = _BASE + 77

    REFUSED_BAD_ROOM = _BASE + 78
    REFUSED_NOT_JOINED = _BASE + 79
    REFUSED_TEXT_EMPTY = _BASE + 80
    REFUSED_TEXT_TOO_LONG = _BASE + 81
    REFUSED_NAME = _BASE + 82


PUBLISH_US: Final = Buckets("publish_us", _BASE + len(ChatCount), doubling(250, 14))
"""How long batches took to be published, in microseconds, 250 µs to two seconds."""
DELIVERY_MS: Final = Buckets("delivery_ms", PUBLISH_US.end, doubling(1, 14))
"""From when a message was said to when its room's flush was written, 1 ms to eight seconds."""
REQUEST_US: Final = Buckets("request_us", DELIVERY_MS.end, doubling(250, 14))
"""Round trips to Redis in microseconds, like PUBLISH_US."""
FLUSH_MESSAGES: Final = Buckets("flush_messages", REQUEST_US.end, doubling(1, 11))
"""Messages of a room's flush, 1 to 1,024."""
HISTOGRAMS: Final = (PUBLISH_US, DELIVERY_MS, REQUEST_US, FLUSH_MESSAGES)


@unique
class NodeCount(IntEnum):
    """Column numbers of the one row that API and webhooks share; each writes its own."""

    PUBLISHED = 0
    WEBHOOK_EVENTS_SENT = 1
    WEBHOOK_EVENTS_LOST = 2
    WEBHOOK_REQUESTS_FAILED = 3
    WEBHOOK_BAD_ENTRIES = 4
    WEBHOOK_WAITING = 5


NODE_FIELDS: Final = tuple(count.name.lower() for count in NodeCount)
"""All columns of that row."""
NODE_GAUGES: Final = frozenset({"webhook_waiting"})

FIELDS: Final = (
    *shard_counters.FIELDS,
    *(count.name.lower() for count in ChatCount),
    *(field for buckets in HISTOGRAMS for field in buckets.fields),
)
"""All columns of a shard's row."""
GAUGES: Final = shard_counters.GAUGES | {
    *("rooms", "streams", "bus_connected", "presend_open", "publish_open", "stream_lag_ms")
}


def clear_gauges(row: "memoryview[int]") -> None:
    """The shard of this row is dead: it has nothing any more. What it counted stays counted."""
    for column, field in enumerate(FIELDS):
        if field in GAUGES:
            row[column] = 0
