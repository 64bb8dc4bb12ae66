"""Who may call, and what every response carries.

Rules. With `api.key` set, /v1 and /metrics want it as a bearer token and nothing else counts.
Without, only this machine may call. "This machine" is also every web page open in a browser on it,
so then a foreign Origin is refused, and a Host that is no loopback name (DNS rebinding).
"""

import hmac
import ipaddress
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.api.answers import failure
from chat.api.metrics import Metrics

PROTECTED: Final = ("/v1/", "/metrics")
POLICY: Final = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """ASGI middleware: lets in, refuses, counts."""

    def __init__(self, app: ASGIApp, key: str, metrics: Metrics) -> None:
        self._app = app
        self._key = key.encode()
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        app = self._app if refusal is None else refusal
        try:
            await app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.monotonic() - began)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if not scope["path"].startswith(PROTECTED):
            return None
        headers = dict(scope["headers"])
        if self._key:
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._key):
                return None
            return failure(
                401,
                "unauthorized",
                "send `Authorization: Bearer <api.key>`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        client = scope.get("client")
        if client is None or not is_loopback(client[0]):
            return failure(
                403, "forbidden", "without an api.key only this machine may call; set one"
            )
        if not is_loopback(_host(headers.get(b"host", b""))):
            return failure(403, "forbidden", "call by 127.0.0.1 or localhost, or set an api.key")
        origin = headers.get(b"origin")
        if origin is not None and not is_loopback(_host(origin.partition(b"://")[2])):
            return failure(403, "forbidden", "pages of other sites may not call; set an api.key")
        return None


def _host(authority: bytes) -> str:
    """The host of host[:port]."""
    text = authority.decode("latin-1").strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
