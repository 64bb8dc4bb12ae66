"""`/metrics`: the scoreboards, this process and its requests, in Prometheus' text format.

Rules. Nothing is counted here but this process' own requests, which begin at nothing in each life,
as Prometheus expects; the shards' numbers, and what was published, outlive whoever counted them.
The shards' appear twice, as `danmaku_NAME{shard="0"}` and as their sum `danmaku_node_NAME`, so that
a glance at a node needs no query language.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chat.counters import GAUGES, NODE_FIELDS, NODE_GAUGES, NodeCount
from pool.scoreboard import Scoreboard

API_FIELDS: Final = NODE_FIELDS
"""What API and webhooks count on a scoreboard of one row."""
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ScoreboardCollector(Collector):
    """The shards' rows as metrics."""

    def __init__(self, board: Scoreboard) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        rows = [self._board.read(i) for i in range(self._board.rows)]
        for field in self._board.fields:
            family = GaugeMetricFamily if field in GAUGES else CounterMetricFamily
            words = field.replace("_", " ")
            shards = family(f"danmaku_{field}", f"{words}, by shard", labels=["shard"])
            for i, row in enumerate(rows):
                shards.add_metric([str(i)], row[field])
            yield shards
            total = sum(row[field] for row in rows)
            yield family(f"danmaku_node_{field}", f"{words}, all shards", value=total)


class NodeCollector(Collector):
    """What backends published, and what was sent to webhooks, of all lives of who did it."""

    def __init__(self, board: Scoreboard) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        row = self._board.read(0)
        yield CounterMetricFamily(
            "danmaku_api_published", "messages published for backends", value=row["published"]
        )
        for field in NODE_FIELDS[1:]:
            family = GaugeMetricFamily if field in NODE_GAUGES else CounterMetricFamily
            yield family(f"danmaku_{field}", field.replace("_", " "), value=row[field])


class Metrics:
    """All that `/metrics` shows: the shards' `board`, the API's own, and this process."""

    def __init__(self, board: Scoreboard, own: Scoreboard) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ScoreboardCollector(board))
        ProcessCollector(namespace="danmaku_api", registry=self._registry)
        self.requests = Counter(
            "danmaku_api_requests",
            "requests to the API, by route and status",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "danmaku_api_request_seconds",
            "how long requests took",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.key_requests = Counter(
            "danmaku_api_key_requests",
            "requests to the API, by the name of their key and status",
            ["key", "status"],
            registry=self._registry,
        )
        self.cut = Counter(
            "danmaku_api_cut",
            "connections a limit ended, by what they were answered, unread, or full",
            ["reason"],
            registry=self._registry,
        )
        self._registry.register(NodeCollector(own))
        self._own = own.row(0)
        self._board = board

    def published(self, messages: int) -> None:
        """So many messages were published."""
        self._own[NodeCount.PUBLISHED] += messages

    def total(self, field: str) -> int:
        """The sum of a counter, or of a gauge, over this node's shards."""
        return sum(self._board.read(i)[field] for i in range(self._board.rows))

    def render(self) -> bytes:
        """The text Prometheus scrapes."""
        return generate_latest(self._registry)
