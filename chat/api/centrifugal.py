"""The subset of Centrifugo's HTTP API that its server libraries use, under /api/.

Rules. Only where `server.dialects` has "centrifugal". A channel is a room, a publication's `data` a
message. What a call asks for passes the same checks as under /v1, and takes the same scopes of the
same keys. What is refused of a call that was understood is answered as those libraries expect it:
200, and an `error` with a number; what never came to be one has the status it has elsewhere. What
is asked for and cannot be done is an error; nothing is passed over.
"""

import asyncio
import platform
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence, Set
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chat.api import asked
from chat.api.bodies import BadBody, message_of, read_fields
from chat.api.doors import Doors
from chat.api.incoming import Drain, Unfinished
from chat.api.metrics import Metrics
from chat.api.models import MAX_TARGETS, MessageIn, Problem
from chat.bus.connect import StoreError
from chat.bus.places import Page
from chat.bus.publisher import Unpublished
from chat.config.sections import Config
from chat.policy.orders import Everywhere, NotDone
from chat.policy.text import room_problem
from chat.wire.schema import ErrorCode, Removed, Sequenced

INTERNAL, PERMISSION_DENIED, BAD_REQUEST, NOT_AVAILABLE = 100, 103, 107, 108
UNAUTHORIZED, TOO_MANY_REQUESTS, UNRECOVERABLE = 101, 111, 112
"""Their numbers for what is wrong."""

STATUSES: Final = {
    401: UNAUTHORIZED,
    403: PERMISSION_DENIED,
    404: NOT_AVAILABLE,
    429: TOO_MANY_REQUESTS,
}
"""Those for what is refused before it is looked at; any other is a bad request, or internal."""
UNPUBLISHED: Final = {"room_busy": TOO_MANY_REQUESTS, "id_reused": BAD_REQUEST}
NOT_DONE: Final = {ErrorCode.FORBIDDEN: PERMISSION_DENIED, ErrorCode.UNAVAILABLE: INTERNAL}

MAX_PAGE: Final = 500
MAX_CHANNELS: Final = 1000
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
AWAY: Final = "the bus does not answer now; try again"
NO_SUCH: Final = "this is not to be had here"

Offset = Annotated[int, Meta(ge=0, le=2**53)]
Tags = dict[str, str]


class Publish(Struct):
    """`tags`, `b64data` and `skip_history` are theirs, and refused."""

    channel: str
    data: Any = None
    idempotency_key: str | None = None
    tags: Tags | None = None
    b64data: str | None = None
    skip_history: bool | None = None


class Broadcast(Struct):
    """As Publish, to many channels."""

    channels: Annotated[list[str], Meta(min_length=1, max_length=MAX_TARGETS)]
    data: Any = None
    idempotency_key: str | None = None
    tags: Tags | None = None
    b64data: str | None = None
    skip_history: bool | None = None


class Why(Struct):
    """Why somebody is disconnected; the close code is ours."""

    code: int | None = None
    reason: str | None = None


class Disconnect(Struct):
    """All connections of a user; that of one `client` or all but those of a `whitelist` cannot be
    told apart here."""

    user: str
    client: str | None = None
    session: str | None = None
    whitelist: list[str] | None = None
    disconnect: Why | None = None


class Place(Struct):
    """Where a history is to begin."""

    offset: Offset = 0
    epoch: str = ""


class History(Struct):
    """Publications; none, only the position, without a `limit`."""

    channel: str
    limit: Annotated[int, Meta(ge=-1, le=2**53)] | None = None
    since: Place | None = None
    reverse: bool | None = None


class Channel(Struct):
    """A channel to be looked at."""

    channel: str


class Channels(Struct):
    """Those of a pattern, as file names have them."""

    pattern: Annotated[str, Meta(max_length=256)] | None = None


class Info(Struct):
    """Nothing is asked."""


class Failed(Exception):
    """A call that is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


Call = Callable[[Request, Any], Awaitable[Any]]


class Centrifugal:
    """The handlers. `clock` is seconds, monotonic."""

    def __init__(
        self,
        config: Config,
        doors: Doors,
        drain: Drain,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._doors = doors
        self._drain = drain
        self._metrics = metrics
        self._clock = clock
        self._began = clock()
        self._uid = secrets.token_hex(8)

    def routes(self) -> Sequence[BaseRoute]:
        """What is served."""
        calls: dict[str, tuple[type[Struct], Call]] = {
            "publish": (Publish, self.publish),
            "broadcast": (Broadcast, self.broadcast),
            "disconnect": (Disconnect, self.disconnect),
            "presence_stats": (Channel, self.presence_stats),
            "history": (History, self.history),
            "channels": (Channels, self.channels),
            "info": (Info, self.info),
        }
        routes = [
            Route(f"/api/{name}", _called(self._config, self._drain, *call), methods=["POST"])
            for name, call in calls.items()
        ]
        other = partial(_no_call, frozenset(calls))
        return [*routes, Route("/api/{call:path}", other, methods=METHODS)]

    # --- publishing ----------------------------------------------------------------------------

    async def publish(self, request: Request, wanted: Publish) -> dict[str, Any]:
        return await self._say(wanted.channel, self._message(wanted))

    async def broadcast(self, request: Request, wanted: Broadcast) -> dict[str, Any]:
        message = self._message(wanted)
        saying = [self._said(channel, message) for channel in wanted.channels]
        return {"responses": await asyncio.gather(*saying)}

    def _message(self, wanted: Publish | Broadcast) -> MessageIn:
        """What is to be published: an object as under /v1, or its text alone."""
        for name in ("tags", "b64data", "skip_history"):
            if getattr(wanted, name):
                raise Failed(NOT_AVAILABLE, f"{name}: {NO_SUCH}")
        data = {"text": wanted.data} if isinstance(wanted.data, str) else wanted.data
        if isinstance(data, dict) and wanted.idempotency_key:
            data = data | {"id": wanted.idempotency_key}
        return message_of(data, "data", self._config.limits)

    async def _said(self, channel: str, message: MessageIn) -> dict[str, Any]:
        """The answer to a publication among others."""
        return await _answered(partial(self._say, channel, message))

    async def _say(self, channel: str, message: MessageIn) -> dict[str, Any]:
        self._check(channel)
        [outcome] = await self._doors.publishing.publish_each([channel], [message])
        if isinstance(outcome, Unpublished):
            raise Failed(UNPUBLISHED.get(outcome.reason, INTERNAL), outcome.reason)
        return {"offset": outcome.seq, "epoch": outcome.epoch}

    def _check(self, channel: str) -> None:
        """Raises Failed for what can be no room."""
        wrong = room_problem(channel, self._config.limits.room_chars)
        if wrong is not None:
            raise Failed(BAD_REQUEST, f"channel: {wrong}")

    # --- users ---------------------------------------------------------------------------------

    async def disconnect(self, request: Request, wanted: Disconnect) -> dict[str, Any]:
        for name in ("client", "session", "whitelist"):
            if getattr(wanted, name):
                raise Failed(NOT_AVAILABLE, f"{name}: {NO_SUCH}")
        user = asked.uid(wanted.user, "user")
        reason = (wanted.disconnect and wanted.disconnect.reason) or ""
        order = Everywhere("kick", user, "", None, reason)
        await self._doors.moderation.act(order, asked.actor(request))
        return {}

    # --- looking -------------------------------------------------------------------------------

    async def presence_stats(self, request: Request, wanted: Channel) -> dict[str, Any]:
        self._check(wanted.channel)
        crowd = await self._doors.crowds.of(wanted.channel)
        # The users are those who have been there; no more of them can be there now than viewers.
        return {"num_clients": crowd.online, "num_users": min(crowd.unique, crowd.online)}

    async def channels(self, request: Request, wanted: Channels) -> dict[str, Any]:
        pattern = wanted.pattern or "*"
        found = await self._doors.crowds.top(MAX_CHANNELS)
        rooms = [one for one in found if fnmatchcase(one.room, pattern)]
        return {"channels": {one.room: {"num_clients": one.online} for one in rooms}}

    async def history(self, request: Request, wanted: History) -> dict[str, Any]:
        self._check(wanted.channel)
        if not wanted.limit:
            epoch, seq = await self._doors.store.peek_room(wanted.channel) or ("", 0)
            return {"publications": [], "epoch": epoch, "offset": seq}
        page = await self._page(
            wanted, MAX_PAGE if wanted.limit < 0 else min(wanted.limit, MAX_PAGE)
        )
        since = wanted.since
        if since is not None and since.epoch not in ("", page.epoch):
            raise Failed(UNRECOVERABLE, "the history of that epoch is gone")
        places = page.places[::-1] if wanted.reverse else page.places
        found = [_publication(place) for place in places if not isinstance(place, Removed)]
        return {"publications": found, "epoch": page.epoch, "offset": page.seq}

    async def _page(self, wanted: History, limit: int) -> Page:
        store, since = self._doors.store, wanted.since
        if wanted.reverse:
            return await store.page_before(wanted.channel, since.offset if since else 2**53, limit)
        return await store.page(wanted.channel, since.offset if since else 0, limit)

    async def info(self, request: Request, wanted: Info) -> dict[str, Any]:
        """Of this node; it does not know what the others hold."""
        node = {
            "uid": self._uid,
            "name": platform.node(),
            "version": "danmaku",
            "num_clients": self._metrics.total("connections"),
            "num_channels": self._metrics.total("rooms"),
            "uptime": int(self._clock() - self._began),
        }
        return {"nodes": [node]}


def _publication(place: Sequenced) -> dict[str, Any]:
    return {"data": msgspec.to_builtins(place), "offset": place.seq}


async def _no_call(calls: Set[str], request: Request) -> Response:
    """The answer to what is none of the calls, or no call of one."""
    if request.path_params["call"] in calls:
        return failed(405, "a call is a POST", {"Allow": "POST"})
    return failed(404, NO_SUCH)


def _called(
    config: Config, drain: Drain, kind: type[Struct], call: Call
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a request that is such a call."""

    async def handle(request: Request) -> Response:
        try:
            body = await asked.document(request, config, drain)
        except HTTPException as wrong:
            return failed(wrong.status_code, wrong.detail)
        except Unfinished as wrong:
            return failed(wrong.status, str(wrong))

        async def answer() -> Any:
            return await call(request, read_fields(body or b"{}", kind))

        return _json(await _answered(answer))

    return handle


async def _answered(call: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """What a call is answered with."""
    try:
        return {"result": await call()}
    except Failed as failure:
        code, message = failure.code, str(failure)
    except BadBody as bad:
        code, message = BAD_REQUEST, "; ".join(map(_in_words, bad.problems[:MAX_TOLD]))
    except NotDone as undone:
        code = NOT_DONE.get(undone.refusal.code, BAD_REQUEST)
        message = undone.refusal.message
    except Unfinished as unfinished:  # the bus refused it
        code, message = UNPUBLISHED.get(unfinished.code, INTERNAL), str(unfinished)
    except StoreError:
        code, message = INTERNAL, AWAY
    return {"error": {"code": code, "message": message}}


MAX_TOLD: Final = 5


def _in_words(problem: Problem) -> str:
    return ": ".join(filter(None, (problem.path, problem.message)))


def failed(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The answer to a request that never came to be a call."""
    code = STATUSES.get(status, INTERNAL if status >= 500 else BAD_REQUEST)
    return _json({"error": {"code": code, "message": message}}, status, headers)


def in_their_words(refusal: Response) -> Response:
    """A refusal of ours as one of theirs; only what it says is told in another way."""
    told = msgspec.json.decode(refusal.body)["error"]["message"]
    kept = ("www-authenticate", "retry-after")
    headers = {name: refusal.headers[name] for name in kept if name in refusal.headers}
    return failed(refusal.status_code, told, headers)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, "application/json")
