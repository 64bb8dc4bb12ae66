"""Histograms on a scoreboard: a column for each bucket, one for what is beyond, one for the sum.

Rules. A value is a whole number of the histogram's unit, and one observation is two additions: it
is made once per flush, turn or round trip, never per viewer. Columns hold each bucket's own count;
who shows them adds them up.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram's shape.

    name    what its columns' names begin with
    first   number of its first column
    bounds  largest value of each bucket, ascending
    """

    name: str
    first: int
    bounds: tuple[int, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Its columns' names, in order."""
        return *(f"{self.name}_to_{bound}" for bound in self.bounds), *self._last

    @property
    def _last(self) -> tuple[str, str]:
        return f"{self.name}_beyond", f"{self.name}_sum"

    @property
    def end(self) -> int:
        """Number of the first column behind it."""
        return self.first + len(self.bounds) + 2

    @property
    def sum(self) -> int:
        """Number of the column with the sum of all values."""
        return self.end - 1


class Histogram:
    """One row's."""

    def __init__(self, buckets: Buckets, row: "memoryview[int]") -> None:
        self._row: Final = row
        self._first: Final = buckets.first
        self._bounds: Final = buckets.bounds
        self._sum: Final = buckets.sum

    def observe(self, value: int) -> None:
        """Count a value. One below nothing, of a clock that was set back, is nothing."""
        if value < 0:
            value = 0
        row = self._row
        row[self._first + bisect_left(self._bounds, value)] += 1
        row[self._sum] += value


def doubling(least: int, count: int) -> tuple[int, ...]:
    """So many bounds, each twice the one before."""
    return tuple(least << i for i in range(count))
