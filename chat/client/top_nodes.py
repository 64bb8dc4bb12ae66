"""The nodes that `danmaku top` looks at: asked again and again, each by itself.

Rules. Only asks, and keeps the last two looks; what they say is `top_rates`'. A node that does not
answer has a sentence instead of looks, and is asked on; when it is back its rates begin anew. Rooms
are the same on all nodes of one Redis, so the first that answers is asked for them.

Danger: whoever answers at an address need not be a node. What is read of an answer has a bound, and
no text of it may steer the terminal.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from chat.client.backend import Backend, Refused, refused, unanswered
from chat.client.link import ClientError, is_loopback
from chat.client.terminal import plain
from chat.client.top_rates import Between, read

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 32 << 20
"""Of an answer; a node of a thousand shards says less."""

LABELLED: Final = (
    *("handshakes_refused", "requests_refused", "commands_refused"),
    *("frames_dropped", "gap_messages", "bus_errors"),
)
PLAIN: Final = (
    *("joins", "messages_published", "api_published", "messages_delivered", "messages_shed"),
    *("notices_dropped", "join_notices_dropped", "likes_dropped", "connection_events_dropped"),
    "shard_starts",
)
GAUGES: Final = (
    *("connections", "slow_readers", "backlog_bytes", "rooms"),
    *("bus_connected", "breaker_open", "stream_lag_seconds"),
)
HISTOGRAMS: Final = ("turn_seconds", "loop_lag_seconds", "bus_request_seconds")
NAMES: Final = frozenset(
    [
        *(f"danmaku_{name}_total" for name in (*LABELLED, *PLAIN)),
        *(f"danmaku_{name}" for name in GAUGES),
        *(f"danmaku_{name}_bucket" for name in HISTOGRAMS),
    ]
)
"""Everything that is shown."""


def address(text: str, key: str = "") -> str:
    """A node's URL as it may be typed: `10.0.0.2:8001` is `http://10.0.0.2:8001`.
    Raises ClientError: there can be no such URL or key."""
    url = (text if "://" in text else f"http://{text}").rstrip("/")
    with Backend(url, key):  # which says what is wrong
        return url


class Node:
    """One node at `url`; `why` is empty while it answers."""

    def __init__(
        self, url: str, key: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.url = url
        self.name = plain(url.partition("://")[2])
        self.between: Between | None = None
        self.why = "not asked yet"
        self._clock = clock
        self._key = bool(key)
        headers = {b"Authorization": b"Bearer " + key.encode()} if key else {}
        self._http = httpx.AsyncClient(
            headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(url)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def look(self) -> None:
        """Ask for its metrics once; never raises for what the node does."""
        try:
            text = (await self.get("metrics")).decode("utf-8", "replace")
            now = read(text, self._clock(), NAMES)
            if not now.of("danmaku_connections"):
                raise ValueError("it answers, but not with a node's metrics")
        except (ClientError, ValueError) as error:
            self.between, self.why = None, plain(self._said(error))
        else:
            self.between = Between(self.between.now if self.between else None, now)
            self.why = ""

    def _said(self, error: Exception) -> str:
        if isinstance(error, Refused) and error.status == 404:
            return "answers HTTP 404: give the API's address, or a key if it is the viewers' port"
        return str(error).removeprefix(f"{self.url} ")

    async def get(self, *path: str, **query: int) -> bytes:
        """The body of an answer to `GET /…`. Raises ClientError."""
        where = "/".join([self.url, *(quote(part, safe="") for part in path)])
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._read(where, query)
        except TimeoutError:
            slow = httpx.ReadTimeout("")
            raise unanswered(slow, self.url, TIMEOUT_S) from None
        except (httpx.HTTPError, ValueError) as error:
            raise unanswered(error, self.url, TIMEOUT_S) from None

    async def json(self, *path: str, **query: int) -> dict[str, Any]:
        """Likewise of an answer that is a JSON object. Raises ClientError."""
        body = await self.get("v1", *path, **query)
        try:
            found = httpx.Response(200, content=body).json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ClientError(f"{self.url} answers no JSON; is it the API?")
        return found

    async def _read(self, where: str, query: dict[str, int]) -> bytes:
        async with self._http.stream("GET", where, params=query) as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise ClientError(f"{self.url} says far too much for a node")
        if not answer.is_success:
            whole = httpx.Response(answer.status_code, headers=_kept(answer), content=bytes(body))
            raise refused(whole, self.url, self._key)
        return bytes(body)


def _kept(answer: httpx.Response) -> dict[str, str]:
    """What a refusal says beside its body."""
    return {name: answer.headers[name] for name in ("Retry-After",) if name in answer.headers}


@dataclass(frozen=True, slots=True)
class RoomLine:
    """A room now; `rate` is its messages a second since the look before, None if not known."""

    room: str
    online: int
    peak: int
    epoch: str
    seq: int
    at: float
    rate: float | None = None


class Rooms:
    """The fullest rooms, at most `most`; `why` is empty while somebody answers."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.lines: list[RoomLine] = []
        self.why = ""
        self._most = most
        self._clock = clock

    async def look(self, nodes: Sequence[Node]) -> None:
        """Ask the first node that answers."""
        node = next((node for node in nodes if not node.why), None)
        if not self._most:
            return
        if node is None:
            self.lines, self.why = [], "no node answers"
            return
        try:
            before = {line.room: line for line in self.lines}
            found = await node.json("rooms", top=self._most)
            names = [str(one["room"]) for one in found["rooms"]][: self._most]
            lines = await asyncio.gather(*(self._line(node, name, before) for name in names))
            self.lines, self.why = [line for line in lines if line is not None], ""
        except (ClientError, KeyError, TypeError, ValueError) as error:
            self.lines, self.why = [], plain(str(error))

    async def _line(self, node: Node, room: str, before: dict[str, RoomLine]) -> RoomLine | None:
        try:
            now = await node.json("rooms", room)
        except Refused as gone:
            if gone.status == 404:
                return None
            raise
        epoch, seq, at = str(now["epoch"]), int(now["seq"]), self._clock()
        rate, was = None, before.get(room)
        if was is not None and was.epoch == epoch and was.seq <= seq and was.at < at:
            rate = (seq - was.seq) / (at - was.at)
        return RoomLine(room, int(now["online"]), int(now["peak"]), epoch, seq, at, rate)
