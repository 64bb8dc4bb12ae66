"""The HTTP side of a connection: one GET request in, one response out. No I/O, no clock.

Rules. `respond` is given a request's whole header block and returns Upgrade or Answer; bytes of
an unfinished block are its caller's to keep and to limit. Parsing is httptools', the grammar of
the WebSocket headers is the `websockets` package's; what is decided here is who gets in
(RFC 6455 section 4.2). The header values that nearly every client sends are remembered, so that
a storm of joins does not parse `Connection: Upgrade` a million times.

Anything that is not an upgrade is answered and the connection closed; `GET /healthz` is 200.
"""

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qs

import httptools
from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import parse_connection, parse_subprotocol, parse_upgrade
from websockets.utils import accept_key

from shard.deflate import negotiate

MAX_HEADERS = 64
END_OF_HEADERS = b"\r\n\r\n"


@dataclass(slots=True)
class Request:
    """An accepted upgrade request, as the handler sees it. Connections may share one: read only."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str] = field(repr=False)
    subprotocol: str | None = None

    def first(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None


@dataclass(slots=True)
class Upgrade:
    """Let the client in: write `response`; `rest` are frame bytes that came with the request."""

    response: bytes
    request: Request
    variant: int
    rest: bytes


@dataclass(slots=True)
class Answer:
    """Anything but an upgrade: write `response` and close."""

    response: bytes
    status: int


@dataclass(slots=True, frozen=True)
class Terms:
    """What this server accepts.

    path          the one path that upgrades
    origins       allowed Origin headers, "*" for any; clients that send none are not browsers
    subprotocols  ours, in order of preference; a connection's variant is its subprotocol's index
    default       variant of a client that offers no subprotocol
    compression   whether permessage-deflate is agreed to; then the variant is greater by `plain`
    """

    path: str = "/ws"
    origins: Sequence[str] = ("*",)
    subprotocols: Sequence[str] = ()
    default: int = 0
    compression: bool = False

    @property
    def plain(self) -> int:
        """How many variants there are without compression; as many follow with it."""
        return max(1, len(self.subprotocols))


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, detail: str, *headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class _Collector:
    """What httptools calls back; refuses more headers than any client needs."""

    __slots__ = ("headers", "repeated", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.repeated: set[str] = set()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        if key in self.headers:
            self.repeated.add(key)
            text = f"{self.headers[key]}, {text}"
        self.headers[key] = text
        if len(self.headers) > MAX_HEADERS:
            raise _Refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEADERS} headers"
            )


def respond(data: bytes, terms: Terms) -> Upgrade | Answer:
    """Answer the request in `data`, which holds at least one whole header block."""
    try:
        return _respond(data, terms)
    except _Refused as refused:
        return answer(refused.status, str(refused), *refused.headers)


def answer(status: HTTPStatus, detail: str, *headers: str) -> Answer:
    """A complete HTTP response that closes the connection."""
    body = f"{detail}\n".encode()
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return Answer("\r\n".join(lines).encode() + END_OF_HEADERS + body, status.value)


def _respond(data: bytes, terms: Terms) -> Upgrade | Answer:
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    end = data.index(END_OF_HEADERS) + len(END_OF_HEADERS)
    try:
        parser.feed_data(data[:end])
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, _Refused):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"not an HTTP request: {error}") from None

    if not collector.url:
        raise _Refused(HTTPStatus.BAD_REQUEST, "not an HTTP request: nothing but empty lines")
    path, query = _split(collector.url)
    method = parser.get_method()
    if path == "/healthz":
        return answer(HTTPStatus.OK, "ok")
    if path != terms.path:
        raise _Refused(HTTPStatus.NOT_FOUND, f"WebSockets are at {terms.path}")
    if method != b"GET":
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "use GET", "Allow: GET")
    if parser.get_http_version() != "1.1":
        raise _Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1")
    return _upgrade(collector, path, query, data[end:], terms)


def _upgrade(
    collector: _Collector, path: str, query: str, rest: bytes, terms: Terms
) -> Upgrade | Answer:
    headers = collector.headers
    try:
        upgrades = _asks_upgrade(headers.get("connection", ""), headers.get("upgrade", ""))
    except InvalidHeaderFormat as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
    if not upgrades:
        raise _Refused(
            HTTPStatus.UPGRADE_REQUIRED,
            "this is a WebSocket endpoint: open it with a WebSocket client",
            "Upgrade: websocket",
        )
    for name in ("sec-websocket-key", "sec-websocket-version", "origin", "host"):
        if name in collector.repeated:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"more than one {name} header")
    if "host" not in headers:
        raise _Refused(HTTPStatus.BAD_REQUEST, "no Host header")
    if headers.get("sec-websocket-version") != "13":
        raise _Refused(
            HTTPStatus.UPGRADE_REQUIRED, "WebSocket version 13 only", "Sec-WebSocket-Version: 13"
        )
    key = headers.get("sec-websocket-key", "")
    if not is_key(key):
        raise _Refused(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes of base64")
    if not origin_allowed(headers.get("origin"), terms.origins):
        raise _Refused(HTTPStatus.FORBIDDEN, "this origin is not in server.origins")

    subprotocol, variant = _choose(headers.get("sec-websocket-protocol"), terms)
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    offers = headers.get("sec-websocket-extensions")
    agreed = negotiate(offers) if offers and terms.compression else None
    if agreed is not None:
        variant += terms.plain
        lines.append(f"Sec-WebSocket-Extensions: {agreed}")
    request = Request(path, _parse_query(query), headers, subprotocol)
    return Upgrade("\r\n".join(lines).encode() + END_OF_HEADERS, request, variant, rest)


def _split(url: bytes) -> tuple[str, str]:
    """A request target's path and query. Absolute-form targets lose their authority."""
    target = url.decode(errors="replace")
    if not target.startswith("/"):
        target = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?]*", "", target)
    path, _, query = target.partition("?")
    return path or "/", query


@lru_cache(maxsize=1024)
def _parse_query_cached(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=128)
    except ValueError:
        raise _Refused(HTTPStatus.BAD_REQUEST, "more than 128 query parameters") from None


def _parse_query(query: str) -> dict[str, list[str]]:
    """A query string's values. Only short ones are remembered: a token is used once."""
    if len(query) <= 64:
        return _parse_query_cached(query)
    return _parse_query_cached.__wrapped__(query)


@lru_cache(maxsize=256)
def _asks_upgrade(connection: str, upgrade: str) -> bool:
    """RFC 6455 section 4.2.1, items 3 and 4."""
    if not connection or not upgrade:
        return False
    if not any(option.lower() == "upgrade" for option in parse_connection(connection)):
        return False
    return [protocol.lower() for protocol in parse_upgrade(upgrade)] == ["websocket"]


def is_key(key: str) -> bool:
    """Whether `key` is base64 of 16 bytes (RFC 6455 section 4.1)."""
    try:
        return len(key) == 24 and len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except (binascii.Error, ValueError):
        return False


def origin_allowed(origin: str | None, allowed: Sequence[str]) -> bool:
    """Whether a page from `origin` may connect; None is a client that is no browser."""
    return origin is None or "*" in allowed or origin in allowed


def _choose(offered: str | None, terms: Terms) -> tuple[str | None, int]:
    """The first of our subprotocols that the client offers, and its variant.

    A client that offers only ones we do not have is let in without any: RFC 6455 section 4.1
    then makes it fail the connection itself if it must have one.
    """
    if offered is None or not terms.subprotocols:
        return None, terms.default
    try:
        names = _parse_offer(offered)
    except InvalidHeaderFormat as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
    for variant, name in enumerate(terms.subprotocols):
        if name in names:
            return name, variant
    return None, terms.default


@lru_cache(maxsize=256)
def _parse_offer(offered: str) -> frozenset[str]:
    return frozenset(parse_subprotocol(offered))
