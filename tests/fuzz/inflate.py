"""Any bytes inflate to no more than the limit or raise ProtocolError, the limit decides nothing but
which, and what compress made comes back whole.

The first byte is the limit, in units of 16 bytes.
"""

from typing import Final

from shard.closecodes import CloseCode, ProtocolError
from shard.deflate import compress, inflate
from tests.fuzz import sentence

INVARIANT: Final = sentence(__doc__)


def check(data: bytes) -> None:
    limit, packed = 16 * (data[0] if data else 0), data[1:]
    payload = inflated(packed, limit)
    if payload is not None:
        assert len(payload) <= limit
        assert inflate(packed, limit + 4_096) == payload
    again = compress(packed)
    assert inflate(again, len(packed)) == packed
    if packed:
        assert inflated(again, len(packed) - 1) is None


def inflated(packed: bytes, limit: int) -> bytes | None:
    """A message's payload; None when it is refused."""
    try:
        return inflate(packed, limit)
    except ProtocolError as error:
        assert error.code in (CloseCode.INVALID_PAYLOAD, CloseCode.TOO_BIG)
        return None


SEEDS: Final = [
    b"",
    b"\x01" + compress(b"Hello"),
    b"\x01\xf2\x48\xcd\xc9\xc9\x07\x00",  # RFC 7692 section 7.2.3.1
    b"\x01\x00\x05\x00\xfa\xffHello\x00",  # 7.2.3.3, a block without compression
    b"\x01\xf3\x48\xcd\xc9\xc9\x07\x00\x00",  # 7.2.3.4, a block that says it is the last
    b"\x01\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",  # 7.2.3.5, two blocks
    b"\x04" + compress(b"x" * 64),
    b"\x04" + compress(b"x" * 65),
    b"\xff" + compress(bytes(100_000)),
    b"\xff" + compress('[{"t":"msg","room":"幕","text":"前方高能"}]'.encode() * 8),
    b"\xff" + bytes(range(256)),
    b"\x10\x07",
]
