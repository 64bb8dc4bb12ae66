"""Listening sockets, and how many connections this process may hold.

Rules. One socket a node, made and held by the supervisor; all shards accept from it (`levels` says
who and when), so nobody waits for a shard that is full, stopped or dead, and what waits survives
all of them. Options set on it are inherited by every connection, which saves their system calls.
"""

import resource
import socket
from typing import Final

RESERVED_DESCRIPTORS: Final = 64
"""Descriptors a shard needs beside connections: loop, epoll, listeners, Redis, log."""

FAR_AWAY: Final = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737)."""

MOST_ROWS: Final = 1 << 20
"""Some containers promise a thousand million descriptors; no process gets to hold so many."""


def listen(
    host: str, port: int, backlog: int, send_buffer: int, dead_after_s: int = 0
) -> socket.socket:
    """A listener, of which `backlog` connections wait to be accepted, or net.core.somaxconn if
    that is less; port 0 picks a free one.

    What a peer does not acknowledge for `dead_after_s` ends its connection (0: as the kernel has
    it), which finds the dead among those who have nothing to say.
    Raises OSError naming the address.
    """
    listener: socket.socket | None = None
    try:
        listener = _socket(host)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What the kernel queues for a slow reader is out of our hands: keep it short.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * dead_after_s)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError as error:
        if listener is not None:
            listener.close()
        why = f"{authority(host, port)}: {error.strerror or error}"
        raise OSError(error.errno, why) from None
    return listener


def authority(host: str, port: int) -> str:
    """An address as it stands in a URL (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_address() -> str:
    """This machine's address, of those that others reach; "" where it has no route to any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(FAR_AWAY)  # which sends nothing
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    # Of connections in TIME_WAIT, not beside another listener: the kernel refuses that.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_ROWS if hard == resource.RLIM_INFINITY else min(hard, MOST_ROWS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit
