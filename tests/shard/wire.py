"""What a client says and hears, byte by byte, written independently of the code under test."""

import struct
from collections.abc import Sequence

from shard.frames import CLOSE
from shard.handshake import Terms
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer

REQUEST = (
    b"GET /ws HTTP/1.1\r\n"
    b"Host: localhost\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
"""The request of RFC 6455 section 1.3, whose key has a known answer."""


def terms(
    *subprotocols: str, path: str = "/ws", deflated: bool = False, origins: Sequence[str] = ("*",)
) -> Terms:
    """WebSockets at one path; the variants with deflate follow those without."""
    names = subprotocols or ("",)
    wires = [WebSocket(), WebSocket(deflated=True)] if deflated else [WebSocket()]
    return Terms([Offer(path, wire, name) for wire in wires for name in names], origins)


MASK = b"\x01\x7f\x80\xfe"

Message = tuple[int, bytes]


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = MASK
) -> bytes:
    """One masked frame, written out independently of the code under test."""
    first = (0x80 if fin else 0) | rsv | opcode
    size = len(payload)
    if size < 126:
        header = struct.pack("!BB", first, 0x80 | size)
    elif size < 0x10000:
        header = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, size)
    return header + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return client_frame(CLOSE, struct.pack("!H", code) + reason)


def server_frames(data: bytes) -> tuple[list[Message], bytes]:
    """The whole, final, unmasked frames in `data`, and what is left over."""
    found: list[Message] = []
    while len(data) >= 2:
        first, size = data[0], data[1]
        assert first & 0xF0 == 0x80, f"not a final frame without reserved bits: {data[:20]!r}"
        assert size < 128, "a server's frame is masked"
        start = 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            break
        found.append((first & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found, data
