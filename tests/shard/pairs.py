"""Real socket pairs with a tiny send buffer, for what happens when a reader is slow."""

import os
import socket

Pair = tuple[socket.socket, socket.socket]
"""(the server's end, the reader's end), neither blocking."""


def small_pair() -> Pair:
    """A pair that takes a few kilobytes before a write would block."""
    writer, reader = socket.socketpair()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    for end in (writer, reader):
        end.setblocking(False)
    return writer, reader


def fill(writer: socket.socket) -> int:
    """Write dots until a write would block; how many went in."""
    total = 0
    while True:
        try:
            total += os.write(writer.fileno(), b"." * 512)
        except BlockingIOError:
            return total


def read(reader: socket.socket, most: int = 1 << 20) -> bytes:
    """Up to `most` bytes of what has arrived."""
    data = b""
    while len(data) < most:
        try:
            new = reader.recv(min(1 << 16, most - len(data)))
        except BlockingIOError:
            break
        if not new:
            break
        data += new
    return data
