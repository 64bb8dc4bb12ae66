"""Traces through Redis: what is sent along, what a shard makes of it, and that off is off."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from chat.bus import tracing
from chat.bus.outgoing import RoomLimits
from chat.bus.tracing import MOST, Flushes, Tracer, new_provider, set_up, wanted
from chat.ops.engine import EmbeddedEngine
from chat.workers.records import line_of, records
from tests.chat.rig import a_store, outgoing

HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


class Spans:
    """A tracer whose spans are kept in memory."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._kept = InMemorySpanExporter()
        provider = provider or new_provider("test", {})
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = Tracer(provider)

    @property
    def ended(self) -> list[Any]:
        return list(self._kept.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.ended]


def entry(context: str | None = None, room: str = "live:42", place: str = "e1-1") -> list[Any]:
    """An entry of a fan-out stream as a reader gets it."""
    fields = [b"r", room.encode(), b"p", place.encode(), b"m", b"..."]
    return [b"1-0", fields if context is None else [*fields, b"t", context.encode()]]


class TestWanted:
    @pytest.mark.parametrize(
        ("environ", "answer"),
        [
            ({}, False),
            (HERE, True),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h/v1/traces"}, True),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
            (HERE | {"OTEL_SDK_DISABLED": "True"}, False),
            (HERE | {"OTEL_TRACES_EXPORTER": "none"}, False),
            (HERE | {"OTEL_TRACES_EXPORTER": "otlp"}, True),
            ({"OTEL_SERVICE_NAME": "danmaku"}, False),
        ],
    )
    def test_where_a_collector_is_named(self, environ: dict[str, str], answer: bool) -> None:
        assert wanted(environ) is answer

    def test_off_imports_nothing(self) -> None:
        # redis-py has other parts of it imported wherever it is installed.
        code = (
            "import sys, chat.node; from chat.bus.tracing import set_up\n"
            "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter')\n"
            "print(set_up('shard', {}), [m for m in sys.modules if m.startswith(ours)])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert done.stdout == "None []\n"

    def test_without_the_extra_it_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
        assert set_up("api", HERE) is None
        assert "pip install 'danmaku[otel]'" in caplog.text

    @pytest.mark.parametrize(
        ("environ", "name"),
        [({}, "danmaku"), ({"OTEL_SERVICE_NAME": "live"}, "live")],
    )
    def test_the_environments_service_name_wins(
        self, environ: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key, value in environ.items():
            monkeypatch.setenv(key, value)
        attributes = new_provider("api", environ).resource.attributes
        assert (attributes["service.name"], attributes["danmaku.process"]) == (name, "api")


class TestRequests:
    def test_a_request_and_what_it_publishes_are_the_callers(self) -> None:
        spans = Spans()
        with (
            spans.tracer.serving("POST", {"traceparent": CALLER}),
            spans.tracer.publishing(3) as one,
        ):
            context = spans.tracer.context_of(one)
        publish, request = spans.ended
        assert (publish.name, request.name) == ("publish", "POST")
        assert (
            f"{request.parent.trace_id:032x}-{request.parent.span_id:016x}" == f"{TRACE}-{PARENT}"
        )
        assert publish.parent.span_id == request.context.span_id
        assert context == f"00-{TRACE}-{publish.context.span_id:016x}-01"
        assert publish.attributes["messaging.batch.message_count"] == 3

    @pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}])
    def test_without_a_caller_it_is_a_trace_of_its_own(self, headers: dict[str, str]) -> None:
        spans = Spans()
        with spans.tracer.serving("POST", headers):
            pass
        [request] = spans.ended
        assert request.parent is None

    def test_a_caller_that_is_not_sampled_is_not_sent_along(self) -> None:
        spans = Spans()
        with (
            spans.tracer.serving("POST", {"traceparent": UNSAMPLED}),
            spans.tracer.publishing(1) as one,
        ):
            assert spans.tracer.context_of(one) == ""
        assert spans.ended == []

    def test_nor_is_what_the_sampler_leaves_out(self) -> None:
        spans = Spans(TracerProvider(sampler=ALWAYS_OFF))
        with spans.tracer.publishing(1) as one:
            assert spans.tracer.context_of(one) == ""


class TestFlushes:
    """What a shard with one room open makes of what it reads."""

    def flush(self, spans: Spans, *entries: list[Any]) -> list[str]:
        """Read and write these; what had been given out, and what ended, in order."""
        order: list[str] = []
        flushes = Flushes(spans.tracer, {"live:42"}, "s0")
        deliver = flushes.around(lambda found: order.append(f"{len(found)} given out"))
        written = flushes.before(lambda: order.append(f"{len(spans.ended)} ended"))
        deliver(entries)
        assert spans.ended == []  # it ends when all is written
        written()
        written()
        return order

    def test_a_span_from_the_read_to_the_last_write(self) -> None:
        spans = Spans()
        assert self.flush(spans, entry(), entry(CALLER), entry(CALLER)) == [
            *("3 given out", "1 ended", "1 ended"),
        ]
        [span] = spans.ended
        assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == f"{TRACE}-{PARENT}"
        assert dict(span.attributes) == {
            "danmaku.room": "live:42",
            "danmaku.shard": "s0",
            "messaging.batch.message_count": 2,
        }

    def test_each_publisher_has_its_own(self) -> None:
        spans = Spans()
        self.flush(spans, entry(CALLER), entry(CALLER.replace("b7ad", "b7ae")))
        assert spans.names() == ["flush", "flush"]

    @pytest.mark.parametrize(
        "one",
        [
            entry(),
            entry(UNSAMPLED),
            entry("nonsense"),
            entry(CALLER, room="another"),
            entry(CALLER, place=""),  # a control, whose fourth field is a version
        ],
    )
    def test_nothing_is_made_of_what_is_not_traced_here(self, one: list[Any]) -> None:
        spans = Spans()
        assert self.flush(spans, one) == ["1 given out", "0 ended", "0 ended"]

    def test_a_read_makes_no_more_than_so_many(self) -> None:
        spans = Spans()
        contexts = [f"00-{TRACE}-{i:016x}-01" for i in range(1, 2 * MOST)]
        self.flush(spans, *map(entry, contexts))
        assert len(spans.ended) == MOST

    @given(st.binary(), st.binary())
    def test_whatever_stands_there_is_delivered(self, room: bytes, context: bytes) -> None:
        given: list[Any] = []
        flushes = Flushes(SPANS.tracer, {room.decode("utf-8", "replace")}, "s0")
        one = [b"1-0", [b"r", room, b"p", b"e-1", b"m", b"", b"t", context]]
        flushes.around(given.extend)([one])
        assert given == [one]


SPANS = Spans()


class TestField:
    """The publish script's part, on a real Valkey."""

    @pytest.mark.parametrize("limits", [None, RoomLimits(slow_s=60), RoomLimits(by_rules=True)])
    async def test_it_is_in_the_stream_and_in_no_history(
        self, valkey: EmbeddedEngine, prefix: str, limits: RoomLimits | None
    ) -> None:
        store = a_store(valkey.url, prefix, partitions=1)
        messages = [outgoing("r", text, uid=text) for text in ("a", "b", "c")]
        messages[1].trace, messages[1].limits = CALLER, limits
        await store.publish(messages, "e1", 1_000)
        fanout, _, history = store.keys.published_in("r")
        raw: Any = redis.from_url(valkey.url, protocol=2)
        sent, kept = await raw.xrange(fanout), await raw.xrange(history)
        await raw.aclose()
        await store.close()
        assert [fields.get(b"t") for _, fields in sent] == [None, CALLER.encode(), None]
        assert [list(fields) for _, fields in kept] == [[b"m", b"f"]] * 3

    def test_an_archive_has_nothing_of_it(self) -> None:
        packed = outgoing("r", "hello").entry
        kept = []
        for context in (None, CALLER):
            one = entry(context)
            one[1][5] = packed
            [record], bad = records("p", [one], lambda room: True)
            assert bad == 0
            kept.append(line_of(record))
        assert kept[0] == kept[1]

    def test_it_stands_where_a_shard_looks(self) -> None:
        assert entry(CALLER)[1][tracing.FIELD] == CALLER.encode()
