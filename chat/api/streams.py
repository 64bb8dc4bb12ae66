"""Live streams: what one event says to all that follow, as server-sent events.

    Watch, RoomFeed -> Topic.tell(frame) -> Stream, Stream, … -> their connections

Rules. A frame is written once and every stream has a reference to it. How many streams there are is
bounded, and so is what waits in one: who reads too slowly is told to come again, as is everybody
when the process is about to end.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chat.api.incoming import Drain, Unfinished
from chat.api.live_paths import GoodbyeOut

MOST_WAITING: Final = 64
"""Frames that wait in a stream, of those that one tick in two seconds and a room's two make; those
of eight rooms, three seconds."""
RETRY_S: Final = 5.0
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""No cache keeps it, and nginx passes on what has come so far."""

_encode = msgspec.json.Encoder().encode


def frame(event: str, body: msgspec.Struct) -> bytes:
    """One event, as a browser reads it."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), _encode(body))


class TooManyStreams(Unfinished):
    """There are as many as there may be."""

    status = 503
    code = "too_many_streams"
    retry_after = RETRY_S


class Stream:
    """What waits for one reader."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._ended = False

    def put(self, told: bytes) -> None:
        """One more frame."""
        if self._ended:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self.end("slow")
            return
        self._waiting.append(told)
        self._more.set()

    def end(self, reason: str) -> None:
        """The last frame: why there are no more."""
        if not self._ended:
            self._waiting.append(frame("end", GoodbyeOut(reason)))
            self._ended = True
            self._more.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """All there are, as they come."""
        while True:
            await self._more.wait()
            while self._waiting:
                yield self._waiting.popleft()
            if self._ended:
                return
            self._more.clear()


class Streams:
    """All that are open here, `most` at once."""

    def __init__(self, most: int, drain: Drain) -> None:
        self.most = most
        self._open: set[Stream] = set()
        drain.then(self._end)

    def __len__(self) -> int:
        return len(self._open)

    def enter(self) -> Stream:
        """A stream more. Raises TooManyStreams."""
        if len(self._open) >= self.most:
            words = f"{self.most} live streams are open here, as many as there may be: close one"
            raise TooManyStreams(words)
        stream = Stream()
        self._open.add(stream)
        return stream

    def leave(self, stream: Stream) -> None:
        """Its reader has gone."""
        self._open.discard(stream)

    def _end(self) -> None:
        for stream in self._open:
            stream.end("draining")


class Topic:
    """Streams that are told the same."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()

    def __bool__(self) -> bool:
        return bool(self._streams)

    def join(self, stream: Stream) -> None:
        self._streams.add(stream)

    def leave(self, stream: Stream) -> None:
        self._streams.discard(stream)

    def tell(self, told: bytes) -> None:
        """One frame to all of them."""
        for stream in self._streams:
            stream.put(told)

    def end(self, reason: str) -> None:
        """They are all told why there is no more."""
        for stream in self._streams:
            stream.end(reason)


class Streaming(StreamingResponse):
    """A stream as it goes out; `leave` is called when its reader has gone, or it has ended."""

    def __init__(self, stream: Stream, leave: Callable[[], None]) -> None:
        super().__init__(stream.frames(), media_type="text/event-stream", headers=HEADERS)
        self._stream = stream
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            self._stream.end("head")  # no body is sent, and its connection waits for the end
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
