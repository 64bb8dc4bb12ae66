"""What `/metrics` calls the columns of the scoreboards, and what it says of them.

Rules. Every column of a shard's row and of the node's stands in one family, once. What a number
means is said in its HELP, which is all that docs/metrics.md has.
"""

from typing import Final

from chat.api.family import MS, US, Distribution, Family, counter, gauge
from chat.counters import (
    DELIVERY_MS,
    FLUSH_MESSAGES,
    PUBLISH_US,
    REQUEST_US,
    ChatCount,
    NodeCount,
)
from shard.counters import LOOP_LAG_US, TURN_US, Count

AUDIENCE: Final = (
    gauge("connections", Count.CONNECTIONS, "Viewers that are connected."),
    gauge("rooms", ChatCount.ROOMS, "Rooms that are open."),
    counter(
        "connections_accepted",
        Count.ACCEPTED,
        "Connections taken from the kernel.",
    ),
    counter("connections_opened", Count.UPGRADED, "Connections whose request was answered."),
    counter("connections_ended", Count.CLOSED, "Connections that are over."),
    counter("joins", ChatCount.JOINS, "Joins of rooms that were carried out."),
    Family(
        "resumes",
        "Joins that named a position, by whether all that was missed was there.",
        {"recovered": ChatCount.RESUMED, "incomplete": ChatCount.RESUME_FAILED},
        "result",
    ),
    counter("guests_returned", ChatCount.GUESTS_RETURNED, "Guests that came with a key of ours."),
    counter(
        "devices_replaced",
        ChatCount.DEVICES_REPLACED,
        "Connections that a newer one of the user ended.",
    ),
    counter(
        "devices_unchecked",
        ChatCount.DEVICES_UNCHECKED,
        "Connections let in although Redis could not say where else their user is.",
    ),
    counter(
        "visitors_uncounted",
        ChatCount.VISITORS_UNCOUNTED,
        "Uids left out of a room's unique visitors because Redis was away for too long.",
    ),
    counter("counts_written", ChatCount.COUNTS_WRITTEN, "Writes of rooms' counts sent alone."),
)

REFUSED: Final = (
    Family(
        "handshakes_refused",
        "Connections that got no further than their request, by why: it was not a good one, the "
        "shard was full, the address had too many connections, it came too late.",
        {
            "bad_request": Count.REFUSED_HANDSHAKE,
            "full": Count.REFUSED_FULL,
            "per_address": Count.REFUSED_PER_ADDRESS,
            "timeout": Count.REFUSED_HANDSHAKE_TIMEOUT,
        },
        "reason",
    ),
    counter(
        "requests_passed",
        Count.PASSED,
        "Requests at the WebSocket's port that were handed to the API's process.",
    ),
    Family(
        "requests_refused",
        "Requests for the API's process that were answered 503, by why: it was not there, or too "
        "many waited for it.",
        {"down": Count.REFUSED_PASS_DOWN, "full": Count.REFUSED_PASS_FULL},
        "reason",
    ),
    counter(
        "accept_pauses",
        Count.ACCEPT_PAUSED,
        "Times that accepting waited for a second because descriptors or memory had run out.",
    ),
    Family(
        "identities_refused",
        "Who somebody said to be and was not believed or let be, by what was wrong. A guest whose "
        "key is not ours is let in as a new one.",
        {
            "token": ChatCount.REFUSED_TOKEN,
            "guest_key": ChatCount.REFUSED_GUEST_KEY,
            "name": ChatCount.REFUSED_NAME,
            "device": ChatCount.REFUSED_DEVICE,
        },
        "reason",
    ),
    Family(
        "commands_refused",
        "Commands and messages answered with an error, by why. `hook` and `presend` are an "
        "operator's word; `unchecked` could not be asked about; `moderation` is a moderator's.",
        {
            "bad_request": ChatCount.REFUSED_BAD_REQUEST,
            "rate_limited": ChatCount.REFUSED_RATE_LIMITED,
            "bad_room": ChatCount.REFUSED_BAD_ROOM,
            "not_joined": ChatCount.REFUSED_NOT_JOINED,
            "too_many_rooms": ChatCount.REFUSED_TOO_MANY_ROOMS,
            "text_empty": ChatCount.REFUSED_TEXT_EMPTY,
            "text_too_long": ChatCount.REFUSED_TEXT_TOO_LONG,
            "unavailable": ChatCount.REFUSED_UNAVAILABLE,
            "id_reused": ChatCount.REFUSED_ID_REUSED,
            "read_only": ChatCount.REFUSED_READ_ONLY,
            "role": ChatCount.REFUSED_ROLE,
            "banned": ChatCount.REFUSED_BANNED,
            "muted": ChatCount.REFUSED_MUTED,
            "silenced": ChatCount.REFUSED_SILENCED,
            "word": ChatCount.REFUSED_WORD,
            "slow_mode": ChatCount.REFUSED_SLOW_MODE,
            "repeated": ChatCount.REFUSED_REPEATED,
            "room_busy": ChatCount.REFUSED_ROOM_BUSY,
            "hook": ChatCount.REFUSED_BY_HOOK,
            "presend": ChatCount.REFUSED_BY_PRESEND,
            "unchecked": ChatCount.REFUSED_UNCHECKED,
            "moderation": ChatCount.REFUSED_MODERATION,
        },
        "reason",
    ),
)

TRAFFIC: Final = (
    counter("received_bytes", Count.BYTES_IN, "Bytes read from viewers, requests included."),
    counter("received_frames", Count.FRAMES_IN, "Frames with messages of viewers."),
    counter("received_control_frames", Count.CONTROLS_IN, "Pings, pongs and closes of viewers."),
    counter("commands", ChatCount.COMMANDS, "Commands of viewers."),
    counter("messages_in", ChatCount.MESSAGES_IN, "Messages that viewers asked to be published."),
    counter("messages_published", ChatCount.PUBLISHED, "Viewers' messages that got a place."),
    counter(
        "messages_sent_again",
        ChatCount.DUPLICATES_PUBLISHED,
        "Viewers' messages whose id was published before: answered with the first one's place.",
    ),
    counter("entries_read", ChatCount.ENTRIES_READ, "Entries read from the streams."),
    counter("flushes", ChatCount.FLUSHES, "Batches given out, each once a room."),
    Distribution("flush_messages", "Messages in a batch of a room.", FLUSH_MESSAGES),
    counter(
        "messages_delivered",
        ChatCount.MESSAGES_DELIVERED,
        "Messages times the viewers that each was given out to.",
    ),
    counter("notices_delivered", ChatCount.NOTICES_DELIVERED, "Notices times their viewers."),
    counter("writes", Count.WRITES, "Writes to viewers' sockets: one a viewer in a fan-out."),
    counter("sent_bytes", Count.BYTES_OUT, "Bytes that the kernel took for viewers."),
    counter("pings", Count.PINGS, "Pings sent to viewers that were silent."),
    counter("likes", ChatCount.LIKES, "Likes of viewers."),
)

NOT_DELIVERED: Final = (
    Family(
        "frames_dropped",
        "Frames that a viewer did not get, by why: it does not read (`slow`; `slow_low`: of low "
        "priority, left out first), or it was gone (`closed`).",
        {
            "slow": Count.DROPPED_SLOW,
            "slow_low": Count.DROPPED_SLOW_LOW,
            "closed": Count.DROPPED_CLOSED,
        },
        "reason",
    ),
    counter(
        "messages_shed",
        ChatCount.MESSAGES_SHED,
        "Messages times the viewers that rooms' display budgets left them out for.",
    ),
    counter("messages_merged", ChatCount.MERGED, "Messages that the same text stood for."),
    Family(
        "gap_messages",
        "Places of rooms that did not come by the stream, by whether the history still had them.",
        {"filled": ChatCount.GAP_MESSAGES_FILLED, "lost": ChatCount.GAP_MESSAGES_LOST},
        "result",
    ),
    counter("gaps", ChatCount.GAPS, "Times that a room's next place was not the next to come."),
    counter("notices_dropped", ChatCount.NOTICES_DROPPED, "Notices that were too many."),
    counter(
        "join_notices_dropped",
        ChatCount.JOIN_NOTICES_DROPPED,
        "Viewers whose coming was not told because Redis was away.",
    ),
    counter("likes_dropped", ChatCount.LIKES_DROPPED, "Likes that could not be added to a room's."),
    counter(
        "connection_events_dropped",
        ChatCount.CONNECTION_EVENTS_DROPPED,
        "`connected` and `disconnected` that Redis was away for too long for.",
    ),
)

LATENCY: Final = (
    Distribution(
        "delivery_seconds",
        "From when the oldest message of a batch was said, by the clock of who took it, to when "
        "the batch was written to all viewers here that read; once a batch.",
        DELIVERY_MS,
        MS,
    ),
    Distribution(
        "publish_seconds",
        "How long Redis took to publish the messages that waited together; once a batch.",
        PUBLISH_US,
        US,
    ),
    gauge(
        "stream_lag_seconds",
        ChatCount.STREAM_LAG_MS,
        "Age of the oldest entry of the last read of a stream, by Redis' clock against ours.",
        MS,
    ),
    Distribution("turn_seconds", "Lengths of the connection group's turns.", TURN_US, US),
    Distribution(
        "loop_lag_seconds",
        "How late the event loop came to its tick; one sample a second.",
        LOOP_LAG_US,
        US,
    ),
)

HEALTH: Final = (
    counter("shard_starts", ChatCount.STARTS, "Lives of this shard: 1 if it has never died."),
    gauge("slow_readers", Count.SLOW_READERS, "Viewers that something waits for."),
    gauge(
        "backlog_bytes",
        Count.BACKLOG_BYTES,
        "Bytes that wait for slow readers, as if none were shared between them.",
    ),
    gauge(
        "quarantined_descriptors",
        Count.QUARANTINED,
        "Descriptors of closed connections that are held for a second, so as not to be reused.",
    ),
    Family(
        "connections_closed",
        "Connections that the server ended, by why: a broken protocol; silence; a backlog at its "
        "limit, or without a byte taken for too long, or the largest when all were too much; a "
        "flood of control frames.",
        {
            "protocol": Count.CLOSED_PROTOCOL,
            "heartbeat": Count.CLOSED_HEARTBEAT,
            "slow": Count.CLOSED_SLOW,
            "stalled": Count.CLOSED_STALLED,
            "largest_backlog": Count.CLOSED_LARGEST_BACKLOG,
            "flooding": Count.CLOSED_FLOODING,
        },
        "reason",
    ),
    counter(
        "handler_errors", Count.HANDLER_ERRORS, "Faults of ours, each of which closed a connection."
    ),
)

REDIS: Final = (
    gauge("bus_connected", ChatCount.BUS_CONNECTED, "1 while all streams are read, else 0."),
    gauge("streams", ChatCount.STREAMS, "Streams that are read for rooms."),
    Distribution(
        "bus_request_seconds",
        "Round trips to Redis, and the wait for a connection; blocking reads are not among them.",
        REQUEST_US,
        US,
    ),
    Family(
        "bus_errors",
        "Failures of Redis: reads of streams, and requests that were not answered.",
        {"read": ChatCount.BUS_ERRORS, "request": ChatCount.BUS_REQUESTS_FAILED},
        "of",
    ),
    Family(
        "breaker_open",
        "Circuit breakers that let nothing through: of publishing, one a server at most, and of "
        "the presend callback.",
        {"publish": ChatCount.PUBLISH_OPEN, "presend": ChatCount.PRESEND_OPEN},
        "of",
        gauge=True,
    ),
    counter("rewinds", ChatCount.REWINDS, "Rooms that Redis had set back, and got a new epoch."),
    counter("entries_read_again", ChatCount.DUPLICATES_READ, "Entries that a room had already."),
    counter("entries_unreadable", ChatCount.BAD_ENTRIES, "Entries that are none of ours."),
)

MODERATION: Final = (
    Family(
        "moderation_actions",
        "Moderators' commands on sockets that were carried out. The API's are requests of its own.",
        {
            "mute": ChatCount.MODERATED_MUTE,
            "unmute": ChatCount.MODERATED_UNMUTE,
            "ban": ChatCount.MODERATED_BAN,
            "unban": ChatCount.MODERATED_UNBAN,
            "kick": ChatCount.MODERATED_KICK,
            "delete": ChatCount.MODERATED_DELETE,
            "clear": ChatCount.MODERATED_CLEAR,
            "settings": ChatCount.MODERATED_SETTINGS,
        },
        "action",
    ),
    counter(
        "viewers_sent_out", ChatCount.SENT_OUT, "Viewers that a ban or a kick took out or closed."
    ),
    counter("rules_loaded", ChatCount.RULES_LOADED, "Times that rules were read from Redis."),
    counter("messages_masked", ChatCount.MASKED, "Messages in which a word was masked."),
    counter("messages_shadowed", ChatCount.SHADOWED, "Messages shown to their sender only."),
    counter("reports", ChatCount.REPORTS, "Reports of messages that were queued."),
    counter("reports_repeated", ChatCount.REPORTS_REPEATED, "Reports that changed nothing."),
    counter("reports_dropped", ChatCount.REPORTS_DROPPED, "Reports that newer ones replaced."),
    Family(
        "hook_failures",
        "Calls of hooks that raised or answered nonsense (`error`), or took too long (`slow`).",
        {"error": ChatCount.HOOKS_FAILED, "slow": ChatCount.HOOKS_SLOW},
        "reason",
    ),
    counter("presend_failures", ChatCount.PRESEND_FAILED, "Presend requests without an answer."),
    counter(
        "passed_unchecked",
        ChatCount.PASSED_UNCHECKED,
        "What could not be asked about, and was let through for it.",
    ),
)

SHARDS: Final[tuple[Family | Distribution, ...]] = (
    *(*AUDIENCE, *REFUSED, *TRAFFIC, *NOT_DELIVERED),
    *(*LATENCY, *HEALTH, *REDIS, *MODERATION),
)
"""Of each shard, with its number as the label `shard`."""

NODE: Final = (
    counter("api_published", NodeCount.PUBLISHED, "Messages published for backends."),
    counter(
        "webhook_events_sent", NodeCount.WEBHOOK_EVENTS_SENT, "Events that the service has taken."
    ),
    counter(
        "webhook_events_lost",
        NodeCount.WEBHOOK_EVENTS_LOST,
        "Events trimmed from the streams before they could be sent.",
    ),
    counter(
        "webhook_requests_failed",
        NodeCount.WEBHOOK_REQUESTS_FAILED,
        "Requests that the service did not take; they are sent again.",
    ),
    counter("webhook_bad_entries", NodeCount.WEBHOOK_BAD_ENTRIES, "Entries that are none of ours."),
    Family(
        "webhook_waiting",
        "Entries read and behind that, of the partitions that this node has, at its last look.",
        {"": NodeCount.WEBHOOK_WAITING},
        gauge=True,
    ),
)
"""Of the node."""
