"""HAProxy's PROXY protocol, versions 1 and 2, as its receiver: whose connection a proxy hands on.

Rules. No I/O, no clock. `parse` is given what has come of a connection so far and keeps nothing
itself. Section numbers are those of proxy-protocol.txt in HAProxy's documentation. Version 2's
TLVs are skipped.

Invariant: whatever bytes arrive, the result is a Header, None or BadProxyHeader, and however they
are split it is the same. It is None only while the bytes are a proper prefix of a valid header:
anything else is refused at the first byte that can tell.

Danger: whoever may send this header may give any address for its own. Only a connection from a
trusted proxy is parsed, by configuration and never by a look at the bytes (section 5).
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct

from shard.addresses import canonical, plain

LINE_BYTES = 107
"""The longest line of version 1, CRLF included (2.1)."""

MAX_LENGTH = 0x0FFF
"""The longest address block with its TLVs. The length field reaches to 64 KiB, but a header is to
fit one segment (2.2), and what senders put into TLVs (host, certificate name, cipher, ids) does;
nginx stops at 4 KiB, too. The low byte is all ones so that the high byte alone can tell."""

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21

_HEAD = Struct("!12sBBH")
_HARMLESS = SIGNATURE + b"\x20\x00\x00\xff"

_BLOCKS = {
    0x00: (0, 0),
    0x01: (0, 0),
    0x02: (0, 0),
    0x10: (0, 0),
    0x11: (12, 4),
    0x12: (12, 4),
    0x20: (0, 0),
    0x21: (36, 16),
    0x22: (36, 16),
    0x30: (0, 0),
    0x31: (216, 0),
    0x32: (216, 0),
}
"""By family (UNSPEC, INET, INET6, UNIX) and transport (UNSPEC, STREAM, DGRAM), a nibble each: bytes
the address block has at least, and how many of them at its start are an IP address. Where either
is unspecified the addresses are to be ignored (2.2)."""

_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: .*?)?|TCP([46]) ([0-9A-Fa-f.:]{2,39}) ([0-9A-Fa-f.:]{2,39})"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n",
    re.DOTALL,
)

_SHORTEST = (
    b"PROXY UNKNOWN\r\n",
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
    b"PROXY TCP6 :: :: 0 0\r\n",
    b"PROXY TCP6 ::0.0.0.0 ::0.0.0.0 0 0\r\n",  # inet_ntop() writes mapped addresses like this
)
_ENDS = tuple({line[start:] for line in _SHORTEST for start in range(len(line))})


class BadProxyHeader(Exception):
    """The connection does not begin with a PROXY header: the peer is no proxy, or a broken one."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    size    bytes of the connection it takes up
    source  the client's address in canonical text; None where the header names none (a health
            check, a Unix socket, an unknown protocol) and the connection's own counts
    """

    size: int
    source: str | None


def parse(data: bytes) -> Header | None:
    """The header `data` begins with, or None while it is not whole. Raises BadProxyHeader."""
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _parse_binary(data)
    header = _parse_line(data)
    # An unfinished line is one that the end of a shortest line finishes. That is a hundred
    # attempts, for the rare line that comes in pieces, instead of a second grammar of prefixes.
    if header is None and not any(_parse_line(data + end) for end in _ENDS):
        raise BadProxyHeader("neither version of the PROXY protocol")
    return header


def _parse_line(data: bytes) -> Header | None:
    """Version 1: the header, or None where there is no valid line."""
    line = _LINE.match(data, 0, LINE_BYTES)
    if line is None:
        return None
    version, source, destination, *ports = line.groups()
    if version is None:
        return Header(line.end(), None)
    family = IPv4Address if version == b"4" else IPv6Address
    try:
        client, _ = family(source.decode()), family(destination.decode())
    except ValueError:
        return None
    return Header(line.end(), plain(client)) if max(map(int, ports)) <= 65535 else None


def _parse_binary(data: bytes) -> Header | None:
    """Version 2. Bytes of the fixed part that have not come yet are taken for harmless ones."""
    head = data[: _HEAD.size] + _HARMLESS[len(data) :]
    _, command, family, length = _HEAD.unpack(head)
    if command == LOCAL:
        family = 0  # whatever it says is to be ignored (2.2)
    elif command != PROXY:
        raise BadProxyHeader(f"version and command {command:#04x}")
    if family not in _BLOCKS:
        raise BadProxyHeader(f"address family and transport {family:#04x}")
    block, address = _BLOCKS[family]
    if not block <= length <= MAX_LENGTH:
        raise BadProxyHeader(f"{length} bytes of addresses where at least {block} are due")
    size = _HEAD.size + length
    if len(data) < size:
        return None
    return Header(size, canonical(data[_HEAD.size : _HEAD.size + address]) if address else None)
