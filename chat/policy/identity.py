"""Who a connection is: a guest with a generated name, or the bearer of a token.

Rules. Everything shown of a user comes from the token's claims, never from the client's messages.
A guest is computed from a number, so guests cost no memory. What a guest says of itself is shown as
that.
"""

from typing import Final

from msgspec import Struct

from chat.policy.text import clean_name
from chat.wire.schema import GUEST
from shard.closecodes import CloseCode

USER: Final = "user"
BACKEND: Final = "backend"
"""Who speaks by the HTTP API, whatever name it gives."""
MAX_NAME: Final = 32
MAX_UID: Final = 64
GUEST_NAME: Final = 16
"""Of a name that a guest chooses; what is put behind it makes it some more."""


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


def guest(number: str, name: str = "") -> Identity:
    """The guest of a number nobody else has, under its default name.

    One who has chosen a `name` is shown by that and the default: nobody is taken for a user of that
    name, for staff or for another guest.
    """
    default = f"{GUEST}-{number[-4:]}"
    chosen = name and clean_name(name, GUEST_NAME)
    return Identity(f"{GUEST}:{number}", f"{chosen} ({default})" if chosen else default, GUEST)


def chosen_name(who: Identity) -> str:
    """What a guest has chosen to be called, without what is put behind it; "" of anybody else."""
    if who.role != GUEST:
        return ""
    ending = f" ({GUEST}-{who.uid[-4:]})"
    return who.name[: -len(ending)] if who.name.endswith(ending) else ""


def renamed(who: Identity, name: str) -> Identity:
    """A guest under another chosen name."""
    return guest(who.uid.removeprefix(f"{GUEST}:"), name)
