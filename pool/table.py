"""The connection table: what is known of every connection, in arrays indexed by its row.

Rules. A row number is a file descriptor, so the kernel is the allocator and there is no free list.
Everything here is a plain number; what only a few connections own lives elsewhere, keyed by row.
An idle connection costs the sum of the item sizes below and owns no Python object.

Danger: the kernel hands a closed descriptor's number to the next connection. Two guards:
`generation` changes whenever a row is retired, so whatever outlives a turn carries (row,
generation) and asks `alive`; and a retired row is quarantined: its descriptor stays open, and so
its number unused, until the owner has reclaimed it.
"""

from array import array
from collections import deque

FREE = 0
"""The phase of a row nobody has. All other phases are the owner's numbers."""


class ConnectionTable:
    """Columns for `capacity` rows.

    phase       where the connection is in its life; the owner's numbers, FREE when unused
    variant     which encoding of a message this connection reads; the owner's numbers
    flags       the owner's bits
    generation  how often the row was retired
    seen        tick of the last inbound byte
    due         tick at which the timing wheel visits the row
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.phase = bytearray(capacity)
        self.variant = bytearray(capacity)
        self.flags = bytearray(capacity)
        self.generation = array("I", bytes(4 * capacity))
        self.seen = array("I", bytes(4 * capacity))
        self.due = array("I", bytes(4 * capacity))
        self._quarantine: deque[tuple[int, int]] = deque()

    def take(self, row: int, phase: int, tick: int) -> None:
        """Begin a connection's life. Raises ValueError when the row is not free."""
        if self.phase[row] != FREE:
            raise ValueError(f"row {row} is taken: phase {self.phase[row]}")
        self.phase[row] = phase
        self.variant[row] = 0
        self.flags[row] = 0
        self.seen[row] = tick

    def alive(self, row: int, generation: int) -> bool:
        """Whether `row` is still the connection that had `generation`."""
        return self.generation[row] == generation and self.phase[row] != FREE

    def retire(self, row: int, phase: int, tick: int) -> None:
        """End a connection's life: it keeps its number, in `phase`, until reclaimed."""
        self.phase[row] = phase
        self.generation[row] = (self.generation[row] + 1) & 0xFFFFFFFF
        self._quarantine.append((row, tick))

    def reclaim(self, before: int) -> list[int]:
        """Free the rows retired before tick `before` and return them, oldest first."""
        rows = []
        while self._quarantine and self._quarantine[0][1] < before:
            row, _ = self._quarantine.popleft()
            self.phase[row] = FREE
            rows.append(row)
        return rows

    @property
    def quarantined(self) -> int:
        """How many rows are retired and not yet reclaimed."""
        return len(self._quarantine)
