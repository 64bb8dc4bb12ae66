"""Routes whose paths are matched part by part, as they were sent.

Rules. A part is what stands between two slashes of the request's line, decoded after that: a uid
may have a slash in it, and a network does; encoded (%2F) they divide nothing. Methods of one path
are one route, because the first of two would answer the other's with its own only.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

Handler = Callable[[Request], Awaitable[Response]]

SLASH: Final = "\ud800"
"""A decoded slash while routes are compared. Nothing that is sent is decoded to this."""


class Parts(Route):
    """`path` and the handlers of its methods."""

    def __init__(self, path: str, **handlers: Handler) -> None:
        async def handle(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
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


def in_parts(path: bytes) -> str:
    """A path as it was sent, each part decoded, the slashes in them as SLASH.

    What is not UTF-8 stays what it is, lone surrogates, which are in no name.
    """
    parts = path.decode("latin-1").split("/")
    return "/".join(unquote(part, errors="surrogateescape").replace("/", SLASH) for part in parts)
