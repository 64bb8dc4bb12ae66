"""Queries that can be read: percent-encoded UTF-8, or a 400 that names the parameter.

Rules. Looked at once, before any handler: the framework reads what is no UTF-8 as U+FFFD, and a uid
that was cut in half would be somebody else's. A query of the page is the page's.
"""

from typing import Final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from chat.api.answers import failure
from chat.api.bodies import MAX_QUOTED
from chat.api.models import Problem

READ: Final = "/v1/"
"""Paths whose queries are read here."""


class Queries:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["query_string"] and scope["path"].startswith(READ):
            problems = query_problems(scope["query_string"])
            if problems:
                app = failure(400, "bad_request", "the request is not valid", problems)
        await app(scope, receive, send)


def query_problems(query: bytes) -> list[Problem]:
    """The parameters that are not UTF-8."""
    if not query.isascii():
        return [Problem("a query is percent-encoded")]
    given = parse_qsl(query.decode(), keep_blank_values=True, errors="surrogateescape")
    return [
        Problem("not UTF-8", _shown(name)) for name, value in given if not _is_utf8(name + value)
    ]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a byte that could not be read
        return False
    return True


def _shown(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="replace")[:MAX_QUOTED]
