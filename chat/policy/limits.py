"""Which of a room's limits hold for whom.

Rules. Pure. From vip up nobody waits or is stopped from saying the same again; from moderator up
they speak however busy a room is. Whom no limit holds for is None, which costs the publish script
nothing. Backends are bounded by what a room takes only where they say how much a message matters;
what else they say counts there, as everybody's.
"""

from chat.bus.store import RoomLimits
from chat.policy.roles import RANKS, STAFF, VIP, rank
from chat.policy.rules import Settings
from chat.wire.schema import CHAT_PRIORITY, STAFF_PRIORITY


def room_limits(  # hot: once per message typed
    settings: Settings, role: str, priority: int = CHAT_PRIORITY, messages_per_s: int = 0
) -> RoomLimits | None:
    """The limits of a room with these settings that hold for a role there, who says something of a
    priority. `messages_per_s` holds where the room has none."""
    per_s = settings.messages_per_s or messages_per_s
    if not (settings.slow_s or settings.no_repeats_s or per_s):
        return None
    if role in STAFF:
        return None
    if rank(role) < RANKS[VIP]:
        return RoomLimits(settings.slow_s, settings.no_repeats_s, per_s, priority)
    return RoomLimits(messages_per_s=per_s, priority=priority) if per_s else None


def backend_limits(priority: int | None, messages_per_s: int) -> RoomLimits:
    """Those that hold for a backend's message; `priority` None is one that says none."""
    counts = STAFF_PRIORITY if priority is None else priority
    return RoomLimits(messages_per_s=messages_per_s, priority=counts, by_rules=True)
