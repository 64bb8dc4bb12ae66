"""permessage-deflate (RFC 7692) without contexts: one compressed frame fits everyone who asked.

Rules. Neither side keeps a context between messages (`server_no_context_takeover` and
`client_no_context_takeover` are both in every answer), so a connection owns no zlib state and a
batch is compressed once for all. The window is the smallest zlib has, so the same frame also fits
a client that limits it; on batches of chat that costs little, because what repeats is near.

Danger: a few bytes may inflate to gigabytes. `inflate` stops at its limit and has never held more.

Negotiation is the `websockets` package's own; a malformed offer is as good as none (section 5.1),
and so is one of more than MOST_ITEMS extensions and parameters.
"""

import zlib
from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Final

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from shard.closecodes import CloseCode, ProtocolError

MOST_ITEMS: Final = 32
LEVEL: Final = 1
"""The batch is encoded once per flush; level 6 takes up to four times as long for a tenth less."""
WINDOW_BITS: Final = 9
MEMORY_LEVEL: Final = 5
TAIL: Final = b"\x00\x00\xff\xff"
"""What a sync flush ends with; not sent (section 7.2.1)."""

EMPTY: Final = b"\0"
"""The beginning of the empty block of which TAIL is the rest."""
MOST_STORED: Final = 0xFFFF
_STORED: Final = Struct("<HH")

_factory = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)


@lru_cache(maxsize=256)
def negotiate(offers: str) -> str | None:
    """The answer to a Sec-WebSocket-Extensions header: the first offer we can meet, or None."""
    if offers.count(",") + offers.count(";") >= MOST_ITEMS:
        return None
    try:
        parsed = parse_extension(offers)
    except InvalidHeader:
        return None
    for name, parameters in parsed:
        if name == _factory.name:
            try:
                answer, _ = _factory.process_request_params(parameters, [])
            except NegotiationError:
                continue
            return build_extension([(name, answer)])
    return None


def pack(part: bytes) -> bytes:
    """A part of payloads, compressed by itself: it refers to nothing before it and ends with a
    whole byte, so that it may stand between any others."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)
    return packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)


def store(part: bytes) -> bytes:
    """A part as it is, in stored blocks (RFC 1951 section 3.2.4): for what is not shared."""
    blocks = []
    for start in range(0, len(part), MOST_STORED):
        block = part[start : start + MOST_STORED]
        blocks.append(b"\0" + _STORED.pack(len(block), len(block) ^ 0xFFFF) + block)
    return b"".join(blocks)


def joined(parts: Iterable[bytes]) -> bytes:
    """Parts that were packed or stored, as a message's payload as it is sent with RSV1 set."""
    return b"".join(parts) + EMPTY


def compress(payload: bytes) -> bytes:
    """A message's payload as it is sent with RSV1 set."""
    return pack(payload)[: -len(TAIL)]


def inflate(packed: bytes, limit: int) -> bytes:
    """A received message's payload, of at most `limit` bytes. Raises ProtocolError."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        payload = unpacker.decompress(packed + TAIL, limit + 1)
    except zlib.error:
        raise ProtocolError(CloseCode.INVALID_PAYLOAD, "a message does not inflate") from None
    if len(payload) > limit:
        raise ProtocolError(CloseCode.TOO_BIG, f"inflates to over {limit} bytes")
    return payload
