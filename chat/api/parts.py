"""Routes whose paths are matched part by part, as they were sent, and whose queries are known.

Rules. A part is what stands between two slashes of the request's line, decoded after that: a uid
may have a slash in it, and a network does; encoded (%2F) they divide nothing. Methods of one path
are one route, because the first of two would answer the other's with its own only. What a query may
have is what the document says: a parameter that is misspelt would be passed over, and something
else be done than was asked for.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from chat.api.bodies import MAX_LISTED, MAX_QUOTED, BadBody
from chat.api.models import Problem

Handler = Callable[[Request], Awaitable[Response]]

SLASH: Final = "\ud800"
"""A decoded slash while routes are compared. Nothing that is sent is decoded to this."""


class Parts(Route):
    """`path` and the handlers of its methods; `takes` is what their queries may have, by method."""

    def __init__(self, path: str, **handlers: Handler) -> None:
        self.takes: Mapping[str, Collection[str]] = {}

        async def handle(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            if method in self.takes:
                check_query(request, self.takes[method])
            return await handlers[method](request)

        super().__init__(path, handle, methods=list(handlers))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        match, child = super().matches({**scope, "path": in_parts(scope["raw_path"])})
        params: dict[str, Any] = child.get("path_params", {})
        for name, value in params.items():
            params[name] = value.replace(SLASH, "/")
        return match, child


def check_query(request: Request, names: Collection[str]) -> None:
    """Raises BadBody for a parameter that is none of these, or is there more than once."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    expected = ", ".join(names) or "nothing"
    problems = [
        Problem("one at a time" if name in names else f"expected {expected}", name[:MAX_QUOTED])
        for name, count in given.items()
        if count > 1 or name not in names
    ]
    if problems:
        raise BadBody(problems[:MAX_LISTED])


def in_parts(path: bytes) -> str:
    """A path as it was sent, each part decoded, the slashes in them as SLASH.

    What is not UTF-8 stays what it is, lone surrogates, which are in no name.
    """
    parts = path.decode("latin-1").split("/")
    return "/".join(unquote(part, errors="surrogateescape").replace("/", SLASH) for part in parts)
