"""docs/metrics.md, written from what `/metrics` says of itself.

    python -m chat.api.catalogue > docs/metrics.md

Rules. Nothing is said here that a HELP text could say. A test keeps the page equal.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from chat.api import families
from chat.api.family import PREFIX, Distribution, Family
from chat.api.metrics import API_FIELDS, Metrics
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard

HEAD: Final = """\
# Metrics

`GET /metrics` on the API's port, in Prometheus' text format; where keys are set, one with the
scope `metrics` ([api.md](api.md)). A shard's numbers have the label `shard` and are shown once: a
node's are `sum without (shard) (…)`. They outlive a shard that dies, so counters only fall when the
node is started anew; its gauges are 0 until it is back. Histograms have buckets that double. What
is *times the viewers* is multiplied once a batch: nothing is done for each viewer but the write.

[deploy/grafana](../deploy/grafana) has a dashboard of these,
[deploy/alerts.yml](../deploy/alerts.yml) alerts, and [operations.md](operations.md) what to do
about them. `danmaku_api_process_…` are the usual ones of the API's process.
"""

SECTIONS: Final[Sequence[tuple[str, Sequence[Family | Distribution]]]] = (
    ("Audience", families.AUDIENCE),
    ("Who and what is refused", families.REFUSED),
    ("Traffic", families.TRAFFIC),
    ("Not delivered", families.NOT_DELIVERED),
    ("Latency", families.LATENCY),
    ("Health", families.HEALTH),
    ("Redis", families.REDIS),
    ("Moderation", families.MODERATION),
    ("The node", families.NODE),
)


def page() -> str:
    """The page."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for title, found in SECTIONS:
        yield _table(title, map(_row, found))
    metrics = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1))
    rows = []
    own = (metrics.requests, metrics.seconds, metrics.key_requests, metrics.cut)
    for one in (metrics.build, *own, metrics.bus_seconds, metrics.bus_errors):
        [shown] = one.describe()
        rows.append((shown.name, shown.type, ", ".join(one._labelnames), shown.documentation))
    yield _table("The API", rows)


def _row(one: Family | Distribution) -> tuple[str, str, str, str]:
    if isinstance(one, Distribution):
        return PREFIX + one.name, "histogram", "", one.help
    labels = f"{one.label}: {', '.join(one.columns)}" if one.label else ""
    return PREFIX + one.name, "gauge" if one.gauge else "counter", labels, one.help


def _table(title: str, rows: Iterable[tuple[str, str, str, str]]) -> str:
    lines = [f"## {title}\n", "| metric | kind | labels | |", "|---|---|---|---|"]
    for name, kind, labels, help_ in rows:
        total = "_total" if kind == "counter" else ""
        lines.append(f"| `{name}{total}` | {kind} | {labels} | {help_} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
