"""What may be asked for in the name of moderation, and who asks.

Rules. Pure. What is asked for in a room is the wire's Moderate, by whatever way it comes; what only
backends ask for is here. Which fields an action takes is one table. A fault names its field.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from chat.policy.gate import Refusal
from chat.policy.identity import MAX_UID
from chat.policy.text import uid_problem
from chat.wire.commands import Moderate
from chat.wire.schema import ErrorCode
from shard.addresses import network
from shard.logids import REQUEST

SETTINGS: Final = (
    *("slow_s", "silence", "no_repeats_s", "min_role", "pinned", "announcement"),
    *("messages_per_s", "shown_per_s", "merge_duplicates", "join_notices"),
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
    reason: str = ""


class Words(Struct, frozen=True):
    """From now on these packed lists are a room's, or those of everywhere (None).

    changes  by list, how many words of it were added, removed, and are on it now
    """

    room: str | None
    lists: bytes
    reason: str = ""
    changes: Mapping[str, Mapping[str, int]] | UnsetType = UNSET


Order = Moderate | Everywhere | Owners | Words


class NotDone(Exception):
    """It was not done, or nobody knows; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Missing(NotDone):
    """What it is about is not there."""


def missing(field: str, why: str) -> Missing:
    """What a field names is not there."""
    return Missing(Refusal(ErrorCode.BAD_REQUEST, f"{field}: {why}", field=field))


def bad(field: str, why: str) -> NotDone:
    """A field is not as it has to be."""
    return NotDone(Refusal(ErrorCode.BAD_REQUEST, f"{field}: {why}", field=field))


def forbidden(why: str) -> NotDone:
    """Not by who asks for it."""
    return NotDone(Refusal(ErrorCode.FORBIDDEN, why))


def address_name(text: str) -> str:
    """An address or a network as it is named in the rules. Raises NotDone."""
    try:
        found = network(text)
    except ValueError as error:
        raise bad("address", str(error)) from None
    return str(found.network_address if found.num_addresses == 1 else found)


def check_fields(order: Moderate) -> None:
    """Raises NotDone, naming the field that is missing or one too many."""
    needed, allowed = TAKES[order.action]
    for name in ALL:
        there = getattr(order, name) is not UNSET
        if not there and name in needed:
            raise bad(name, f"{order.action} needs it")
        if there and name not in needed and name not in allowed:
            raise bad(name, f"{order.action} takes none")
    if order.action == "settings" and all(getattr(order, name) is UNSET for name in SETTINGS):
        raise bad("settings", f"name what to set: {', '.join(SETTINGS)}")
    if order.uid is not UNSET:
        check_uid(order.uid)


def check_uid(uid: str, field: str = "uid") -> None:
    """Raises NotDone for what can be nobody's."""
    wrong = uid_problem(uid, MAX_UID)
    if wrong is not None:
        raise bad(field, wrong)


def record(order: Order, actor: Actor, role: str, now_ms: int) -> bytes:
    """An entry of the audit: what was done, to whom or what, why, and by whom."""
    entry: dict[str, Any] = {"ts": now_ms}
    match order:
        case Moderate():
            entry |= {"action": order.action, "room": order.room}
            entry |= {name: getattr(order, name) for name in ALL}
        case Everywhere():
            entry |= {"action": order.action, "seconds": order.seconds or UNSET}
            entry |= {name: getattr(order, name) or UNSET for name in ("uid", "address", "reason")}
        case Owners():
            entry |= {"action": "owners", "room": order.room, "owners": order.uids}
            entry |= {"reason": order.reason or UNSET}
        case Words():
            entry |= {"action": "words", "room": UNSET if order.room is None else order.room}
            entry |= {"words": order.changes, "reason": order.reason or UNSET}
    entry |= {"actor": actor.uid, "name": actor.name, "role": role, "via": actor.via}
    entry |= {"request": REQUEST.get() or UNSET}
    return msgspec.json.encode({name: one for name, one in entry.items() if one is not UNSET})
