"""`/metrics`: what Prometheus reads of it."""

import re
from math import inf

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from chat.api.families import SHARDS as SHARDS_FAMILIES
from chat.api.family import Distribution, Family
from chat.api.metrics import API_FIELDS, Metrics
from chat.counters import FIELDS, NodeCount
from pool.histogram import Histogram
from pool.scoreboard import Scoreboard
from tests.chat.api.rig import Api

SHARDS = 3
DISTRIBUTIONS = [one for one in SHARDS_FAMILIES if isinstance(one, Distribution)]


@pytest.fixture
def board() -> Scoreboard:
    """Every cell with a number of its own, one of them beyond 32 bits."""
    board = Scoreboard(FIELDS, SHARDS)
    for shard in range(SHARDS):
        row = board.row(shard)
        for i in range(len(FIELDS)):
            row[i] = (shard + 1) * 1000 + i
    board.row(1)[FIELDS.index("bytes_out")] = 2**50
    return board


def families(rendered: bytes) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for family in text_string_to_metric_families(rendered.decode()):
        assert family.name not in found, "a family stands twice"
        found[family.name] = family
    return found


class TestScoreboard:
    @pytest.mark.parametrize("one", SHARDS_FAMILIES, ids=lambda one: one.name)
    def test_each_shards_numbers_are_shown(
        self, board: Scoreboard, one: Family | Distribution
    ) -> None:
        found = families(Metrics(board, Scoreboard(API_FIELDS, 1)).render())[f"danmaku_{one.name}"]
        if isinstance(one, Distribution):
            assert found.type == "histogram"
            return
        assert found.type == ("gauge" if one.gauge else "counter")
        assert {
            (sample.labels["shard"], sample.labels.get(one.label, "")): sample.value
            for sample in found.samples
        } == {
            (str(shard), of): board.row(shard)[column] * one.unit
            for shard in range(SHARDS)
            for of, column in one.columns.items()
        }

    @pytest.mark.parametrize("one", DISTRIBUTIONS, ids=lambda one: one.name)
    def test_a_histograms_buckets_add_up(self, one: Distribution) -> None:
        board = Scoreboard(FIELDS, SHARDS)
        histogram = Histogram(one.buckets, board.row(1))
        first, last = one.buckets.bounds[0], one.buckets.bounds[-1]
        for value in (first, first + 1, last, last + 1):
            histogram.observe(value)
        found = families(Metrics(board, Scoreboard(API_FIELDS, 1)).render())[f"danmaku_{one.name}"]
        mine = [sample for sample in found.samples if sample.labels["shard"] == "1"]
        buckets = {
            float(sample.labels["le"]): sample.value
            for sample in mine
            if sample.name.endswith("_bucket")
        }
        assert list(buckets) == pytest.approx([b * one.unit for b in one.buckets.bounds] + [inf])
        counts = list(buckets.values())
        assert counts == [1, *[2] * (len(counts) - 3), 3, 4]
        [total] = [sample.value for sample in mine if sample.name.endswith("_sum")]
        assert total == pytest.approx((2 * first + 2 * last + 2) * one.unit)
        [count] = [sample.value for sample in mine if sample.name.endswith("_count")]
        assert count == 4

    def test_names_follow_prometheus_conventions(self, board: Scoreboard) -> None:
        for name, family in families(Metrics(board, Scoreboard(API_FIELDS, 1)).render()).items():
            assert re.fullmatch(r"danmaku_[a-z0-9_]+", name)
            assert len(family.documentation.split()) > 2, name
            assert family.documentation.endswith("."), name
            for sample in family.samples:
                assert sample.name.endswith("_total") is (family.type == "counter"), sample
            assert not re.search(r"_(ms|us|kb|mb|minutes)(_|$)", name)
            assert not name.startswith("danmaku_node_")

    def test_no_series_stands_twice(self, api: Api) -> None:
        lines = api.get("/metrics").body.decode().splitlines()
        series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
        assert len(set(series)) == len(series) > 100

    def test_numbers_are_read_when_they_are_asked_for(self, board: Scoreboard) -> None:
        metrics = Metrics(board, Scoreboard(API_FIELDS, 1))
        before = families(metrics.render())["danmaku_connections"].samples[0].value
        board.row(0)[FIELDS.index("connections")] += 5
        after = families(metrics.render())["danmaku_connections"].samples[0].value
        assert after - before == 5


def value(api: Api, name: str, **labels: str) -> float:
    """A sample's value, 0 when there is none yet."""
    for family in families(api.get("/metrics").body).values():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0.0


class TestRequests:
    def test_a_request_is_counted_by_its_route_and_status(self, api: Api, room: str) -> None:
        route = "/v1/rooms/{room}/messages"
        labels = [{"route": route, "status": status} for status in ("200", "400", "404")]
        before = [value(api, "danmaku_api_requests_total", **each) for each in labels]
        timed = value(api, "danmaku_api_request_seconds_count", route=route)
        api.history(room)
        api.post(room, {"text": "x"})
        api.post(room, {"text": ""})
        after = [value(api, "danmaku_api_requests_total", **each) for each in labels]
        assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
        assert value(api, "danmaku_api_request_seconds_count", route=route) - timed == 3

    def test_paths_that_are_not_there_share_one_label(self, api: Api, room: str) -> None:
        before = value(api, "danmaku_api_requests_total", route="other", status="404")
        for i in range(3):
            api.get(f"/nowhere{i}")
        after = value(api, "danmaku_api_requests_total", route="other", status="404")
        assert after - before == 3
        assert b"nowhere" not in api.get("/metrics").body

    def test_published_messages_are_counted_and_duplicates_not(self, api: Api, room: str) -> None:
        before = value(api, "danmaku_api_published_total")
        api.post(room, [{"text": "x", "id": "1"}, {"text": "y"}])
        api.post(room, {"text": "x", "id": "1"})
        api.stream(room, b'{"text":"a"}\nbad\n{"text":"b"}\n')
        assert value(api, "danmaku_api_published_total") - before == 4

    def test_the_next_life_of_the_api_counts_on(self, board: Scoreboard) -> None:
        own = Scoreboard(API_FIELDS, 1)
        Metrics(board, own).published(7)
        successor = Metrics(board, own)
        successor.published(2)
        [sample] = families(successor.render())["danmaku_api_published"].samples
        assert (sample.name, sample.value) == ("danmaku_api_published_total", 9)

    def test_what_webhooks_count_is_shown(self, board: Scoreboard) -> None:
        own = Scoreboard(API_FIELDS, 1)
        own.row(0)[NodeCount.WEBHOOK_EVENTS_SENT] = 5
        own.row(0)[NodeCount.WEBHOOK_WAITING] = 3
        found = families(Metrics(board, own).render())
        assert found["danmaku_webhook_events_sent"].samples[0].value == 5
        assert found["danmaku_webhook_waiting"].type == "gauge"

    def test_the_content_type_is_prometheus_own(self, api: Api) -> None:
        kind = api.get("/metrics").headers["content-type"]
        assert kind.startswith("text/plain; version=0.0.4")
