"""What a line of the log is about, so that lines of several processes can be put together.

Rules. A log call names what it knows by `extra=about(…)`; the API's request is in a context of its
own and in all lines of it. How the lines look is `chat/ops/logs.py`'s.

    request     of the API: X-Request-Id as it was given, or made
    connection  its generation and descriptor; who knows the shard's name puts that before them
    room        its name
"""

from contextvars import ContextVar
from typing import Final

REQUEST: Final[ContextVar[str]] = ContextVar("request", default="")
NAMES: Final = ("request", "connection", "room")


def about(room: str | None = None, connection: str = "") -> dict[str, str]:
    """For `extra=` of a log call; what is not known is left out."""
    known = {"room": room or "", "connection": connection}
    return {name: value for name, value in known.items() if value}
