"""When the tokens of a shard's connections end: first said, then done.

Rules. Pure, but for who is told. One number a connection; a heap finds who is due, so that a tick
costs what is due and not what is connected. What a connection's number was before stays in the heap
until it is found there and passed over, or until it is half of the heap.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

EXPIRING_S: Final = 60
"""How long before the end a connection is told: a client's request for another token, and more."""
SLACK: Final = 64


class Expiries:
    """Times in seconds since 1970, by descriptor."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        self._due: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def set(self, fd: int, end: int) -> None:
        """A connection ends then, and no longer when it did; 0: never."""
        self.forget(fd)
        if end:
            self._ends[fd] = end
            self._expect(fd, end - EXPIRING_S)

    def forget(self, fd: int) -> None:
        """The connection is over."""
        if self._ends.pop(fd, None) is not None:
            self._due.pop(fd, None)

    def due(self, now: float) -> Iterator[tuple[int, float]]:
        """Connections to be told, once, that they end in so many seconds; to be ended: 0."""
        while self._heap and self._heap[0][0] <= now:
            at, fd = heappop(self._heap)
            if self._due.get(fd) != at:
                continue
            del self._due[fd]
            left = self._ends[fd] - now
            if left > 0:
                self._expect(fd, self._ends[fd])
            yield fd, max(left, 0)

    def _expect(self, fd: int, at: int) -> None:
        self._due[fd] = at
        heappush(self._heap, (at, fd))
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [(at, fd) for fd, at in self._due.items()]
            heapify(self._heap)
