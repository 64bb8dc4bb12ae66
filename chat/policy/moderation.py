"""What moderators do: checked, carried out, written down. One way, for sockets and for HTTP.

    fields -> the actor's rank -> the target's rank -> rules and streams -> audit

Rules. Who acts is a moderator or more, there; and acts on lower ranks only, as far as the target's
is known: by a connection here, or as an owner. An action is done when Redis has it, with what tells
the shards; the audit is written after that. All actions may be repeated: one whose answer did not
come is done again by who asked for it, and is the same then.

What cannot be done is a NotDone, which says why and, where it helps, when to ask again.
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol

from msgspec import Struct

from chat.bus.audit import Audit
from chat.bus.rules import Rules
from chat.bus.store import Store
from chat.config.sections import Limits
from chat.policy.gate import Refusal
from chat.policy.rules import Settings
from chat.wire.schema import ErrorCode, Moderate

KICKED_S: Final = 60
"""How long who was kicked out of a room stays out."""
RECONNECT_S: Final = 60.0
"""When who was disconnected may come back."""
RETRY_S: Final = 1.0
TRIES: Final = 5
"""Of a change that another moderator's got ahead of."""

SETTINGS: Final = (
    *("slow_s", "silence", "no_repeats_s", "min_role", "pinned", "announcement"),
    *("messages_per_s", "shown_per_s"),
)
TAKES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "mute": (("uid",), ("seconds", "reason")),
    "unmute": (("uid",), ("reason",)),
    "ban": (("uid",), ("seconds", "reason")),
    "unban": (("uid",), ("reason",)),
    "kick": (("uid",), ("reason",)),
    "delete": (("seq",), ("reason",)),
    "clear": ((), ("uid", "reason")),
    "settings": ((), (*SETTINGS, "reason")),
}
"""The fields each action has to have, and those it may have."""
ALL: Final = ("uid", "seconds", "reason", "seq", *SETTINGS)


class Actor(Struct, frozen=True):
    """Who acts. `role` is what they are in the room, as far as who asks knows."""

    uid: str
    name: str
    role: str
    via: Literal["socket", "api"]


class Everywhere(Struct, frozen=True):
    """An action that is of no room, by a backend: on a user, or on an address or network.

    "kick" closes a user's connections.
    """

    action: Literal["mute", "unmute", "ban", "unban", "kick"]
    uid: str = ""
    address: str = ""
    seconds: int | None = None
    reason: str = ""


class Owners(Struct, frozen=True):
    """From now on these are a room's owners."""

    room: str
    uids: tuple[str, ...]


class Words(Struct, frozen=True):
    """From now on these packed lists are a room's, or those of everywhere (None)."""

    room: str | None
    lists: bytes


Order = Moderate | Everywhere | Owners | Words


class Outcome(Struct, frozen=True):
    """What is now true. `until` is milliseconds since 1970, 0 for good; None: nothing holds."""

    until: int | None = None
    settings: Settings | None = None


class NotDone(Exception):
    """It was not done, or nobody knows; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Redaction(Protocol):
    """Takes messages back, and tells the room's viewers. Both raise StoreError."""

    async def remove(self, room: str, seq: int) -> None:
        """One message."""

    async def clear(self, room: str, uid: str | None) -> None:
        """All messages so far, or all of one user."""


RoleOf = Callable[[str, str], str | None]
"""What a user (uid) is in a room, where that is known."""


class Moderation:
    """Carries out what moderators and backends ask for.

    redaction  takes messages back; None: nobody can
    role_of    the role of whom an action is about
    wall       seconds since 1970
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        audit: Audit,
        wall: Callable[[], float],
        role_of: RoleOf = lambda uid, room: None,
        redaction: Redaction | None = None,
    ) -> None:
        self.rules = Rules(store)
        self._store = store
        self._limits = limits
        self._audit = audit
        self._wall = wall
        self._role_of = role_of
        self._redaction = redaction

    async def act(self, order: Order, actor: Actor) -> Outcome:
        """Do it. Raises NotDone."""
        raise NotDone(Refusal(ErrorCode.UNAVAILABLE, "not here yet", RETRY_S))
