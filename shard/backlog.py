"""What a slow reader was not sent yet: references to shared bytes, and since when it is stalled;
and what it is spared.

Rules. A backlog exists only while the kernel's send buffer is full. It never copies a batch: a
chunk is the shared `bytes`, or a memoryview of its rest when it is half out. Its size is the bytes
still to be sent; the owner compares it with the limits.
"""

import os
from collections import deque
from enum import IntEnum

MAX_CHUNKS = 64
"""Chunks per writev; more would be bounded by the send buffer anyway (IOV_MAX is 1024)."""


class Keep(IntEnum):
    """How much it matters that a slow reader gets something: the least goes first."""

    LOW = 0
    """What the next of its kind makes up for, as a count, or what is news only now: left out from
    half the soft limit on, and nobody has missed anything."""
    NORMAL = 1
    """Left out from the soft limit on: a hole, and until the reader has caught up all of it is."""
    ALWAYS = 2
    """Never left out: at the hard limit the reader is given up."""


class Backlog:
    """The unsent tail of one connection. `since` is the tick of the last byte that went out.

    dropped  whether something was left out meanwhile that is missed
    asked    bytes at its head that the peer asked for: they are no reason to leave anything out
    """

    __slots__ = ("asked", "chunks", "dropped", "since", "size")

    def __init__(self, tick: int) -> None:
        self.chunks: deque[bytes | memoryview] = deque()
        self.size = self.asked = 0
        self.since = tick
        self.dropped = False

    def push(self, data: bytes | memoryview) -> None:
        """Queue `data` behind what waits."""
        self.chunks.append(data)
        self.size += len(data)

    def cut(self) -> int:
        """Drop all but a chunk that is half out; how many chunks were dropped."""
        half = self.chunks[0] if self.chunks and isinstance(self.chunks[0], memoryview) else None
        dropped = len(self.chunks) - (half is not None)
        self.chunks.clear()
        self.size = self.asked = 0
        if half is not None:
            self.push(half)
        return dropped

    def flush(self, fd: int, tick: int) -> int:
        """Write what the kernel takes; the bytes written, 0 when it takes none.

        Raises OSError when the connection is gone.
        """
        sent = 0
        while self.chunks:
            head = [self.chunks[i] for i in range(min(len(self.chunks), MAX_CHUNKS))]
            offered = sum(map(len, head))
            try:
                wrote = os.writev(fd, head)
            except BlockingIOError:
                break
            self._drop(wrote)
            sent += wrote
            if wrote < offered:
                break
        if sent:
            self.since = tick
        return sent

    def _drop(self, wrote: int) -> None:
        self.size -= wrote
        self.asked = max(0, self.asked - wrote)
        while self.chunks and wrote >= len(self.chunks[0]):
            wrote -= len(self.chunks.popleft())
        if wrote:
            self.chunks[0] = memoryview(self.chunks[0])[wrote:]
