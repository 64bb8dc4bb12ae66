"""Traces of a backend's message, as OpenTelemetry has them: an extra, `pip install danmaku[otel]`.

Rules. Set by OpenTelemetry's own environment variables. Where those name no collector nothing of it
is imported, and nothing is asked of a message. The context rides through Redis as a fourth field of
an entry in the fan-out stream: beside what is said, not in it, so no viewer, history or archive has
it. A shard looks for it once a read, for all that it read together, never for a delivery. Only the
context of a trace that is sampled is sent along.

Made in the process that uses it, after the fork: whatever exports has a thread.

Danger: who reaches Redis can write any context, and a backend any number of them. What is none is
passed over, and so are those of a read beyond the first MOST.
"""

import logging
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

Take = Callable[[Sequence[Any]], None]
"""Is given entries of a stream, as a Feed gives them."""

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORT_S: Final = 2.0
"""How long a collector may take, unless OTEL_EXPORTER_OTLP_TIMEOUT says; the end of a process waits
for it."""
MOST: Final = 32
"""Contexts of what is read together."""
FIELD: Final = 7
"""Where the context stands in an entry as redis-py gives it: behind room, place and entry."""


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a collector for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return exporter == "otlp" and any(environ.get(name, "").strip() for name in ENDPOINTS)


def set_up(process: str, environ: Mapping[str, str] = os.environ) -> "Tracer | None":
    """The tracer of this process, which its spans call `process`; None: there is to be none."""
    if not wanted(environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are configured and cannot be sent: pip install 'danmaku[otel]'")
        return None
    spoken = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if spoken != "http/protobuf":
        log.warning("traces are sent as http/protobuf, not as %s", spoken)
    patience_s = None if environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else EXPORT_S
    provider = new_provider(process, environ)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=patience_s)))
    return Tracer(provider)


def new_provider(process: str, environ: Mapping[str, str] = os.environ) -> "TracerProvider":
    """Of spans that say which process they are of; a service's name in the environment wins."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    about: dict[str, str | int] = {"danmaku.process": process, "process.pid": os.getpid()}
    if not environ.get("OTEL_SERVICE_NAME") and "service.name=" not in environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        about["service.name"] = "danmaku"
    return TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)


class Tracer:
    """Spans of one process."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._spans = provider.get_tracer("danmaku")
        self._otel: Any = trace
        self._w3c = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left; waits for the collector."""
        self._provider.shutdown()

    @contextmanager
    def serving(self, name: str, headers: Mapping[str, str]) -> Iterator["Span"]:
        """A request, as a child of the caller's span where its `traceparent` names one."""
        parent = self._w3c.extract(headers)
        kind = self._otel.SpanKind.SERVER
        with self._spans.start_as_current_span(name, parent, kind) as span:
            yield span

    @contextmanager
    def publishing(self, messages: int) -> Iterator["Span"]:
        """Messages that wait for the publish script and are published by it."""
        about: dict[str, str | int] = {
            "messaging.system": "redis",
            "messaging.batch.message_count": messages,
        }
        kind = self._otel.SpanKind.PRODUCER
        with self._spans.start_as_current_span("publish", kind=kind, attributes=about) as span:
            yield span

    def fail(self, span: "Span", why: str) -> None:
        """It did not work."""
        span.set_status(self._otel.StatusCode.ERROR, why)

    def context_of(self, span: "Span") -> str:
        """The `traceparent` of what comes of a span; "" where it is not sampled."""
        if not span.get_span_context().trace_flags.sampled:
            return ""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier, self._otel.set_span_in_context(span))
        return carrier.get("traceparent", "")

    def flush(self, context: str, room: str, shard: str) -> "Span | None":
        """A flush that carries what came of a span elsewhere; None where that is no context."""
        parent = self._w3c.extract({"traceparent": context})
        span_context = self._otel.get_current_span(parent).get_span_context()
        if not (span_context.is_valid and span_context.trace_flags.sampled):
            return None
        about = {"danmaku.room": room, "danmaku.shard": shard}
        kind = self._otel.SpanKind.CONSUMER
        return self._spans.start_span("flush", parent, kind, about)


class Flushes:
    """Spans of what a shard reads and writes out: from when it was read to when all members that
    read have it. `rooms` are those that are open here."""

    def __init__(self, tracer: Tracer, rooms: Container[str], shard: str) -> None:
        self._tracer = tracer
        self._rooms = rooms
        self._shard = shard
        self._open: dict[tuple[bytes, bytes], Span] = {}
        self._counts: dict[tuple[bytes, bytes], int] = {}

    def around(self, deliver: Take) -> Take:
        """`deliver`, of which spans are kept."""

        def traced(entries: Sequence[Any]) -> None:
            for _, fields in entries:
                if len(fields) > FIELD and fields[3]:  # an entry that takes a place, and is traced
                    self._begin(fields[1], fields[FIELD])
            deliver(entries)

        return traced

    def before(self, written: Callable[[], None]) -> Callable[[], None]:
        """`written`, at which they end."""

        def ended() -> None:
            for key, span in self._open.items():
                span.set_attribute("messaging.batch.message_count", self._counts[key])
                span.end()
            self._open.clear()
            self._counts.clear()
            written()

        return ended

    def _begin(self, room: bytes, context: bytes) -> None:
        key = room, context
        if key in self._open:
            self._counts[key] += 1
        elif len(self._open) < MOST and (name := room.decode("utf-8", "replace")) in self._rooms:
            span = self._tracer.flush(context.decode("ascii", "replace"), name, self._shard)
            if span is not None:
                self._open[key], self._counts[key] = span, 1
