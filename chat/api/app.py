"""The routes, and the process that serves them.

Rules. A handler reads, asks Publishing or the Store, and answers with a Struct; what is wrong is
raised and becomes a response in `_failures`. Starlette routes and streams; bodies are checked by
`bodies`, because a client wants every problem at once and a bulk stream never fits in memory.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chat.api import asked, openapi, page
from chat.api.answers import answer, failure
from chat.api.bodies import BadBody, Steps, read_broadcast, read_messages
from chat.api.centrifugal import Centrifugal
from chat.api.doors import Doors
from chat.api.guard import Guard
from chat.api.incoming import Drain, Incoming, Unfinished, content_type
from chat.api.lines import Lines
from chat.api.metrics import Metrics
from chat.api.models import (
    MAX_NOTICES,
    BroadcastOut,
    HistoryOut,
    Problem,
    PublishedOut,
    RemovedOut,
    RoomDetailOut,
    RoomOut,
    RoomsOut,
)
from chat.api.moderating import Moderating
from chat.api.observing import Observing
from chat.api.parts import Parts
from chat.api.publishing import NotPublished, tally, wall_ms
from chat.api.queries import Queries
from chat.api.requestid import RequestId
from chat.api.tracing import Tracing
from chat.api.watching import Watching
from chat.api.wording import Wording
from chat.bus.connect import StoreError
from chat.bus.crowds import Crowd
from chat.bus.entries import Noticed, pack
from chat.bus.likes import room_likes
from chat.bus.tracing import Tracer
from chat.config.sections import Config
from chat.policy.orders import Missing, NotDone
from chat.wire.schema import ErrorCode, Msg, Removed, Sequenced

log = logging.getLogger(__name__)
T = TypeVar("T")

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
LINES: Final = frozenset(
    f"application/{name}"
    for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "json-lines")
)
"""What JSON by the line is called; none of the names is registered."""
MAX_TOP: Final = 1000
MAX_PAGE: Final = 500


class Api:
    """The handlers of rooms, and all routes."""

    def __init__(
        self, config: Config, doors: Doors, metrics: Metrics, drain: Drain, ws_port: int
    ) -> None:
        self._config = config
        self._doors = doors
        self._metrics = metrics
        self._drain = drain
        self._wording = Wording(config, doors, drain)
        self._moderating = Moderating(config, doors, drain, self._wording)
        self._observing = Observing(doors)
        self._watching = Watching(config, doors, metrics, drain, ws_port)
        self._centrifugal = Centrifugal(config, doors, drain, metrics)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Open the ways to Redis, and close them."""
        self._doors.open()
        self._watching.start()
        yield
        await self._watching.stop()
        await self._doors.close()

    def routes(self) -> list[BaseRoute]:
        """What is served."""
        return [
            Parts(
                "/v1/rooms/{room}/messages",
                POST=self.publish,
                GET=self.history,
                DELETE=self._moderating.clear,
            ),
            Parts("/v1/rooms/{room}", GET=self.room),
            Parts("/v1/rooms", GET=self.rooms),
            Parts("/v1/broadcast", POST=self.broadcast),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            *self._moderating.routes(),
            *self._observing.routes(),
            *self._watching.routes(),
            *self._wording.routes(),
            *(self._centrifugal.routes() if offers_centrifugal(self._config) else ()),
        ]

    # --- publishing ----------------------------------------------------------------------------

    async def publish(self, request: Request) -> Response:
        room = asked.room(request, self._config)
        kind = content_type(request)
        limits, most = self._config.limits, self._config.api.body_bytes
        if kind in LINES:
            lines = Lines(self._doors.publishing, room, limits, most)
            idle_s = self._config.api.stream_idle_s
            return answer(await lines.publish(Incoming(request, idle_s, self._drain)))
        asked.want_json(kind, JSON, NDJSON)
        instead = f"stream more as lines, {NDJSON}"
        body = await asked.document(request, self._config, self._drain, instead)
        messages = await in_turns(read_messages(body, limits))
        published = PublishedOut(0, 0)
        tally(published, await self._doors.publishing.publish([room], messages))
        return answer(published)

    async def broadcast(self, request: Request) -> Response:
        asked.want_json(content_type(request), JSON)
        body = await asked.document(request, self._config, self._drain)
        broadcast, messages = await in_turns(read_broadcast(body, self._config.limits))
        if broadcast.rooms is not None:
            published = PublishedOut(0, 0)
            rooms = list(dict.fromkeys(broadcast.rooms))
            tally(published, await self._doors.publishing.publish(rooms, messages))
            return answer(BroadcastOut(published.accepted, published.duplicates))
        if len(messages) > MAX_NOTICES:
            raise BadBody([Problem(f"at most {MAX_NOTICES} notices at once", "messages")])
        done = BroadcastOut()
        for message in messages:
            noticed = Noticed(
                *(broadcast.users, message.name, message.text, message.color),
                wall_ms(),
                message.kind,
            )
            try:
                done.notices.append(await self._doors.store.notify(pack(noticed)))
            except StoreError:
                raise NotPublished("unavailable", accepted=len(done.notices)) from None
        return answer(done)

    # --- observing -----------------------------------------------------------------------------

    async def rooms(self, request: Request) -> Response:
        top = asked.number(request, "top", 100, 1, MAX_TOP)
        found = await self._doors.crowds.top(top)
        return answer(RoomsOut([RoomOut(*_viewers(one)) for one in found]))

    async def room(self, request: Request) -> Response:
        room = asked.room(request, self._config)
        head = await self._head(room)
        crowd = await self._doors.crowds.of(room)
        store = self._doors.store
        likes = await room_likes(store.servers, store.keys, room)
        return answer(RoomDetailOut(*_viewers(crowd), *head, likes))

    async def history(self, request: Request) -> Response:
        room = asked.room(request, self._config)
        after = asked.number(request, "after", 0, 0, 2**53)
        limit = asked.number(request, "limit", 100, 1, MAX_PAGE)
        page = await self._doors.store.page(room, after, limit)
        if not page.epoch:
            await self._head(room)
        messages = [said for place in page.places if (said := _said(place)) is not None]
        more = page.end if page.more else None
        return answer(HistoryOut(room, page.epoch, page.seq, messages, more))

    async def _head(self, room: str) -> tuple[str, int]:
        head = await self._doors.store.peek_room(room)
        if head is None and not (await self._doors.crowds.of(room)).online:
            raise HTTPException(404, f"nobody has been in a room {room!r} lately")
        return head or ("", 0)

    async def health(self, request: Request) -> Response:
        try:
            await self._doors.store.ping()
        except StoreError as error:
            log.warning("not healthy: %s", error)
            return PlainTextResponse("the bus does not answer\n", 503)
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        if self._drain.began:
            return PlainTextResponse("this server is going down\n", 503)
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        return Response(
            self._metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


async def in_turns(steps: Steps[T]) -> T:
    """What comes with the last step, with a turn of others' behind each."""
    while True:
        try:
            next(steps)
        except StopIteration as last:
            found: T = last.value
            return found
        await asyncio.sleep(0)


def _viewers(crowd: Crowd) -> tuple[str, int, int, int | None, int]:
    return crowd.room, crowd.online, crowd.peak, crowd.peak_at or None, crowd.unique


def _said(place: Sequenced) -> Msg | RemovedOut | None:
    """A place as a backend is shown it; None for what is no message."""
    if isinstance(place, Removed):
        return RemovedOut(place.seq)
    return place if isinstance(place, Msg) else None


CODES: Final = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}

Failing = Callable[[Request, Exception], Awaitable[Response]]


async def _http_failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "error")
    return failure(error.status_code, code, error.detail, headers=dict(error.headers or {}))


async def _bad_body(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadBody)
    return failure(400, "bad_request", str(error), error.problems)


REFUSALS: Final = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.BAD_ROOM: 400,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.UNAVAILABLE: 503,
}
"""What an order that was not carried out is answered; any other is a conflict."""


async def _not_done(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotDone)
    refusal = error.refusal
    status = 404 if isinstance(error, Missing) else REFUSALS.get(refusal.code, 409)
    problems = [Problem(refusal.message, refusal.field)] if refusal.field else []
    code = CODES.get(status, str(refusal.code))
    return failure(status, code, refusal.message, problems, retry_after=refusal.retry_after)


async def _unfinished(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unfinished)
    return failure(
        error.status,
        error.code,
        str(error),
        accepted=error.accepted,
        lines=error.lines,
        retry_after=error.retry_after or None,
    )


async def _away(request: Request, error: Exception) -> Response:
    return await _unfinished(request, NotPublished("unavailable"))


async def _our_fault(request: Request, error: Exception) -> Response:
    return failure(500, "internal", "the server failed on this request; it has been logged")


_failures: dict[Any, Failing] = {
    HTTPException: _http_failure,
    BadBody: _bad_body,
    NotDone: _not_done,
    Unfinished: _unfinished,
    StoreError: _away,
    Exception: _our_fault,
}


def offers_centrifugal(config: Config) -> bool:
    """Whether what Centrifugo's clients ask for is there."""
    return "centrifugal" in config.server.dialects


def create_app(
    config: Config,
    url: str,
    metrics: Metrics,
    drain: Drain,
    ws_port: int,
    owners: list[Callable[[], None]] | None = None,
    tracer: Tracer | None = None,
) -> Starlette:
    """The whole application; `drain` tells it when the process is about to end. Who has to be told
    when live keys of `config` change is put into `owners`."""
    doors, owners = Doors(config, url, metrics, tracer), [] if owners is None else owners
    owners.append(doors.apply)
    api = Api(config, doors, metrics, drain, ws_port)
    files = page.routes(config, ws_port)
    served = openapi.Served(config)
    owners.append(served.apply)
    routes = api.routes()
    for route in routes:
        if isinstance(route, Parts):
            route.takes = openapi.queries(served.document, route.path)
    app = Starlette(
        routes=[*routes, *openapi.routes(served), *files],
        middleware=[
            Middleware(RequestId),
            Middleware(
                Guard,
                api=config.api,
                metrics=metrics,
                centrifugal=offers_centrifugal(config),
                owners=owners,
            ),
            *([] if tracer is None else [Middleware(Tracing, tracer=tracer)]),
            Middleware(Queries),
        ],
        exception_handlers=_failures,
        lifespan=api.lifespan,
    )
    app.router.redirect_slashes = False  # a path has one name; a redirected PUT would lose its key
    return app
