"""A metric of the scoreboards: which columns it shows, under which name, and what it says of them.

Rules. Names are Prometheus': what is counted, its unit, `_total` where it only grows; seconds and
bytes, nothing smaller. One thing of several reasons is one family with a label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pool.histogram import Buckets

PREFIX: Final = "danmaku_"
MS: Final = 1e-3
US: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Family:
    """Columns under one name.

    name     without PREFIX, and without `_total`
    columns  column numbers by the label's value; one under "" where there is no label
    unit     what a column's one is in the metric's unit
    """

    name: str
    help: str
    columns: Mapping[str, int]
    label: str = ""
    gauge: bool = False
    unit: float = 1

    @property
    def full_name(self) -> str:
        """As its samples are called."""
        return PREFIX + self.name + ("" if self.gauge else "_total")


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram; `name` and `unit` likewise."""

    name: str
    help: str
    buckets: Buckets
    unit: float = 1


def counter(name: str, column: int, help_: str) -> Family:
    """One that only grows, of one column."""
    return Family(name, help_, {"": column})


def gauge(name: str, column: int, help_: str, unit: float = 1) -> Family:
    """One that is set, of one column."""
    return Family(name, help_, {"": column}, gauge=True, unit=unit)
