"""Counters in shared memory: one row of plain 64-bit integers per process.

Rules. Made before the fork, so parent and children see the same pages. Each process writes its
own row only, so no lock is needed; anyone reads all rows. A row outlives the process that wrote
it: a restarted process goes on counting where the last one stopped; what a dead one had, its parent
clears. Reads may catch a row between two writes; counters tolerate that.
"""

import mmap
from collections.abc import Sequence


class Scoreboard:
    """`rows` times `fields` integers, zero at first."""

    def __init__(self, fields: Sequence[str], rows: int) -> None:
        self.fields = tuple(fields)
        self.rows = rows
        self._memory = mmap.mmap(-1, max(1, len(self.fields) * rows) * 8)
        self._cells = memoryview(self._memory).cast("q")

    def row(self, index: int) -> "memoryview[int]":
        """Row `index`, writable: `row[field] += 1`."""
        if not 0 <= index < self.rows:
            raise IndexError(f"no row {index} on a scoreboard of {self.rows}")
        width = len(self.fields)
        return self._cells[index * width : (index + 1) * width]

    def read(self, index: int) -> dict[str, int]:
        """The values of row `index` by field name."""
        return dict(zip(self.fields, self.row(index), strict=True))
