"""Which of a room's limits hold for whom.

Rules. Pure. From vip up nobody waits or is stopped from saying the same again; from moderator up
they speak however busy a room is. Whom no limit holds for is None, which costs the publish script
nothing. Backends are asked nothing of this.
"""

from chat.bus.store import RoomLimits
from chat.policy.roles import MODERATOR, RANKS, VIP, rank
from chat.policy.rules import Settings


def room_limits(settings: Settings, role: str) -> RoomLimits | None:  # hot: once per message typed
    """The limits of a room with these settings that hold for a role there."""
    if not (settings.slow_s or settings.no_repeats_s or settings.messages_per_s):
        return None
    above = rank(role)
    if above >= RANKS[MODERATOR]:
        return None
    if above < RANKS[VIP]:
        return RoomLimits(settings.slow_s, settings.no_repeats_s, settings.messages_per_s)
    return RoomLimits(messages_per_s=settings.messages_per_s) if settings.messages_per_s else None
