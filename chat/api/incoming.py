"""A request's body as it comes: piece by piece, for as long as it goes on coming.

Rules. A body ends in one of four ways: whole, cut by who sent it, stalled, or because this process
is about to end. All but the first are raised as Interrupted, and whoever gathers what came decides
what becomes of it. Nothing is inflated: what is sent compressed is refused by the encoding's name,
so that the bytes that are counted are the bytes that are kept.

Danger: a wait that is given up must lose nothing. It is cancelled inside ASGI's `receive`, which
keeps what has come for the next call.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

BOM: Final = b"\xef\xbb\xbf"
"""What editors and shells of some systems put before UTF-8."""
DRAIN_IDLE_S: Final = 0.25
"""How long a body may pause while this process ends."""
DRAIN_S: Final = 2.0
"""How long it may go on."""


class Unfinished(Exception):
    """A request that ended before it was done, and how that is answered.

    accepted  messages published before
    lines     of a stream, how many of its lines had been dealt with: go on behind them
    """

    status = 503
    code = "unavailable"
    retry_after: float | None = 1.0

    def __init__(self, why: str, accepted: int = 0) -> None:
        super().__init__(why)
        self.accepted = accepted
        self.lines: int | None = None


class Interrupted(Unfinished):
    """The body does not go on."""


class Cut(Interrupted):
    """Its connection is gone. Nobody reads the answer; the status is nginx' number for that."""

    status = 499


class Stalled(Interrupted):
    """Nothing came for too long."""

    status = 408
    code = "timeout"
    retry_after = None


class Draining(Interrupted):
    """This process is about to end; another, or the next, is there soon."""


class Drain:
    """Whether this process is about to end, which bodies and streams are told at once."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._waits: set[asyncio.Timeout] = set()
        self._calls: list[Callable[[], None]] = []

    @property
    def began(self) -> bool:
        return self._began is not None

    def begin(self) -> None:
        """From now on a body has to hurry."""
        self._began = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(min(wait.when() or math.inf, self.patience(self._began, math.inf)))
        for call in self._calls:
            call()

    def then(self, call: Callable[[], None]) -> None:
        """Have something called when it begins."""
        self._calls.append(call)

    def patience(self, since: float, idle_s: float) -> float:
        """Until when a body that has brought nothing since then is waited for."""
        if self._began is None:
            return since + idle_s
        return min(max(since, self._began) + DRAIN_IDLE_S, self._began + DRAIN_S)

    @contextmanager
    def told(self, wait: asyncio.Timeout) -> Iterator[None]:
        """Have `wait` end early if the process does."""
        self._waits.add(wait)
        try:
            yield
        finally:
            self._waits.discard(wait)


class Incoming:
    """The body of a request; `idle_s` is how long it may bring nothing.

    Raises HTTPException when its encoding is not taken.
    """

    def __init__(self, request: Request, idle_s: float, drain: Drain) -> None:
        _want_plain(request)
        self._receive = request.receive
        self._length = int(request.headers.get("content-length", 0))
        self._idle_s = idle_s
        self._drain = drain
        self._clock = asyncio.get_running_loop().time
        self._since: float | None = None
        self._ended = False

    async def whole(self, most: int, instead: str = "") -> bytes:
        """All of it, without a byte order mark. Raises Interrupted, and HTTPException beyond `most`
        bytes, with what one may do `instead`."""
        body = bytearray()
        if self._length > most:
            raise _too_large(most, instead)
        while (chunk := await self.chunk()) is not None:
            body += chunk
            if len(body) > most:
                raise _too_large(most, instead)
        return bytes(body.removeprefix(BOM))

    async def chunk(self, until: float = math.inf) -> bytes | None:
        """What came next, b"" if nothing has by `until` (the loop's time); None behind the end.

        Raises Interrupted.
        """
        if self._ended:
            return None
        now = self._clock()
        self._since = self._since or now
        self._hurry(now)
        wait = asyncio.timeout_at(min(until, self._drain.patience(self._since, self._idle_s)))
        try:
            with self._drain.told(wait):
                async with wait:
                    message = await self._receive()
        except TimeoutError:
            self._hurry(self._clock())
            return b""
        if message["type"] == "http.disconnect":
            raise Cut("the connection is gone")
        self._ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        if chunk:
            self._since = None
        return chunk

    def _hurry(self, now: float) -> None:
        """Raises Interrupted when it is too late for more."""
        assert self._since is not None
        if now < self._drain.patience(self._since, self._idle_s):
            return
        if self._drain.began:
            raise Draining("this process is about to end")
        raise Stalled(f"nothing of the body came for {self._idle_s} s")


def _too_large(most: int, instead: str) -> HTTPException:
    return HTTPException(413, f"a body is at most {most} bytes{instead and '; '}{instead}")


def content_type(request: Request) -> str:
    """The media type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _want_plain(request: Request) -> None:
    named = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    coded = sorted({name.strip() for name in named} - {"", "identity"})
    if coded:
        message = f"a body is taken as it is, not with Content-Encoding {', '.join(coded)}"
        raise HTTPException(415, message, headers={"Accept-Encoding": "identity"})
