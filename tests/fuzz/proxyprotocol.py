"""Whatever bytes arrive and however they are split, the PROXY header's parser comes to the same
end, which is the address the C library reads there, one refusal, or a bounded wait for more.

What comes in pieces is parsed anew with each, as the door does it.
"""

import socket
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from shard.proxyprotocol import LINE_BYTES, MAX_LENGTH, SIGNATURE, BadProxyHeader, Header, parse
from tests.fuzz import sentence
from tests.fuzz.splits import pack, unpack

INVARIANT: Final = sentence(__doc__)

BAD: Final = "bad"
MAPPED: Final = bytes(10) + b"\xff\xff"


def check(data: bytes) -> None:
    _, pieces = unpack(data)
    body = b"".join(pieces)
    whole = outcome(body)
    if isinstance(whole, Header):
        assert whole.size == size_of(body) <= len(body)
        assert packed(whole.source) == address_of(body[: whole.size])
    elif whole is None:
        binary = SIGNATURE.startswith(body[: len(SIGNATURE)])
        assert len(body) < (16 + MAX_LENGTH if binary else LINE_BYTES)
    assert arriving(pieces) == whole, f"another end in {[*map(len, pieces)]}"


def outcome(data: bytes) -> Header | str | None:
    try:
        return parse(data)
    except BadProxyHeader:
        return BAD


def arriving(pieces: Iterable[bytes]) -> Header | str | None:
    """The first thing known of what comes in pieces."""
    ends = (outcome(data) for data in accumulate(pieces))
    return next((end for end in ends if end is not None), None)


def packed(source: str | None) -> bytes:
    if source is None:
        return b""
    return socket.inet_pton(socket.AF_INET6 if ":" in source else socket.AF_INET, source)


def size_of(data: bytes) -> int:
    """How long the valid header is that `data` begins with."""
    if data.startswith(SIGNATURE):
        return 16 + int.from_bytes(data[14:16])
    return data.index(b"\r\n") + 2


def address_of(header: bytes) -> bytes:
    """The client's address in a header that is valid, empty where there is none."""
    if header.startswith(SIGNATURE):
        size = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}.get(header[13], 0)
        address = header[16 : 16 + size] if header[12] & 1 else b""
    else:
        words = header.split(b" ")
        family = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}.get(words[1])
        address = socket.inet_pton(family, words[2].decode()) if family else b""
    return address.removeprefix(MAPPED)


INET: Final = SIGNATURE + b"\x21\x11\x00\x0c" + bytes(range(12))
INET6: Final = SIGNATURE + b"\x21\x21\x00\x24" + MAPPED + bytes(range(24))
GET: Final = b"GET /ws HTTP/1.1\r\n"

SEEDS: Final = [
    b"",
    pack(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" + GET, 12, 20, 2),
    pack(b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", 42, 1),
    pack(b"PROXY TCP6 2001:DB8:0:0::1 1:2:3:4:5:6:7:: 56324 443\r\n" + GET, 18, 7),
    pack(b"PROXY TCP6 ::ffff:1.2.3.4 ::ffff:a.0 1 2\r\n", 21),
    pack(b"PROXY TCP6 ::ffff:1.2.3.4 ::ffff:10.0.0.1 1 2\r\n", 21, 3, 1, 14, 5),
    pack(b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"),
    pack(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"),
    pack(b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"),
    pack(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"),
    pack(b"PROXY UNKNOWN\r\n" + GET, 9, 5),
    pack(b"PROXY UNKNOWN ::1 ::2 1 2\r\n", 26),
    pack(b"PROXY UNKNOWN \xff\r" + b"x" * 88 + b"\r\n", 104),
    pack(b"PROXY UNKNOWN " + b"x" * 92),
    pack(b"PROXY TCP"),
    pack(INET + GET, 12, 1, 1, 2, 5),
    pack(INET6 + GET, 15, 36),
    pack(INET6[:40], 13),
    pack(INET.replace(b"\x0c", b"\x10") + b"\x04\x00\x01\x00" + GET, 28),
    pack(INET.replace(b"\x0c", b"\x0b"), 15),
    pack(INET.replace(b"\x11", b"\x10")),
    pack(INET.replace(b"\x11", b"\x41")),
    pack(INET.replace(b"\x21", b"\x11"), 12),
    pack(SIGNATURE + b"\x20\x00\x00\x00" + GET, 14),
    pack(SIGNATURE + b"\x20\xee\x00\x01", 16),
    pack(SIGNATURE + b"\x21\x31\x00\xd8" + b"/run/s".ljust(216, b"\0"), 100),
    pack(SIGNATURE + b"\x20\x00\x10\x00", 14),
    pack(GET),
]
