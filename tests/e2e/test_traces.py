"""A trace from a backend's request to the flushes of two shards, over real processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.local import Node, free_port
from tests.chat.api.rig import until
from tests.chat.bus.test_tracing import CALLER, PARENT, TRACE
from tests.e2e.viewers import Viewer

ROOM = "traced"


class Collector(BaseHTTPRequestHandler):
    """Takes traces by OTLP/HTTP."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        spans: list[Any] = self.server.spans  # type: ignore[attr-defined]
        for of in ExportTraceServiceRequest.FromString(body).resource_spans:
            process = next(a for a in of.resource.attributes if a.key == "danmaku.process")
            for scope in of.scope_spans:
                spans += [(process.value.string_value, span) for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


def told(viewer: Viewer, _: object) -> bool:
    """Whether it has both messages."""
    return len(viewer.of("msg")) == 2


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Where it is, and what came: (process, span)."""
    spans: list[tuple[str, Any]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.spans = spans  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", spans
        finally:
            server.shutdown()
            thread.join()


async def test_from_the_request_to_each_shards_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as (url, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with Node(tmp_path) as node:
            viewers = [await Viewer.open(node.ws, ROOM) for _ in range(40)]  # on both shards
            path = f"/v1/rooms/{ROOM}/messages"
            assert node.request("POST", path, {"text": "untraced"}, {})[0] == 200
            headers = {"traceparent": CALLER, "X-Request-Id": "a-request"}
            assert node.request("POST", path, {"text": "traced"}, headers)[0] == 200
            for viewer in viewers:
                await viewer.until(partial(told, viewer))

            def ours() -> list[tuple[str, Any]]:
                return [one for one in spans if one[1].trace_id.hex() == TRACE]

            until(lambda: len(ours()) == 4, "request, publish, and a flush of each shard")
            seen = viewers[0].of("msg")
            _, history = node.request("GET", path)
            for viewer in viewers:
                await viewer.close()
    by_name = {span.name: (process, span) for process, span in ours()}
    process, request = by_name["POST /v1/rooms/{room}/messages"]
    assert (process, request.parent_span_id.hex()) == ("api", PARENT)
    about = {one.key: one.value for one in request.attributes}
    [found] = about["http.request.header.x-request-id"].array_value.values
    assert found.string_value == "a-request"
    process, publish = by_name["publish"]
    assert (process, publish.parent_span_id) == ("api", request.span_id)
    flushes = [(process, span) for process, span in ours() if span.name == "flush"]
    assert [process for process, _ in flushes] == ["shard", "shard"]
    assert {span.parent_span_id for _, span in flushes} == {publish.span_id}
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for _, span in flushes)
    # Whoever reads what was said sees nothing of it.
    for untraced, traced in (seen, history["messages"]):
        assert untraced.keys() == traced.keys()
        assert TRACE not in str(traced)


def test_a_collector_that_is_away_costs_its_traces_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Node(tmp_path, server_shards=1) as node:
        for _ in range(3):
            assert node.request("POST", f"/v1/rooms/{ROOM}/messages", {"text": "hi"})[0] == 200
        assert node.stop() == 0
