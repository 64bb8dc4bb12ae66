"""Who may call, and what every response carries.

Rules. With `api.key` or `api.keys` set, /v1 and /metrics want one as a bearer token, with the scope
that the request needs and within its rate, and nothing else counts. Without, only this machine may
call. "This machine" is also every web page open in a browser on it, so then a foreign Origin is
refused, and a Host that is no loopback name (DNS rebinding). Whoever comes by the WebSocket port
may be anybody, whatever its address: without a key there is nothing there but the page.

Danger: a proxy before us may read a request of two meanings in the other one. It is refused.
"""

import ipaddress
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.api.answers import failure
from chat.api.centrifugal import in_their_words
from chat.api.contentpolicy import HEADER, NOTHING
from chat.api.keys import LOCAL, Keyring, needed
from chat.api.metrics import Metrics
from chat.api.passed import PASSED
from chat.config.sections import Api
from chat.policy.rates import RatesByName, told_s
from shard.addresses import household

CALLER: Final = "danmaku.key"
"""Where a request's scope names its Caller."""
BURST_S: Final = 10
MOST_ADDRESSES: Final = 10_000
LONGEST_ADDRESS: Final = 64
"""Characters; what is longer is none, and is not remembered."""
FOR_VIEWERS: Final = ("/web/", "/client/", "/clients/js/src/")
"""What the WebSocket port has without a key, beside the page at /."""
HIDDEN: Final = "not found here: without an api.key all but the page is at the API's own port"
PROTECTED: Final = ("/v1/", "/metrics")
CENTRIFUGAL: Final = "/api/"
"""Protected likewise where it is there; its clients give their key in another way."""
BEARER: Final = "`Authorization: Bearer <key>`"
THEIR_WAYS: Final = f"`X-API-Key: <key>`, `Authorization: apikey <key>` or {BEARER}"
POLICY: Final = (HEADER.lower().encode(), NOTHING.encode())
"""Of what says nothing of its own."""
ONCE: Final = (b"host", b"authorization", b"transfer-encoding")
"""Headers of which two would be two meanings; the parser refuses two lengths."""
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """ASGI middleware: lets in, refuses, counts. Who calls is in the request's scope, CALLER."""

    def __init__(
        self,
        app: ASGIApp,
        api: Api,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        centrifugal: bool = False,
        owners: list[Callable[[], None]] | None = None,
    ) -> None:
        self._app = app
        if owners is not None:
            owners.append(self.apply)
        self._centrifugal = (CENTRIFUGAL,) if centrifugal else ()
        self._api = api
        self._keys = Keyring(api, clock)
        self._open_per_s, self._open = api.open_per_s, _open_rates(api)
        self._metrics = metrics
        self._clock = clock

    def apply(self) -> None:
        """Keys and rates have changed."""
        self._keys.apply()
        if self._open_per_s != self._api.open_per_s:
            self._open_per_s, self._open = self._api.open_per_s, _open_rates(self._api)

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
                headers = [*message.get("headers", ()), *HEADERS]
                if not any(name == POLICY[0] for name, _ in headers):
                    headers.append(POLICY)
                message["headers"] = headers
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None and scope["path"].startswith(self._centrifugal):
            refusal = in_their_words(refusal)
        app = self._app if refusal is None else refusal
        try:
            await app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.monotonic() - began)
            if CALLER in scope:
                self._metrics.key_requests.labels(scope[CALLER].name, status).inc()

    def _refusal(self, scope: Scope) -> Response | None:
        ambiguity = _ambiguity(scope)
        if ambiguity:
            return failure(400, "bad_request", ambiguity)
        if not self._keys and _hidden(scope):
            return self._too_many(scope) or failure(404, "not_found", HIDDEN)
        if not scope["path"].startswith((*PROTECTED, *self._centrifugal)):
            return self._too_many(scope)
        headers = dict(scope["headers"])
        if self._keys:
            return self._key_refusal(scope, headers)
        refusal = _other_machine(scope, headers)
        if refusal is None:
            scope[CALLER] = LOCAL
        return refusal

    def _key_refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        centrifugal = scope["path"].startswith(self._centrifugal)
        given = _key(headers, centrifugal)
        caller = None if given is None else self._keys.find(given)
        if caller is None:
            return self._too_many(scope) or failure(
                401,
                "unauthorized",
                f"send {THEIR_WAYS if centrifugal else BEARER} with a key of this server's",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scope[CALLER] = caller
        wait_s = self._keys.wait_s(caller)
        if wait_s:
            message = f"too many requests with the key {caller.name!r}"
            return failure(429, "rate_limited", message, retry_after=told_s(wait_s))
        scope_needed = needed(scope["method"], scope["path"])
        if scope_needed is not None and scope_needed not in caller.scopes:
            message = f"the key {caller.name!r} has no scope {scope_needed!r}, which this needs"
            return failure(403, "forbidden", message)
        return None

    def _too_many(self, scope: Scope) -> Response | None:
        """Why an address may not call without a key just now."""
        client = scope.get("client")
        if self._open is None or client is None:
            return None
        wait_s = self._open.wait(household(client[0]), self._clock())
        if not wait_s:
            return None
        message = "too many requests without a key from this address"
        return failure(429, "rate_limited", message, retry_after=told_s(wait_s))


def _open_rates(api: Api) -> RatesByName | None:
    """Of addresses without a key."""
    per_s = api.open_per_s
    return RatesByName(per_s, BURST_S * per_s, MOST_ADDRESSES) if per_s else None


def _key(headers: dict[bytes, bytes], centrifugal: bool) -> bytes | None:
    """The key that a request gives."""
    if centrifugal and (key := headers.get(b"x-api-key", b"").strip()):
        return key
    kind, _, given = headers.get(b"authorization", b"").partition(b" ")
    kinds = (b"bearer", b"apikey") if centrifugal else (b"bearer",)
    return given.strip() if kind.lower() in kinds else None


def _ambiguity(scope: Scope) -> str:
    """Why others could read a request in another way (RFC 9112, sections 3.2 and 6.1); "": they
    could not."""
    names = [name for name, _ in scope["headers"] if name in ONCE]
    for name in ONCE:
        if names.count(name) > 1:
            return f"send one {name.decode().title()} header, not several"
    if b"host" not in names and scope.get("http_version") == "1.1":
        return "send a Host header"
    if b"transfer-encoding" in names:
        coding = dict(scope["headers"])[b"transfer-encoding"].strip().lower()
        if coding != b"chunked":
            return "send a body chunked or with its length, in no other Transfer-Encoding"
    return ""


def _hidden(scope: Scope) -> bool:
    """Whether a request is for what only this machine may see, and came where all may."""
    path = scope["path"]
    return PASSED in scope and path != "/" and not path.startswith(FOR_VIEWERS)


def _other_machine(scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
    """Why a request is not this machine's own."""
    client = scope.get("client")
    if client is None or not is_loopback(client[0]):
        return failure(403, "forbidden", "without an api.key only this machine may call; set one")
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
    return len(host) <= LONGEST_ADDRESS and _is_loopback(host)


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
