"""Buffers in size classes, borrowed while a message is incomplete and given back when it ends.

Rules. A borrower gets at least what it asked for, owns the buffer until it gives it back, and
resets what it needs: contents are left over from the last borrower. Giving back twice, or giving
back what was never borrowed, is an error. What a class keeps is bounded, so a burst of large
messages does not stay in memory for ever.
"""

from bisect import bisect_left

SIZES = (256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576)
"""Bytes. Factor four: a growing message is copied at most once per factor, a quarter is used at
the worst. 256 holds a typed line, 4 KiB any command, the rest is for large limits."""


class BufferPool:
    """Size-classed bytearrays; larger than the last class is allocated and never kept."""

    def __init__(self, sizes: tuple[int, ...] = SIZES, keep_bytes: int = 1 << 20) -> None:
        self._sizes = sizes
        self._shelves: tuple[list[bytearray], ...] = tuple([] for _ in sizes)
        self._keep = tuple(max(1, keep_bytes // size) for size in sizes)
        self._lent: set[int] = set()

    def borrow(self, size: int) -> bytearray:
        """A buffer of at least `size` bytes with unspecified contents."""
        shelf = bisect_left(self._sizes, size)
        if shelf == len(self._sizes):
            buffer = bytearray(size)
        elif self._shelves[shelf]:
            buffer = self._shelves[shelf].pop()
        else:
            buffer = bytearray(self._sizes[shelf])
        self._lent.add(id(buffer))
        return buffer

    def grow(self, buffer: bytearray, used: int, size: int) -> bytearray:
        """Trade `buffer` for one of at least `size` bytes that begins with its first `used`."""
        # Twice as large at least, or beyond the last class every read would copy the whole.
        larger = self.borrow(max(size, 2 * len(buffer)))
        larger[:used] = memoryview(buffer)[:used]
        self.give_back(buffer)
        return larger

    def give_back(self, buffer: bytearray) -> None:
        """End a loan. Raises ValueError for a buffer that is not on loan."""
        if id(buffer) not in self._lent:
            raise ValueError("this buffer is not on loan")
        self._lent.discard(id(buffer))
        shelf = bisect_left(self._sizes, len(buffer))
        if shelf < len(self._sizes) and len(self._shelves[shelf]) < self._keep[shelf]:
            self._shelves[shelf].append(buffer)

    @property
    def on_loan(self) -> int:
        """How many buffers are borrowed now."""
        return len(self._lent)

    @property
    def kept_bytes(self) -> int:
        """Bytes on the shelves, waiting for a borrower."""
        return sum(
            size * len(shelf) for size, shelf in zip(self._sizes, self._shelves, strict=True)
        )
