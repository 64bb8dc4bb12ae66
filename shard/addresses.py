"""Client addresses: how they are written, whom a proxy speaks for, how many connections each has.

Rules. No I/O. An address is text as `ipaddress` prints it, and an IPv4 client is the same client
whether it came by IPv4 or mapped into IPv6. Trust is decided by `Networks` alone.

Danger: X-Forwarded-For is written by whoever likes to. What a trusted proxy has added stands at
its right end, so it is read from there, and nothing left of the first untrusted address counts.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_ENTRIES = 32
"""Entries of X-Forwarded-For that are looked at; chains of proxies are two or three long."""

MAX_CHARS = 64
"""No address is longer, an IPv6 one in full with zone, brackets and port included."""

REMEMBERED = 1024
"""Addresses of which is remembered whether they are trusted. Those who connect are few balancers;
the rest, from X-Forwarded-For, may be anything."""

MAPPED = 96
"""Bits before an IPv4 address that is mapped into IPv6."""

_WITH_PORT = re.compile(r"(?:\[([^]]*:[^]]*)\]|([0-9.]+))(?::[0-9]{1,5})?")


def plain(ip: IPv4Address | IPv6Address) -> str:
    """The address as text: without zone, and IPv4 when it is IPv4 mapped into IPv6."""
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip)))
    return str(ip)


def canonical(address: str | bytes) -> str | None:
    """An address given as text, or packed in 4 or 16 bytes; None if it is none."""
    try:
        return plain(ip_address(address))
    except ValueError:
        return None


def network(text: str) -> IPv4Network | IPv6Network:
    """A network in CIDR notation, or a single address. Raises ValueError.

    One of IPv4 addresses mapped into IPv6 is that of the IPv4 addresses, as clients are written.
    """
    found = ip_network(text if "/" in text else canonical(text) or text)
    first = found.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
    if mapped is not None and found.prefixlen >= MAPPED:
        return IPv4Network((mapped, found.prefixlen - MAPPED))
    return found


class Networks:
    """A set of networks and single addresses. Raises ValueError for what is neither."""

    def __init__(self, networks: Iterable[str]) -> None:
        parsed = tuple(map(network, networks))

        @lru_cache(REMEMBERED)
        def holds(address: str) -> bool:
            text = canonical(address)
            return text is not None and any(ip_address(text) in one for one in parsed)

        self._holds = holds

    def __contains__(self, address: str) -> bool:
        return len(address) <= MAX_CHARS and self._holds(address)


def forwarded(header: str | None, peer: str, trusted: Networks) -> str:
    """The client's address, by the X-Forwarded-For header of a connection from `peer`.

    The rightmost address that is not a trusted proxy's; where all are, the leftmost. An entry
    that is no address ends the search at the one before it.
    """
    client = canonical(peer) or peer
    entries = (header or "").rsplit(",", MAX_ENTRIES)[-MAX_ENTRIES:]
    while entries and client in trusted:
        before = _entry(entries.pop())
        if before is None:
            break
        client = before
    return client


def _entry(text: str) -> str | None:
    """One entry's address. Some proxies add the port, after brackets if it is IPv6."""
    text = text.strip(" \t")
    if len(text) > MAX_CHARS:
        return None
    found = _WITH_PORT.fullmatch(text)
    return canonical(found[1] or found[2] if found else text)


class PerAddress:
    """Connections counted by client address: at most `limit` each, for `rows` rows.

    A limit of 0 counts nothing and keeps nothing. An IPv6 client is its /64: that is what one
    household is given, and it has the choice of all addresses in it.
    """

    def __init__(self, limit: int, rows: int) -> None:
        self._limit = limit
        self._clients: dict[str, _Client] = {}
        self._rows: list[_Client | None] = [None] * rows if limit else []

    def enter(self, row: int, address: str) -> bool:
        """Count the new connection in `row`; or False, and the address is full."""
        if not self._limit:
            return True
        self.leave(row)
        name = household(address)
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = _Client(name)
        elif client.connections >= self._limit:
            return False
        client.connections += 1
        self._rows[row] = client
        return True

    def leave(self, row: int) -> None:
        """The connection in `row` is over, whether it was counted or not."""
        client = self._rows[row] if row < len(self._rows) else None
        if client is None:
            return
        self._rows[row] = None
        client.connections -= 1
        if not client.connections:
            del self._clients[client.name]


class _Client:
    """One object for all rows of an address, so that a full school costs a single string."""

    __slots__ = ("connections", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0


def household(address: str) -> str:
    """What an address counts as."""
    if ":" not in address:
        return address
    try:
        ip = IPv6Address(address)
    except ValueError:
        return address
    return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
