"""Listening sockets, and how many connections this process may hold.

Rules. One SO_REUSEPORT socket per shard, made and held by the supervisor: the kernel spreads
connections over them by address, and a crashed shard's queue of waiting connections survives it.
Options set on the listener are inherited by every connection, which saves their system calls.
"""

import resource
import socket
from typing import Final

RESERVED_DESCRIPTORS: Final = 64
"""Descriptors a shard needs beside connections: loop, epoll, listeners, Redis, log."""

MOST_ROWS: Final = 1 << 20
"""Some containers promise a thousand million descriptors; no process gets to hold so many."""


def listen(
    host: str, port: int, count: int, backlog: int, send_buffer: int, dead_after_s: int = 0
) -> list[socket.socket]:
    """`count` listeners on one port; port 0 picks a free one for all.

    What a peer does not acknowledge for `dead_after_s` ends its connection (0: as the kernel has
    it), which finds the dead among those who have nothing to say.
    Raises OSError naming the address.
    """
    listeners: list[socket.socket] = []
    try:
        _check_free(host, port)
        for _ in range(count):
            listener = _socket(host)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # What the kernel queues for a slow reader is out of our hands: keep it short.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            timeout_ms = 1000 * dead_after_s
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
            listener.setblocking(False)
            listener.bind((host, port))
            port = listener.getsockname()[1]
            listener.listen(backlog)
    except OSError as error:
        for listener in listeners:
            listener.close()
        why = f"{authority(host, port)}: {error.strerror or error}"
        raise OSError(error.errno, why) from None
    return listeners


def authority(host: str, port: int) -> str:
    """An address as it stands in a URL (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _check_free(host: str, port: int) -> None:
    """Raise OSError when somebody listens there.

    SO_REUSEPORT would let a second node of the same user in without a word, and the two would
    share the viewers between them.
    """
    with _socket(host) as probe:
        probe.bind((host, port))


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_ROWS if hard == resource.RLIM_INFINITY else min(hard, MOST_ROWS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit
