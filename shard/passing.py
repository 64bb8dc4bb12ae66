"""Connections that are for another process: handed over, with what was read of them.

    (descriptor, "ADDRESS\\nBYTES")  ->  SOCK_SEQPACKET at a path  ->  who listens there

Rules. A message is one connection: its client's address, and the request as far as it has come, a
PROXY header taken off; what follows is read by who gets it. Nothing here waits. The kernel holds
what the other process has not taken yet, up to QUEUE_BYTES; beyond that, and where nobody listens,
a client is told so. A new life of the other process is found at the first message to the old one.

Danger: epoll goes on telling of a connection that another process holds, even when it is closed
here. It has to be unregistered before it is let go.
"""

import errno
import os
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from shard.handshake import Answer, answer

QUEUE_BYTES: Final = 262_144
"""What may wait, the kernel's own share included: some hundred short requests, a few of the
longest. The kernel doubles this, and cuts it to net.core.wmem_max before."""

PASSED: Final = Answer(b"", HTTPStatus.OK)
"""It is another process' now, which will answer it."""
DOWN: Final = answer(
    HTTPStatus.SERVICE_UNAVAILABLE, "who answers this is not there now", "Retry-After: 2"
)
BUSY: Final = answer(
    HTTPStatus.SERVICE_UNAVAILABLE, "too many requests wait to be answered", "Retry-After: 5"
)

NOT_THERE: Final = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.EACCES)
LEFT: Final = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNREFUSED)


class Passing:
    """The way from this process to who listens at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._way: socket.socket | None = None
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def hand_over(self, fd: int, client: str, data: bytes) -> Answer:
        """PASSED, or what to tell the client. PASSED, the descriptor stays open here until
        `let_go`; it must not be read or shut down any more."""
        message = [client.encode() + b"\n", data]
        for _ in range(2):
            try:
                self._send(fd, message)
                return PASSED
            except OSError as error:
                if error.errno in NOT_THERE:
                    return DOWN
                if error.errno not in LEFT:
                    return BUSY  # no room, or no descriptors for more
                self._leave()
        return DOWN

    def _send(self, fd: int, message: list[bytes]) -> None:
        if self._way is None:
            self._way = self._connect()
        socket.send_fds(self._way, message, [fd], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _connect(self) -> socket.socket:
        way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            way.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)
            way.connect(self._path)
        except OSError:
            way.close()
            raise
        return way

    def let_go(self, fd: int) -> None:
        """Hold only the number of a descriptor that was handed over, so that its end is the other
        process' to make."""
        os.dup2(self._nothing, fd, inheritable=False)

    def _leave(self) -> None:
        if self._way is not None:
            self._way.close()
            self._way = None

    def shut(self) -> None:
        """Nothing is handed over any more."""
        self._leave()
        with suppress(OSError):
            os.close(self._nothing)
        self._nothing = -1
