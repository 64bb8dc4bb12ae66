"""The connection table: what is known of every connection, in arrays indexed by its row.

Rules. A row number is a file descriptor, so the kernel is the allocator and there is no free list.
Everything here is a plain number; what only a few connections own lives elsewhere, keyed by row.
An idle connection costs the sum of the item sizes below and owns no Python object.

Phases are the owner's numbers, and so is which may follow which: every change of one goes through
`move`, which looks it up.

Danger: the kernel hands a closed descriptor's number to the next connection. Two guards:
`generation` changes whenever a row is retired, so whatever outlives a turn carries a Handle and
asks `alive`; and a retired row is quarantined: its descriptor stays open, and so its number
unused, until the owner has reclaimed it.
"""

from array import array
from collections import deque
from collections.abc import Mapping, Set

from pool.handle import Handle

FREE = 0
"""The phase of a row nobody has. All other phases are the owner's numbers."""


class ConnectionTable:
    """Columns for `capacity` rows.

    follows  which phases may follow which, as (now, then)
    names    of the phases, for the error that names both

    phase       where the connection is in its life; the owner's numbers, FREE when unused
    variant     which encoding of a message this connection reads; the owner's numbers
    flags       the owner's bits
    generation  how often the row was retired
    seen        tick of the last inbound byte
    due         tick at which the timing wheel visits the row
    """

    def __init__(
        self, capacity: int, follows: Set[tuple[int, int]], names: Mapping[int, str]
    ) -> None:
        self.capacity = capacity
        self._follows = follows
        self._names = names
        self.phase = bytearray(capacity)
        self.variant = bytearray(capacity)
        self.flags = bytearray(capacity)
        self.generation = array("I", bytes(4 * capacity))
        self.seen = array("I", bytes(4 * capacity))
        self.due = array("I", bytes(4 * capacity))
        self._quarantine: deque[tuple[int, int]] = deque()

    def move(self, row: int, phase: int) -> None:
        """Change a row's phase. Raises RuntimeError where it may not follow the one it is in."""
        now = self.phase[row]
        if (now, phase) not in self._follows:
            names = self._names
            raise RuntimeError(f"row {row} does not go from {names[now]} to {names[phase]}")
        self.phase[row] = phase

    def take(self, row: int, phase: int, tick: int) -> None:
        """Begin a connection's life."""
        self.move(row, phase)
        self.variant[row] = 0
        self.flags[row] = 0
        self.seen[row] = tick

    def handle(self, row: int) -> Handle:
        """The handle of the connection that has `row` now."""
        return Handle(row, self.generation[row])

    def alive(self, handle: Handle) -> bool:
        """Whether the connection still has its row."""
        return self.generation[handle.fd] == handle.generation and self.phase[handle.fd] != FREE

    def retire(self, row: int, phase: int, tick: int) -> None:
        """End a connection's life: it keeps its number, in `phase`, until reclaimed."""
        self.move(row, phase)
        self.generation[row] = (self.generation[row] + 1) & 0xFFFFFFFF
        self._quarantine.append((row, tick))

    def reclaim(self, before: int) -> list[int]:
        """Free the rows retired before tick `before` and return them, oldest first."""
        rows = []
        while self._quarantine and self._quarantine[0][1] < before:
            row, _ = self._quarantine.popleft()
            self.move(row, FREE)
            rows.append(row)
        return rows

    @property
    def quarantined(self) -> int:
        """How many rows are retired and not yet reclaimed."""
        return len(self._quarantine)
