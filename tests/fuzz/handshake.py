"""To any bytes, however split, the door says one well-formed HTTP response with nothing in it that
the client wrote, and it lets in only a whole WebSocket request, answering its key and keeping what
follows it to the byte.

The flags choose the server's settings. A body without an end of headers is given one. What is
expected is read off the request's lines.
"""

import base64
import hashlib
import re
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from msgspec import structs

from pool.scoreboard import Scoreboard
from shard.counters import FIELDS
from shard.door import Door
from shard.handshake import END_OF_HEADERS, Accepted, Answer, Elsewhere, Terms, respond
from shard.settings import ClientAddress, Settings
from shard.wires.websocket import WebSocket
from tests.fuzz import sentence
from tests.fuzz.splits import pack, unpack
from tests.shard.wire import REQUEST, terms

INVARIANT: Final = sentence(__doc__)

PROXY: Final = "127.0.0.1"
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 section 1.3."""
KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
OTHER_KEY: Final = b"YW5vdGhlciBub25jZSBub3c="
HINTS: Final = (b"Allow: GET", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
EXTENSION: Final = re.compile(
    rb"Sec-WebSocket-Extensions: permessage-deflate(; [a-z_]+(=[0-9]{1,2})?)*"
)


def check(data: bytes) -> None:
    flags, pieces = unpack(data)
    if END_OF_HEADERS not in b"".join(pieces):
        pieces.append(END_OF_HEADERS)
    body, settings = b"".join(pieces), settings_of(flags)
    reply = respond(body, settings.terms)
    if isinstance(reply, Elsewhere):
        reply = reply.otherwise
    if isinstance(reply, Accepted):
        check_request(reply, body, settings.terms)
        check_upgrade(reply, settings.terms)
    else:
        check_answer(reply)
    assert hear(pieces, settings) == bare(reply), f"another verdict in {[*map(len, pieces)]}"


def settings_of(flags: int) -> Settings:
    """One of sixteen servers."""
    chosen = terms(
        *(("danmaku.json", "danmaku.msgpack") if flags & 2 else ()),
        deflated=bool(flags & 1),
        origins=("https://a.b",) if flags & 4 else ("*",),
    )
    whose: ClientAddress = "x-forwarded-for" if flags & 8 else "connection"
    return Settings(
        terms=chosen,
        client_address=whose,
        trusted_proxies=("127.0.0.0/8",),
        connections_per_address=2,
    )


def values(body: bytes, name: bytes) -> list[bytes]:
    """What a header's lines in a request say."""
    _, *lines = body.partition(END_OF_HEADERS)[0].split(b"\r\n")
    parted = [line.partition(b":") for line in lines]
    return [value.strip(b" \t") for key, _, value in parted if key.lower() == name]


def check_request(reply: Accepted, body: bytes, terms: Terms) -> None:
    """Whether who was let in has asked for it, and is seen as what it sent."""
    assert re.match(rb"[\r\n]*GET +\S+ +HTTP/1\.1\r\n", body)
    assert len(values(body, b"host")) == 1
    assert values(body, b"sec-websocket-version") == [b"13"]
    (key,) = values(body, b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    assert b"\r\nSec-WebSocket-Accept: %s\r\n" % accept in reply.response
    if "*" not in terms.origins:
        assert {*values(body, b"origin")} <= {origin.encode() for origin in terms.origins}
    assert reply.rest == body.partition(END_OF_HEADERS)[2]
    assert reply.request.path == terms.offers[0].path
    for name, several in reply.request.query.items():
        # A room's name goes back to the client, so it has to be text that can be encoded.
        "".join([name, *several]).encode()


def check_upgrade(reply: Accepted, terms: Terms) -> None:
    """Whether an upgrade's response is these lines and no others."""
    head, end, body = reply.response.partition(END_OF_HEADERS)
    assert (end, body) == (END_OF_HEADERS, b"")
    status, upgrade, connection, accept, *agreed = head.split(b"\r\n")
    assert status == b"HTTP/1.1 101 Switching Protocols"
    assert (upgrade, connection) == (b"Upgrade: websocket", b"Connection: Upgrade")
    assert re.fullmatch(rb"Sec-WebSocket-Accept: [A-Za-z0-9+/]{27}=", accept)
    offer, subprotocol = terms.offers[reply.variant], reply.request.subprotocol
    if subprotocol:
        assert agreed.pop(0) == f"Sec-WebSocket-Protocol: {subprotocol}".encode()
    assert offer.subprotocol == (subprotocol or terms.offers[0].subprotocol)
    assert isinstance(offer.wire, WebSocket)
    if offer.wire.deflated:
        assert EXTENSION.fullmatch(agreed.pop(0))
    assert not agreed


def check_answer(reply: Answer) -> None:
    """Whether a refusal's response is these lines, at most one hint, and a body of that length."""
    head, end, body = reply.response.partition(END_OF_HEADERS)
    assert end
    status, kind, length, connection, *hint = head.split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1\.1 %d [A-Z][A-Za-z ]+" % reply.status, status)
    assert kind == b"Content-Type: text/plain; charset=utf-8"
    assert length == b"Content-Length: %d" % len(body)
    assert connection == b"Connection: close"
    assert not hint or (len(hint) == 1 and hint[0] in HINTS)
    assert body.decode().endswith("\n")


def hear(pieces: Sequence[bytes], settings: Settings) -> Accepted | Answer:
    """What a door says that is told the request in pieces, having heard it with another key."""
    with socket.socket() as listener:  # never listens: a door is made of one
        door = Door(listener, settings, 2, Scoreboard(FIELDS, 1).row(0))
        assert door._may_enter(0, PROXY)
        assert door._may_enter(1, PROXY)
        door.request(0, b"".join(pieces).replace(KEY, OTHER_KEY))
        door.shut()
        for index, piece in enumerate(pieces):
            reply = door.request(1, piece)
            if isinstance(reply, Accepted):
                reply = structs.replace(reply, rest=reply.rest + b"".join(pieces[index + 1 :]))
            if reply is not None:
                return bare(reply)
    raise AssertionError("a whole request was not heard")


def bare(reply: Accepted | Answer) -> Accepted | Answer:
    """A reply without the key among the headers, which nobody needs any more."""
    if isinstance(reply, Answer):
        return reply
    headers = {k: v for k, v in reply.request.headers.items() if k != "sec-websocket-key"}
    return structs.replace(reply, request=replace(reply.request, headers=headers))


LINE: Final = b"GET /ws?room=a&room=%E5%B9%95&token=x HTTP/1.1\r\n"
HEADERS: Final = REQUEST.partition(b"\r\n")[2].removesuffix(b"\r\n")
FRAME: Final = b"\x89\x80mask"


def request(line: bytes = LINE, headers: bytes = HEADERS, *more: bytes) -> bytes:
    """A request; `more` are further header lines."""
    return b"".join([line, headers, *(header + b"\r\n" for header in more), b"\r\n"])


OFFERS: Final = (
    b"Origin: https://a.b",
    b"Sec-WebSocket-Protocol: other, danmaku.msgpack",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; "
    b"server_max_window_bits=10, permessage-deflate",
)

SEEDS: Final = [
    b"",
    pack(REQUEST, 4, 20, 100, 2),
    pack(REQUEST + FRAME + END_OF_HEADERS, len(REQUEST) - 2, 1, 2, 3),
    pack(request(LINE, HEADERS, *OFFERS), 255, 60, flags=7),
    pack(request(LINE, HEADERS, *OFFERS) + FRAME, flags=3),
    pack(request(LINE, HEADERS, b"Sec-WebSocket-Protocol: danmaku.json,", b"Cookie: a=b"), flags=2),
    pack(request(LINE, HEADERS, b"Sec-WebSocket-Protocol: a b"), flags=2),
    pack(request(LINE, HEADERS, b"Sec-WebSocket-Extensions: permessage-deflate; x="), flags=1),
    pack(request(LINE, HEADERS, b"Origin: null"), flags=4),
    pack(request(LINE, HEADERS, b"X-Forwarded-For: 1.2.3.4, [::1]:80,127.0.0.9"), 250, flags=8),
    pack(request(LINE, HEADERS, b"Origin: https://a.b", b"Origin: https://a.b"), flags=4),
    pack(request(b"GET http://h/ws?a=%ff HTTP/1.1\r\n")),
    pack(request(b"GET /healthz HTTP/1.0\r\n", b"")),
    pack(request(b"GET / HTTP/1.1\r\n")),
    pack(request(b"POST /ws HTTP/1.1\r\n", HEADERS, b"Content-Length: 4") + b"abcd"),
    pack(request(b"CONNECT h:1 HTTP/1.1\r\n")),
    pack(request(b"GET /ws HTTP/1.0\r\n")),
    pack(request(b"GET /ws HTTP/9\r\n")),
    pack(request(b"PRI * HTTP/2.0\r\n", b"") + b"SM" + END_OF_HEADERS),
    pack(request(LINE, HEADERS.replace(b"Connection: Upgrade", b"Connection: close"))),
    pack(request(LINE, HEADERS.replace(b"Connection: Upgrade", b"Connection: a b"))),
    pack(request(LINE, HEADERS.replace(b"websocket", b"h2c, websocket"))),
    pack(request(LINE, HEADERS.replace(b"Version: 13", b"Version: 8"))),
    pack(request(LINE, HEADERS.replace(b"bmNlZQ==", b"bmNl"))),
    pack(request(LINE, HEADERS.replace(b"Key: dGhl", b"Key: \xff\xfe\x00="))),
    pack(request(LINE, HEADERS, b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")),
    pack(request(LINE, HEADERS.replace(b"Host: localhost\r\n", b""))),
    pack(request(LINE, HEADERS, b"X: 1\r\n folded", b"Y : 2", b"Transfer-Encoding: chunked")),
    pack(request(LINE, HEADERS, *[b"X: y"] * 3, *[b"X%d: y" % i for i in range(65)])),
    pack(request(LINE, HEADERS).replace(b"\r\n", b"\n")),
    pack(request(LINE + HEADERS.replace(b"\r\n", b"\n") + b"\n" + LINE, HEADERS)),
    pack(request(b"GET /ws?" + b"a&" * 129 + b" HTTP/1.1\r\n")),
    pack(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
]
