"""What the claims of a token say of its bearer, checked one by one.

Rules. Pure; whether the token is genuine is `tokens`' to say. A claim that is wrong is refused by a
sentence that names it, for whoever made the token; `null` is as good as absent. What people are
shown is cleaned like what they type, what is compared is taken as it is or refused.

Danger: avatar, level and badges go with every message to every viewer of a room, so they are short.
"""

import re
from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any, Final, NoReturn

from chat.policy.identity import BACKEND, MAX_NAME, MAX_UID, USER, Identity, Refused
from chat.policy.text import clean_name, is_clean, is_one_line, room_problem, uid_problem
from chat.wire.schema import GUEST
from shard.closecodes import CloseCode

LEEWAY_S: Final = 10
"""Between the clocks of who makes tokens and ours."""
MAX_AVATAR: Final = 256
MAX_LEVEL: Final = 9999
MAX_BADGES: Final = 6
MAX_BADGE: Final = 24
MAX_ROOMS: Final = 64
"""Rooms or prefixes of one token."""
ROOM_CHARS: Final = 64
MAX_TIME: Final = 2**53

AVATAR_PATTERN: Final = r"^(https?://[!\"$-.0->@-~][!-~]*)?$"
"""An absolute URL with a host, all visible ASCII, or nothing."""
_avatar_pattern: Final = re.compile(AVATAR_PATTERN)


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """Who the claims describe; `exp` is a number already. Raises Refused."""
    claims = {name: value for name, value in claims.items() if value is not None}
    uid = claims["sub"]
    return Identity(
        uid,
        _name(uid, claims.get("name", "")),
        _role(claims.get("role", USER), "role"),
        _expires(claims["exp"]),
        _avatar(claims.get("avatar", "")),
        _level(claims.get("level", 0)),
        _badges(claims.get("badges", ())),
        _rooms(claims.get("rooms", {})),
    )


def _refuse(reason: str) -> NoReturn:
    raise Refused(CloseCode.BAD_TOKEN, reason)


def _name(uid: Any, name: Any) -> str:
    if not isinstance(uid, str) or not 1 <= len(uid) <= MAX_UID or uid.startswith(f"{GUEST}:"):
        _refuse(f"the claim sub must be 1 to {MAX_UID} characters and not begin with {GUEST}:")
    if not isinstance(name, str):
        _refuse("the claim name must be a string")
    # A name is for people and is cleaned like what they type. A uid is compared: cleaned, it could
    # be another's.
    shown = clean_name(name, MAX_NAME) or clean_name(uid, MAX_NAME)
    if uid_problem(uid, MAX_UID) or not is_one_line(name) or not shown:
        _refuse(
            "the claims sub and name must be one line of text, sub without spaces around it and "
            "neither . nor .."
        )
    return shown


def _role(role: Any, claim: str) -> str:
    if not isinstance(role, str) or not role.isidentifier() or len(role) > MAX_NAME:
        _refuse(f"the claim {claim} must be a word")
    if role == BACKEND:
        _refuse(f"the claim {claim} may not be {BACKEND}, which is who speaks by the HTTP API")
    return intern(role)  # there are few roles, and as many users


def _expires(exp: Any) -> int:
    if int(exp) > MAX_TIME:
        _refuse("the claim exp must be seconds since 1970")
    return int(exp) + LEEWAY_S


def avatar_problem(avatar: str) -> str | None:
    """Why an avatar cannot be shown; "" is none, which can."""
    if len(avatar) <= MAX_AVATAR and _avatar_pattern.fullmatch(avatar):
        return None
    return f"must be an http or https URL of at most {MAX_AVATAR} visible ASCII characters"


def badges_problem(badges: Sequence[Any]) -> str | None:
    """Why badges cannot be shown."""
    if len(badges) <= MAX_BADGES and all(
        isinstance(one, str) and 1 <= len(one) <= MAX_BADGE and is_clean(one) for one in badges
    ):
        return None
    return f"must be at most {MAX_BADGES} clean texts of 1 to {MAX_BADGE} characters"


def _avatar(avatar: Any) -> str:
    wrong = avatar_problem(avatar) if isinstance(avatar, str) else "must be a string"
    if wrong:
        _refuse(f"the claim avatar {wrong}")
    return str(avatar)


def _level(level: Any) -> int:
    if isinstance(level, float) and level.is_integer():
        level = int(level)
    if not isinstance(level, int) or isinstance(level, bool) or not 0 <= level <= MAX_LEVEL:
        _refuse(f"the claim level must be a whole number from 0 to {MAX_LEVEL}")
    return level


def _badges(badges: Any) -> tuple[str, ...]:
    wrong = badges_problem(badges) if isinstance(badges, list | tuple) else "must be a list"
    if wrong:
        _refuse(f"the claim badges {wrong}")
    return tuple(map(intern, badges))  # likewise


def _rooms(rooms: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(rooms, dict) or len(rooms) > MAX_ROOMS:
        _refuse(f"the claim rooms must be an object of at most {MAX_ROOMS} rooms and their roles")
    for room in rooms:
        named = room.removesuffix("*")
        # What rooms' names begin with may itself be none: "." is.
        name = named if named == room else f"{named}-"
        if room != "*" and (len(named) > ROOM_CHARS or room_problem(name, ROOM_CHARS + 1)):
            _refuse("the claim rooms must name rooms, or prefixes that end in one *")
    return tuple((intern(room), _role(role, "rooms")) for room, role in rooms.items())
