"""Who a connection is: a guest with a generated name, or the bearer of a token.

Rules. Everything shown of a user comes from the token's claims, never from the client's messages.
A guest is computed from a number, so guests cost no memory.
"""

from sys import intern
from typing import Final

import jwt
from msgspec import Struct

from chat.config.sections import Auth
from chat.policy.text import clean_name, is_clean, is_one_line
from chat.wire.schema import GUEST
from shard.closecodes import CloseCode

USER: Final = "user"
BACKEND: Final = "backend"
"""Who speaks by the HTTP API, whatever name it gives."""
MAX_NAME: Final = 32
MAX_UID: Final = 64
LEEWAY_S: Final = 10


class Identity(Struct, frozen=True, gc=False):
    """Who speaks. `expires` is a Unix time in seconds, 0 for never.

    role   everywhere; `rooms` has (room or prefix ending in `*`, role) pairs beside it
    """

    uid: str
    name: str
    role: str
    expires: int = 0
    avatar: str = ""
    level: int = 0
    badges: tuple[str, ...] = ()
    rooms: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """No way in; the connection is closed with `code`."""

    def __init__(self, code: CloseCode, reason: str | None = None) -> None:
        super().__init__(reason or code.reason)
        self.code = code


def guest(number: str) -> Identity:
    """The guest of a number nobody else has, under its default name."""
    return Identity(f"{GUEST}:{number}", f"{GUEST}-{number[-4:]}", GUEST)


def verify(token: str, auth: Auth) -> Identity:
    """The identity an HS256 JWT vouches for (RFC 7519): `sub`, `name`, `role`, `exp`, and `aud` as
    `auth.audience` has it.

    Raises Refused, whose reason is for whoever made the token.
    """
    if not auth.secret:
        raise Refused(CloseCode.BAD_TOKEN, "this server takes no tokens: auth.secret is not set")
    try:
        claims = jwt.decode(
            token,
            auth.secret,
            algorithms=["HS256"],
            audience=auth.audience or None,
            leeway=LEEWAY_S,
            options={"require": ["sub", "exp"]},
        )
    except jwt.ExpiredSignatureError:
        raise Refused(CloseCode.TOKEN_EXPIRED) from None
    except jwt.InvalidAudienceError:
        wanted = f"is not {auth.audience!r}" if auth.audience else "needs auth.audience to be set"
        raise Refused(CloseCode.BAD_TOKEN, f"the token's audience (aud) {wanted}") from None
    except (jwt.InvalidTokenError, ValueError, OverflowError) as error:
        raise Refused(CloseCode.BAD_TOKEN, f"the token is not valid: {error}") from None
    uid, name, role = claims["sub"], claims.get("name"), claims.get("role", USER)
    if not isinstance(uid, str) or not 1 <= len(uid) <= MAX_UID or uid.startswith("guest:"):
        raise Refused(CloseCode.BAD_TOKEN, f"the claim sub must be 1 to {MAX_UID} characters")
    if name is not None and not isinstance(name, str):
        raise Refused(CloseCode.BAD_TOKEN, "the claim name must be a string")
    # A name is for people and is cleaned like what they type. A uid is compared: cleaned, it could
    # be another's.
    shown = clean_name(name or "", MAX_NAME) or clean_name(uid, MAX_NAME)
    if not is_clean(uid) or not is_one_line(name or "") or not shown:
        raise Refused(
            CloseCode.BAD_TOKEN,
            "the claims sub and name must be one line of text, sub without spaces around it",
        )
    if not isinstance(role, str) or not role.isidentifier() or len(role) > MAX_NAME:
        raise Refused(CloseCode.BAD_TOKEN, "the claim role must be a word")
    # There are few roles, and as many users.
    return Identity(uid, shown, intern(role), int(claims["exp"]) + LEEWAY_S)
