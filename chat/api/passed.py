"""Connections that shards pass on: requests at the WebSocket port that are this process' to answer.

    shard -> (descriptor, "ADDRESS\\nBYTES") -> Inbox -> Passed, and a socket of ours

Rules. One SOCK_SEQPACKET listener in the node's run directory, which is the user's alone, and a
connection of each shard; a message is a client (`shard/passing.py`). A life before may have left
its name there. What waits is the kernel's to hold and to bound; so many are taken at once that
requests which are being answered have their turn.

Danger: a descriptor that was received and is not used must be closed, or a client hangs.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

log = logging.getLogger(__name__)

PASSED: Final = "danmaku.passed"
"""In the scope of a request that came by the WebSocket port."""
MESSAGE_BYTES: Final = 131_072
"""More than a head at its limit, 64 KiB, and what was read behind it."""
MOST_AT_ONCE: Final = 32
WAYS: Final = 1024
"""As many shards as there may be."""


class Passed(NamedTuple):
    """Who a client is, as the shard found, and what it has said."""

    client: str
    data: bytes


Adopt = Callable[[socket.socket, Passed], Coroutine[Any, Any, None]]


class Inbox:
    """Takes connections at `path` and has each adopted; `lost` is called for one that could not be
    received, which is over."""

    def __init__(self, path: Path, adopt: Adopt, lost: Callable[[], None]) -> None:
        self._path = path
        self._adopt = adopt
        self._lost = lost
        self._ways: set[socket.socket] = set()
        self._adopting: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Begin. Raises OSError."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
        self._listener = socket.socket(socket.AF_UNIX, kind)
        self._listener.bind(str(self._path))
        self._listener.listen(WAYS)
        asyncio.get_running_loop().add_reader(self._listener, self._meet, self._listener)

    def _meet(self, listener: socket.socket) -> None:
        try:
            way, _ = listener.accept()
        except OSError as error:
            log.warning("a shard's way in is not open: %s", error)
            return
        way.setblocking(False)
        self._ways.add(way)
        asyncio.get_running_loop().add_reader(way, self._take, way)

    def _take(self, way: socket.socket) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                data, fds, _, _ = socket.recv_fds(way, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._leave(way)
                return
            self._receive(data, fds)

    def _receive(self, message: bytes, fds: list[int]) -> None:
        if not fds:  # there was no descriptor to be had for it
            self._lost()
            return
        client, _, data = message.partition(b"\n")
        connection = socket.socket(fileno=fds[0])
        adopting = self._adopt(connection, Passed(client.decode("latin-1"), data))
        task = asyncio.get_running_loop().create_task(adopting)
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    def _leave(self, way: socket.socket) -> None:
        """A shard has ended."""
        asyncio.get_running_loop().remove_reader(way)
        self._ways.discard(way)
        way.close()

    def close(self) -> None:
        """Take nobody any more. Shards then say so themselves."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        with suppress(OSError):
            os.unlink(self._path)
        for way in [*self._ways]:
            self._take(way)  # what waits is answered yet
            if way in self._ways:
                self._leave(way)
