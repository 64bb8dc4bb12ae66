"""The HTTP side of a connection: one GET request in, one response out. No I/O, no clock.

Rules. `respond` is given a request's whole header block and returns a Reply; bytes of an
unfinished block are its caller's to keep and to limit. Parsing is httptools'; what is decided here
is which kinds of connection a path has and which origins may come, the rest is the wire's.

Anything that is no connection is answered and closed, or, where the path is nobody's here and no
WebSocket is asked for, Elsewhere: another process may know it. `/healthz` is 200 as long as
anybody answers, `/readyz` as long as newcomers are let in.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote

import httptools
from msgspec import Struct

from shard.wires.wire import Offer, Refused

MAX_HEADERS = 64
END_OF_HEADERS = b"\r\n\r\n"
PROBES = ("/healthz", "/readyz")
PRINTABLE = "".join(map(chr, range(128)))
"""ASCII: what is not to be percent-encoded again."""


@dataclass(slots=True)
class Request:
    """An accepted request, as the handler sees it. Connections may share one: read only, but for
    `made`, which is what the handler made of it, for whoever shares it."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str] = field(repr=False)
    subprotocol: str = ""
    made: Any = field(default=None, repr=False, compare=False)

    def first(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else None

    @property
    def token(self) -> str | None:
        """What the client shows of itself: `?token=`, or a bearer token (RFC 6750)."""
        shown = self.first("token")
        if shown or "authorization" not in self.headers:
            return shown
        kind, _, token = self.headers["authorization"].partition(" ")
        return token.strip() if kind.lower() == "bearer" else None


class Accepted(Struct):
    """Let the client in: write `response`; `rest` are bytes of the wire that came already."""

    response: bytes
    request: Request
    variant: int
    rest: bytes


@dataclass(slots=True)
class Answer:
    """Anything but a connection: write `response` and close."""

    response: bytes
    status: int


@dataclass(slots=True)
class Elsewhere:
    """A request for no path of ours. Who answers it may be another process; where there is none,
    `otherwise` is the answer. `forwarded` is its X-Forwarded-For."""

    forwarded: str | None
    otherwise: Answer


Reply = Accepted | Answer | Elsewhere


@dataclass(slots=True, frozen=True)
class Terms:
    """What this server accepts.

    offers   kinds of connection; one's place is its variant, the first of a path its default
    origins  allowed Origin headers, "*" for any; clients that send none are not browsers
    leaving  whether nobody is let in any more
    """

    offers: Sequence[Offer] = ()
    origins: Sequence[str] = ("*",)
    leaving: bool = False


class _Collector:
    """What httptools calls back; refuses more headers than any client needs."""

    __slots__ = ("headers", "lines", "repeated", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.lines = 0
        self.repeated: set[str] = set()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines += 1
        if self.lines > MAX_HEADERS:
            raise Refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEADERS} headers"
            )
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")  # RFC 9110 section 5.5
        if key in self.headers:
            self.repeated.add(key)
            text = f"{self.headers[key]}, {text}"
        self.headers[key] = text


def respond(data: bytes, terms: Terms) -> Reply:
    """Answer the request in `data`, which holds at least one whole header block."""
    try:
        return _respond(data, terms)
    except Refused as refused:
        return answer(refused.status, str(refused), *refused.headers)


def answer(status: int, detail: str, *headers: str) -> Answer:
    """A complete HTTP response that closes the connection."""
    body = f"{detail}\n".encode()
    lines = [
        f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return Answer("\r\n".join(lines).encode() + END_OF_HEADERS + body, int(status))


LEAVING = answer(HTTPStatus.SERVICE_UNAVAILABLE, "this server is going down", "Retry-After: 1")
NO_ANSWER = Answer(b"", HTTPStatus.SERVICE_UNAVAILABLE)
"""For who would stay away after a 503: an event stream's client comes back by itself from a
connection that broke, but from no answer other than 200 (HTML, section 9.2.3)."""


def _respond(data: bytes, terms: Terms) -> Reply:
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    end = data.index(END_OF_HEADERS) + len(END_OF_HEADERS)
    try:
        parser.feed_data(_ascii_target(data[:end]))
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, Refused):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"not an HTTP request: {error}") from None

    if not collector.url:
        raise Refused(HTTPStatus.BAD_REQUEST, "not an HTTP request: nothing but empty lines")
    path, query = _split(collector.url)
    method = parser.get_method()
    if path in PROBES:
        return _probe(method, terms.leaving and path == "/readyz")
    offers = [(i, offer) for i, offer in enumerate(terms.offers) if offer.path == path]
    if not offers:
        return _elsewhere(collector.headers, terms, parser.get_http_version())
    if method != b"GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "use GET", "Allow: GET")
    if parser.get_http_version() != "1.1":
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1")
    headers = collector.headers
    if terms.leaving:
        return LEAVING if "upgrade" in headers else NO_ANSWER
    for name in ("sec-websocket-key", "sec-websocket-version", "origin", "host"):
        if name in collector.repeated:
            raise Refused(HTTPStatus.BAD_REQUEST, f"more than one {name} header")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        # What follows would be taken for bytes of the wire.
        raise Refused(HTTPStatus.BAD_REQUEST, "a request without a body, please")
    if "host" not in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "no Host header")
    response, variant, subprotocol = offers[0][1].wire.accept(headers, offers)
    if not origin_allowed(headers.get("origin"), terms.origins):
        raise Refused(HTTPStatus.FORBIDDEN, "this origin is not in server.origins")
    request = Request(path, _parse_query(query), headers, subprotocol)
    return Accepted(response, request, variant, data[end:])


def _elsewhere(headers: dict[str, str], terms: Terms, version: str) -> Answer | Elsewhere:
    known = " and ".join(dict.fromkeys(offer.path for offer in terms.offers if offer.path))
    not_found = answer(HTTPStatus.NOT_FOUND, f"connections are at {known}")
    if "websocket" in headers.get("upgrade", "").lower() or version not in ("1.0", "1.1"):
        return not_found
    return Elsewhere(headers.get("x-forwarded-for"), not_found)


def _ascii_target(head: bytes) -> bytes:
    """A request's head with its target percent-encoded where a client left it raw UTF-8."""
    line, end, headers = head.partition(b"\r\n")
    return head if line.isascii() else quote(line, safe=PRINTABLE).encode() + end + headers


def _probe(method: bytes, leaving: bool) -> Answer:
    """Whether the process lives, or takes newcomers (RFC 9110 section 9.3.2: HEAD gets no body)."""
    if method not in (b"GET", b"HEAD"):
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "use GET", "Allow: GET, HEAD")
    found = LEAVING if leaving else answer(HTTPStatus.OK, "ok")
    if method == b"GET":
        return found
    head, end, _ = found.response.partition(END_OF_HEADERS)
    return Answer(head + end, found.status)


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
        raise Refused(HTTPStatus.BAD_REQUEST, "more than 128 query parameters") from None


def _parse_query(query: str) -> dict[str, list[str]]:
    """A query string's values. Only short ones are remembered: a token is used once."""
    if len(query) <= 64:
        return _parse_query_cached(query)
    return _parse_query_cached.__wrapped__(query)


def origin_allowed(origin: str | None, allowed: Sequence[str]) -> bool:
    """Whether a page from `origin` may connect; None is a client that is no browser."""
    return origin is None or "*" in allowed or origin in allowed
