"""The WebSocket wire: RFC 6455 frames over an upgraded connection, maybe deflated (RFC 7692).

Rules. Frames are parsed in `frames`, deflated in `deflate`; what is decided here is which clients
are let in (RFC 6455 section 4.2) and what a frame means to a connection. The header values nearly
every client sends are remembered, so that a storm of joins does not parse `Connection: Upgrade` a
million times.
"""

import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import parse_connection, parse_subprotocol, parse_upgrade
from websockets.utils import accept_key

from pool.buffers import BufferPool
from shard import frames
from shard.closecodes import CloseCode, ProtocolError
from shard.deflate import MOST_ITEMS, compress, inflate, joined, negotiate, pack, store
from shard.frames import FrameParser, Partial
from shard.wires.wire import BINARY, CLOSE, REPLY, TEXT, Event, Offers, Part, Refused

COMPRESS_FROM: Final = 256
"""Bytes of a payload from which it is compressed: a few messages. One shrinks by an eighth only."""


PING: Final = frames.encode(frames.PING, b"")
Closing = Callable[[int, str], tuple[int, str]]


class WebSocket:
    """Messages in frames; with `deflated`, payloads of `compress_from` bytes or more compressed.

    ping     the frame by which a client is asked whether it lives: any answer does
    closing  the code and reason its clients know for one of ours
    """

    answers_pings = True
    half_closes = True

    def __init__(
        self,
        deflated: bool = False,
        compress_from: int = COMPRESS_FROM,
        ping: bytes = PING,
        closing: Closing | None = None,
    ) -> None:
        self.deflated = deflated
        self.ping = ping
        self._compress_from = compress_from
        self._closing = closing

    def accept(self, headers: Mapping[str, str], offers: Offers) -> tuple[bytes, int, str]:
        check_upgrade(headers)
        subprotocol = _choose(headers.get("sec-websocket-protocol"), offers)
        deflated = {
            _is_deflated(offer.wire): variant
            for variant, offer in offers
            if offer.subprotocol == (subprotocol or offers[0][1].subprotocol)
        }
        agreed = None
        if True in deflated and (asked := headers.get("sec-websocket-extensions")):
            agreed = negotiate(asked)
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(headers['sec-websocket-key'])}",
        ]
        if subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        if agreed is not None:
            lines.append(f"Sec-WebSocket-Extensions: {agreed}")
        response = "\r\n".join(lines).encode() + b"\r\n\r\n"
        return response, deflated[agreed is not None], subprotocol

    def parser(self, buffers: BufferPool, message_bytes: int) -> "FrameReader":
        return FrameReader(buffers, message_bytes, self.deflated)

    def wrap(self, payload: bytes, binary: bool = False) -> bytes:
        opcode = frames.BINARY if binary else frames.TEXT
        if self.deflated and len(payload) >= self._compress_from:
            return frames.encode(opcode, compress(payload), compressed=True)
        return frames.encode(opcode, payload)

    def wrap_parts(
        self, before: bytes, parts: Sequence[Part], behind: bytes, binary: bool = False
    ) -> bytes:
        opcode = frames.BINARY if binary else frames.TEXT
        size = len(before) + sum(len(part.raw) for part in parts) + len(behind)
        if not self.deflated or size < self._compress_from:
            return frames.encode(opcode, b"".join((before, *(part.raw for part in parts), behind)))
        for part in parts:
            if part.packed is None:
                part.packed = pack(part.raw)
        packed = (store(before), *(part.packed or b"" for part in parts), store(behind))
        return frames.encode(opcode, joined(packed), compressed=True)

    def farewell(self, code: int, reason: str = "") -> bytes:
        if self._closing is not None:
            code, reason = self._closing(code, reason)
        return frames.encode_close(code, reason)

    def close_reply(self, payload: bytes) -> tuple[int, bytes]:
        code, _ = frames.parse_close(payload)
        return code, frames.encode_close(code) if payload else frames.encode(frames.CLOSE, b"")


class FrameReader:
    """Frames to events: pings become replies, compressed messages are inflated."""

    def __init__(self, buffers: BufferPool, message_bytes: int, deflated: bool) -> None:
        self._frames = FrameParser(buffers, message_bytes)
        self._message_bytes = message_bytes
        self._deflated = deflated
        self.lone = self._frames.lone
        self.discard = self._frames.discard

    def feed(
        self, data: bytes | memoryview, partial: Partial | None, most: int
    ) -> tuple[Iterator[Event], Partial | None, int]:
        found: list[frames.Event] = []
        fault = None
        try:
            partial = self._frames.feed(data, partial, found, self._deflated, most)
        except ProtocolError as error:
            # Not the error itself: its traceback holds this frame, which would make a cycle.
            fault, partial = (error.code, str(error)), None
        return self._events(found, fault), partial, self._frames.controls

    def _events(
        self, found: list[frames.Event], fault: tuple[CloseCode, str] | None
    ) -> Iterator[Event]:
        """One at a time, so that of many small messages that inflate only one is held."""
        for opcode, payload in found:
            yield self._event(opcode, payload)
        if fault is not None:
            raise ProtocolError(*fault)

    def _event(self, opcode: int, payload: bytes) -> Event:
        if opcode == frames.PING:
            return REPLY, frames.encode(frames.PONG, payload)
        if opcode & frames.COMPRESSED:
            payload = inflate(payload, self._message_bytes)
            opcode &= ~frames.COMPRESSED
            if opcode == frames.TEXT:
                frames.check_utf8(payload)
        return opcode, payload


def check_upgrade(headers: Mapping[str, str]) -> None:
    """RFC 6455 section 4.2.1. Raises Refused."""
    try:
        upgrades = _asks_upgrade(headers.get("connection", ""), headers.get("upgrade", ""))
    except InvalidHeaderFormat as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
    if not upgrades:
        raise Refused(
            HTTPStatus.UPGRADE_REQUIRED,
            "this is a WebSocket endpoint: open it with a WebSocket client",
            "Upgrade: websocket",
        )
    if headers.get("sec-websocket-version") != "13":
        raise Refused(
            HTTPStatus.UPGRADE_REQUIRED, "WebSocket version 13 only", "Sec-WebSocket-Version: 13"
        )
    if not is_key(headers.get("sec-websocket-key", "")):
        raise Refused(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes of base64")


@lru_cache(maxsize=256)
def _asks_upgrade(connection: str, upgrade: str) -> bool:
    """RFC 6455 section 4.2.1, items 3 and 4."""
    if not connection or not upgrade:
        return False
    _check_few(connection)
    _check_few(upgrade)
    if not any(option.lower() == "upgrade" for option in parse_connection(connection)):
        return False
    return any(protocol.lower() == "websocket" for protocol in parse_upgrade(upgrade))


def is_key(key: str | bytes) -> bool:
    """Whether `key` is base64 of 16 bytes (RFC 6455 section 4.1)."""
    try:
        return len(key) == 24 and len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _choose(asked: str | None, offers: Offers) -> str:
    """The first of our subprotocols that the client asks for, or none.

    A client that asks only for ones we do not have is let in without any: RFC 6455 section 4.1
    then makes it fail the connection itself if it must have one.
    """
    if not asked:
        return ""
    try:
        names = _parse_subprotocols(asked)
    except InvalidHeaderFormat as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
    return next((offer.subprotocol for _, offer in offers if offer.subprotocol in names), "")


def _check_few(items: str) -> None:
    """A list costs a microsecond an item to parse, and no client has a use for many."""
    if items.count(",") >= MOST_ITEMS:
        raise Refused(HTTPStatus.BAD_REQUEST, f"more than {MOST_ITEMS} items in a header's list")


@lru_cache(maxsize=256)
def _parse_subprotocols(asked: str) -> frozenset[str]:
    _check_few(asked)
    return frozenset(parse_subprotocol(asked))


def _is_deflated(wire: object) -> bool:
    return isinstance(wire, WebSocket) and wire.deflated


assert (TEXT, BINARY, CLOSE) == (frames.TEXT, frames.BINARY, frames.CLOSE)
