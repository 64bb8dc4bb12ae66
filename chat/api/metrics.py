"""`/metrics`: the scoreboards, this process and its requests, in Prometheus' text format.

Rules. Nothing is counted here but this process' own requests, which begin at nothing in each life,
as Prometheus expects; the shards' numbers, and what was published, outlive whoever counted them.
Names and meanings are `families`'. Each number is shown once: a shard's with the label `shard`, and
whoever asks for the node's sums them.
"""

import platform
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from chat import __version__
from chat.api.families import NODE, SHARDS
from chat.api.family import PREFIX, Distribution, Family
from chat.counters import NODE_FIELDS, NodeCount
from pool.scoreboard import Scoreboard

API_FIELDS: Final = NODE_FIELDS
"""What API and webhooks count on a scoreboard of one row."""
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# A second series for each, which this format can only call a gauge.
disable_created_metrics()  # type: ignore[no-untyped-call]

Rows = Mapping[str, "memoryview[int]"]
"""Rows of a scoreboard by the label's value; one under "" where there is no label."""


def _family(rows: Rows, label: str, family: Family) -> Metric:
    kind = GaugeMetricFamily if family.gauge else CounterMetricFamily
    labels = [*filter(None, (label, family.label))]
    found = kind(PREFIX + family.name, family.help, labels=labels)
    for of, row in rows.items():
        for value, column in family.columns.items():
            found.add_metric([*filter(None, (of, value))], row[column] * family.unit)
    return found


def _distribution(rows: Rows, label: str, shown: Distribution) -> Metric:
    buckets = shown.buckets
    bounds = [*(f"{bound * shown.unit:.10g}" for bound in buckets.bounds), "+Inf"]
    found = HistogramMetricFamily(PREFIX + shown.name, shown.help, labels=[*filter(None, [label])])
    for of, row in rows.items():
        up_to = accumulate(row[buckets.first : buckets.sum])
        pairs = [(bound, float(count)) for bound, count in zip(bounds, up_to, strict=True)]
        found.add_metric([*filter(None, [of])], pairs, row[buckets.sum] * shown.unit)
    return found


class ScoreboardCollector(Collector):
    """Families of a scoreboard's rows, each row under its number where they have a `label`."""

    def __init__(
        self, board: Scoreboard, families: tuple[Family | Distribution, ...], label: str = ""
    ) -> None:
        self._rows = {str(i) if label else "": board.row(i) for i in range(board.rows)}
        self._families = families
        self._label = label

    def collect(self) -> Iterator[Metric]:
        for one in self._families:
            if isinstance(one, Family):
                yield _family(self._rows, self._label, one)
            else:
                yield _distribution(self._rows, self._label, one)


class Metrics:
    """All that `/metrics` shows: the shards' `board`, the API's own, and this process."""

    def __init__(self, board: Scoreboard, own: Scoreboard) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ScoreboardCollector(board, SHARDS, "shard"))
        self.build = Gauge(
            "danmaku_build_info",
            "Always 1: which release this is, and on which Python.",
            ["version", "python"],
            registry=self._registry,
        )
        self.build.labels(__version__, platform.python_version()).set(1)
        ProcessCollector(namespace="danmaku_api", registry=self._registry)
        self.requests = Counter(
            "danmaku_api_requests",
            "Requests to the API, by route and status; 499 is one whose client left.",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "danmaku_api_request_seconds",
            "How long requests to the API took, by route.",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.key_requests = Counter(
            "danmaku_api_key_requests",
            "Requests to the API, by the name of their key and status.",
            ["key", "status"],
            registry=self._registry,
        )
        self.cut = Counter(
            "danmaku_api_cut",
            "Connections to the API that a limit ended, by what they were answered, `unread`: they "
            "did not read their answers, or `full`: there were too many.",
            ["reason"],
            registry=self._registry,
        )
        self.bus_seconds = Histogram(
            "danmaku_api_bus_request_seconds",
            "Round trips of the API's process to Redis, and the wait for a connection.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.bus_errors = Counter(
            "danmaku_api_bus_errors",
            "Requests of the API's process that Redis did not answer.",
            registry=self._registry,
        )
        self._registry.register(ScoreboardCollector(own, NODE))
        self._own = own.row(0)
        self.board = board

    def asked(self, seconds: float, failed: bool) -> None:
        """Redis was asked something."""
        self.bus_seconds.observe(seconds)
        self.bus_errors.inc(failed)

    def published(self, messages: int) -> None:
        """So many messages were published."""
        self._own[NodeCount.PUBLISHED] += messages

    def total(self, field: str) -> int:
        """The sum of a counter, or of a gauge, over this node's shards."""
        return sum(self.board.read(i)[field] for i in range(self.board.rows))

    def render(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self._registry)
