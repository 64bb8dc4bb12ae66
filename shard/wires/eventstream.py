"""The event-stream wire: server-sent events (WHATWG HTML, section 9.2) over one HTTP response.

Rules. It only goes out: whoever listens says all it has to say in its request. What it sends
nevertheless is passed over, to a bound. The response has no length and no chunks, so that one
prepared `bytes` fits every listener, and its end is the end of the connection.

A page of another origin may read it if `origins` has it: checked by `handshake`, answered here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from pool.buffers import BufferPool
from shard.closecodes import CloseCode, ProtocolError
from shard.wires.wire import Event, Offers, Part, Refused

MOST_BYTES_IN: Final = 4096
"""What a listener may send after its request: nothing is due, some clients send an empty body."""


class EventStream:
    """Messages are whole events already, ended by an empty line."""

    ping = b":\n\n"
    answers_pings = False
    half_closes = False

    def accept(self, headers: Mapping[str, str], offers: Offers) -> tuple[bytes, int, str]:
        wanted = headers.get("accept", "*/*")
        if not any(kind in wanted for kind in ("text/event-stream", "text/*", "*/*")):
            raise Refused(HTTPStatus.NOT_ACCEPTABLE, "this is a stream of text/event-stream")
        lines = [
            "HTTP/1.1 200 OK",
            "Content-Type: text/event-stream",
            "Cache-Control: no-store",
            "X-Accel-Buffering: no",
            "Connection: close",
        ]
        if (origin := headers.get("origin")) is not None:
            lines += [f"Access-Control-Allow-Origin: {origin}", "Vary: Origin"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n", offers[0][0], ""

    def parser(self, buffers: BufferPool, message_bytes: int) -> "NothingIn":
        return NothingIn()

    def wrap(self, payload: bytes, binary: bool = False) -> bytes:
        return payload

    def wrap_parts(
        self, before: bytes, parts: Sequence[Part], behind: bytes, binary: bool = False
    ) -> bytes:
        return b"".join((before, *(part.raw for part in parts), behind))

    def farewell(self, code: int, reason: str = "") -> bytes:
        data = json.dumps({"code": int(code), "reason": reason}, separators=(",", ":"))
        return f"event: close\ndata: {data}\n\n".encode()

    def close_reply(self, payload: bytes) -> tuple[int, bytes]:
        raise AssertionError("nobody says goodbye on this wire")


class NothingIn:
    """What comes in means nothing; the partial is how many bytes that were."""

    def lone(self, data: memoryview, size: int) -> Event | None:
        return None

    def feed(
        self, data: bytes | memoryview, partial: int | None, most: int
    ) -> tuple[Iterable[Event], int, int]:
        size = (partial or 0) + len(data)
        return (_too_much() if size > MOST_BYTES_IN else ()), size, 0

    def discard(self, partial: int) -> None: ...


def _too_much() -> Iterable[Event]:
    raise ProtocolError(CloseCode.POLICY_VIOLATION, "an event stream takes no messages")
    yield  # a generator: the fault is met where the events are gone through
