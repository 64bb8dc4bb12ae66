"""Who may do what to whom: the ranks of roles, and the role somebody has in a room.

Rules. Pure. A role is a word of a token's claims; one that is not known here ranks as a user. Who
acts on somebody must rank above them, so nobody acts on their equals.
"""

from collections.abc import Collection
from typing import Final

from chat.policy.identity import BACKEND, USER, Identity
from chat.wire.schema import GUEST

VIP: Final = "vip"
MODERATOR: Final = "moderator"
OWNER: Final = "owner"
ADMIN: Final = "admin"
RANKS: Final = {
    role: rank for rank, role in enumerate((GUEST, USER, VIP, MODERATOR, OWNER, ADMIN, BACKEND))
}
"""Every role that outranks another, lowest first; the last is who speaks by the HTTP API."""
STAFF: Final = frozenset(role for role, rank in RANKS.items() if rank >= RANKS[MODERATOR])
"""Those who keep order in a room."""


def rank(role: str) -> int:
    """How high a role stands."""
    return RANKS.get(role, RANKS[USER])


def role_in(who: Identity, room: str, owners: Collection[str] = ()) -> str:
    """The highest of somebody's roles in a room: everywhere, there by the token, as an owner.

    who.rooms  (room or prefix ending in `*`, role) pairs
    """
    role = who.role
    for pattern, there in who.rooms:
        covers = room.startswith(pattern[:-1]) if pattern.endswith("*") else room == pattern
        if covers and rank(there) > rank(role):
            role = there
    if who.uid in owners and rank(role) < RANKS[OWNER]:
        role = OWNER
    return role
