"""A span for each request that publishes; there only where traces are sent.

Rules. Stands behind the guard: who is not let in makes no spans. A span has the request's id, by
which lines of the log are found. Requests that do not publish pass.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.bus.tracing import Tracer
from shard.logids import REQUEST

PUBLISHING: Final = ("/messages", "/broadcast", "/publish")
"""What the paths that publish by POST end in."""


class Tracing:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        if not scope["path"].endswith(PUBLISHING):
            return await self._app(scope, receive, send)
        with self._tracer.serving("POST", Headers(scope=scope)) as span:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        self._tracer.fail(span, "")
                await send(message)

            span.set_attribute("http.request.method", "POST")
            span.set_attribute("http.request.header.x-request-id", [REQUEST.get()])
            span.set_attribute("url.path", scope["path"])
            try:
                await self._app(scope, receive, answer)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.update_name(f"POST {route}")
                    span.set_attribute("http.route", route)
