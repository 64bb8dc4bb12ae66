"""Who a connection is: a guest with a generated name, or the bearer of a token.

Rules. Everything shown of a user comes from the token's claims, never from the client's messages.
A guest is computed from a number, so guests cost no memory.
"""

from typing import Final

from msgspec import Struct

from chat.wire.schema import GUEST
from shard.closecodes import CloseCode

USER: Final = "user"
BACKEND: Final = "backend"
"""Who speaks by the HTTP API, whatever name it gives."""
MAX_NAME: Final = 32
MAX_UID: Final = 64


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
