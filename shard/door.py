"""The way in: connections off the listener, and requests until they are whole.

Rules. Nothing is decided here but sizes: who gets in is `handshake`'s, what becomes of a connection
is the group's. A connection whose request came in one piece, as nearly all do, leaves no trace.
"""

import os
import socket
from http import HTTPStatus
from typing import Final

from shard.familiar import Familiar
from shard.handshake import END_OF_HEADERS, Answer, Terms, Upgrade, answer

MAX_ACCEPTS: Final = 256

FULL: Final = answer(HTTPStatus.SERVICE_UNAVAILABLE, "no room here now", "Retry-After: 5")
LATE: Final = answer(HTTPStatus.REQUEST_TIMEOUT, "the request took too long")
LONG: Final = answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too long"
)


class Door:
    """One listener's.

    handshake_bytes  how long a request's header block may be
    """

    def __init__(self, listener: socket.socket, terms: Terms, handshake_bytes: int) -> None:
        self.fd = listener.fileno()
        self._listener = listener
        self._familiar = Familiar(terms)
        self._handshake_bytes = handshake_bytes
        self._unfinished: dict[int, bytes] = {}

    def accept(self) -> tuple[list[int], OSError | None]:
        """Some of the connections that wait, non-blocking; and why there are no more, if that
        is trouble."""
        fds: list[int] = []
        while len(fds) < MAX_ACCEPTS:
            try:
                # accept() would wrap the descriptor in an object, only for us to detach it.
                fd, _ = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                break
            except ConnectionAbortedError:
                continue  # it left while it waited in the queue
            except OSError as error:
                return fds, error
            os.set_blocking(fd, False)
            fds.append(fd)
        return fds, None

    def hear(self, fd: int, data: bytes) -> Upgrade | Answer | None:
        """Bytes of a request: what to say to it, or None while it is not whole."""
        if self._unfinished:
            data = self._unfinished.pop(fd, b"") + data
        end = data.find(END_OF_HEADERS)
        if (len(data) if end < 0 else end) > self._handshake_bytes:
            return LONG
        if end < 0:
            self._unfinished[fd] = data
            return None
        return self._familiar.respond(data, end)

    def forget(self, fd: int) -> None:
        """The connection is over."""
        if self._unfinished:
            self._unfinished.pop(fd, None)
