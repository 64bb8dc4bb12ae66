"""What two looks at a node's metrics say of the time between them.

Rules. Pure: text and times in, numbers out. A rate is what each series has grown by, summed, over
the seconds between the looks. A series that fell has begun anew, as all of a node's do when it is
started again, and has grown by what it shows now; so no rate is ever negative. One that was not
there before says nothing yet. A number that cannot be known is None, never 0.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
INFINITE: Final = math.inf


@dataclass(frozen=True, slots=True)
class Look:
    """What was shown at a moment.

    at       seconds of a monotonic clock
    samples  values by a sample's name and its labels
    """

    at: float
    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def of(self, name: str, **labels: str) -> Mapping[Labels, float]:
        """The series of this name that have these labels, among others."""
        found = self.samples.get(name, {})
        wanted = labels.items()
        return {one: value for one, value in found.items() if wanted <= one}

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of a gauge's or counter's series; None where there is none."""
        found = self.of(name, **labels)
        return sum(found.values()) if found else None

    def values(self, name: str, label: str) -> list[str]:
        """What a label says in the series of this name, in order; numbers as numbers."""
        found = {value for one in self.samples.get(name, {}) for key, value in one if key == label}
        return sorted(found, key=lambda value: (len(value), value))


def read(text: str, at: float, names: frozenset[str]) -> Look:
    """A look at what `/metrics` said, of these names only. Raises ValueError: it said another
    thing."""
    lines = [line for line in text.splitlines() if _name(line) in names]
    samples: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families("\n".join([*lines, ""])):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    of = samples.setdefault(sample.name, {})
                    of[frozenset(sample.labels.items())] = sample.value
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not metrics: {error}") from None
    return Look(at, samples)


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Between:
    """Two looks at the same node, the earlier of which may be missing."""

    before: Look | None
    now: Look

    def rate(self, name: str, **labels: str) -> float | None:
        """How much a counter grew a second, of all series with these labels together."""
        if self.before is None or (seconds := self.now.at - self.before.at) <= 0:
            return None
        was = self.before.of(name, **labels)
        grown = [increase(was[one], value) for one, value in self._again(name, labels, was)]
        return sum(grown) / seconds if grown else None

    def rates(self, name: str, label: str) -> dict[str, float]:
        """The rates of a counter that are not 0, by what the label says."""
        found = ((one, self.rate(name, **{label: one})) for one in self.now.values(name, label))
        return {one: rate for one, rate in found if rate}

    def quantile(self, share: float, name: str, **labels: str) -> float | None:
        """The value that `share` of a histogram's observations between the looks did not exceed, as
        Prometheus' histogram_quantile() has it; 1 is the bound of the largest."""
        if self.before is None:
            return None
        was, up_to = self.before.of(f"{name}_bucket", **labels), dict[float, float]()
        groups: dict[Labels, dict[float, tuple[float, float]]] = {}
        for one, value in self._again(f"{name}_bucket", labels, was):
            bound = _bound(one)
            if bound is not None:
                rest = frozenset(pair for pair in one if pair[0] != "le")
                groups.setdefault(rest, {})[bound] = was[one], value
        for pairs in groups.values():
            anew = any(value < earlier for earlier, value in pairs.values())
            for bound, (earlier, value) in pairs.items():
                grown = value if anew else value - earlier
                up_to[bound] = up_to.get(bound, 0) + grown
        return quantile(share, sorted(up_to.items()))

    def _again(
        self, name: str, labels: dict[str, str], was: Mapping[Labels, float]
    ) -> Iterator[tuple[Labels, float]]:
        """The series that are there now and were before."""
        found = self.now.of(name, **labels)
        return ((one, value) for one, value in found.items() if one in was)


def increase(before: float, now: float) -> float:
    """What a counter grew by; one that fell has begun at nothing."""
    return now if now < before else now - before


def quantile(share: float, up_to: Iterable[tuple[float, float]]) -> float | None:
    """Of cumulative counts by ascending bounds, even within a bucket; None where there are none.
    What lies beyond all bounds is taken to be at the last one."""
    buckets = list(up_to)
    total = max((count for _, count in buckets), default=0)
    if total <= 0:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            return (
                low if bound == INFINITE else low + (bound - low) * (rank - below) / (count - below)
            )
        low, below = (low if bound == INFINITE else bound), max(below, count)
    return low


def _bound(labels: Labels) -> float | None:
    try:
        return float(dict(labels)["le"])
    except (KeyError, ValueError):
        return None
