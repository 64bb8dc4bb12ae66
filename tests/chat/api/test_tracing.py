"""Spans of requests that publish, at a running API with a real Valkey behind it."""

from collections.abc import Iterator

import pytest

from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import NDJSON, Api, new_room, until
from tests.chat.bus.test_tracing import CALLER, PARENT, TRACE, Spans

KEY = "a-key-of-the-operator"
HELLO = {"text": "hello"}


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def traced(valkey: EmbeddedEngine, spans: Spans) -> Iterator[Api]:
    api = Api(valkey.url, spans.tracer, api={"key": KEY})
    yield api
    api.close()


def lets_in(**more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"} | more


def test_a_publish_is_the_callers_and_the_script_its_child(traced: Api, spans: Spans) -> None:
    answer = traced.post(new_room(), HELLO, **lets_in(traceparent=CALLER))
    assert answer.status == 200
    until(lambda: len(spans.ended) == 2, "both spans")
    publish, request = spans.ended
    assert request.name == "POST /v1/rooms/{room}/messages"
    assert f"{request.parent.trace_id:032x}-{request.parent.span_id:016x}" == f"{TRACE}-{PARENT}"
    assert request.attributes["http.response.status_code"] == 200
    assert (publish.name, publish.parent.span_id) == ("publish", request.context.span_id)


def test_so_is_each_batch_of_a_stream_of_lines(traced: Api, spans: Spans) -> None:
    lines = b'{"text": "a"}\n{"text": "b"}\n'
    path = f"/v1/rooms/{new_room('r')}/messages"
    answer = traced.call("POST", path, lines, NDJSON, lets_in(traceparent=CALLER))
    assert answer.json["accepted"] == 2
    until(lambda: "POST /v1/rooms/{room}/messages" in spans.names(), "the request's span")
    *batches, request = spans.ended
    assert batches
    assert {one.parent.span_id for one in batches} == {request.context.span_id}
    assert sum(one.attributes["messaging.batch.message_count"] for one in batches) == 2


def test_what_is_not_let_in_or_does_not_publish_makes_none(traced: Api, spans: Spans) -> None:
    room = new_room()
    assert traced.post(room, HELLO, traceparent=CALLER).status == 401
    assert traced.get("/v1/rooms", **lets_in(traceparent=CALLER)).status == 200
    assert spans.ended == []


def test_a_body_that_is_refused_is_no_failure_of_ours(traced: Api, spans: Spans) -> None:
    assert traced.post(new_room(), {"txt": 1}, **lets_in(traceparent=CALLER)).status == 400
    until(lambda: spans.ended, "the request's span")
    [request] = spans.ended
    assert request.attributes["http.response.status_code"] == 400
    assert request.status.is_ok


def test_a_bus_that_is_away_is(own_valkey: EmbeddedEngine, spans: Spans) -> None:
    api = Api(own_valkey.url, spans.tracer, bus={"timeout_ms": 1000})
    own_valkey.stop()
    assert api.post(new_room(), HELLO, traceparent=CALLER).status == 503
    until(lambda: len(spans.ended) == 2, "both spans")
    assert [span.status.is_ok for span in spans.ended] == [False, False]
    assert spans.ended[0].status.description == "unavailable"
    api.close()
