"""HTTP/1.1 on one connection, with a bound on all that a stranger can make it keep.

Rules. uvicorn's protocol turns requests into ASGI; what is here decides how much is read of them
and how long anything is waited for, before any key is asked for. Bytes are parsed a slice at a
time, and only while no request waits behind the one that is answered: what else was read is kept as
it came, and nothing more is read. An answer is never written into another one: what is refused
behind a request that is being answered waits its turn.

    a head      HEAD_BYTES, MAX_HEADERS, HEAD_S        431, 408
    a body      paused at 64 KiB that nobody took      what it brings in time: incoming.py
    a trailer   HEAD_BYTES; it is passed over          431
    an answer   STALL_S without a byte taken           the connection ends
    the rest    LINGER_S, LINGER_BYTES; passed over    the connection ends
    between     KEEP_ALIVE_S

A connection that a shard passed on begins with what was read of it and ends behind its first
answer, which says so.

Danger: uvicorn reads on whenever a request asks for its body or is answered, whatever else waits.
It does so by `flow.resume_reading`, so that is where it is stopped.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from chat.api.answers import failure
from chat.api.passed import PASSED, Passed
from chat.api.places import Places
from shard.handshake import PRINTABLE

SLICE: Final = 1024
"""Bytes parsed at once: some fifty of the shortest requests, which is what may wait."""
HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 128
HEAD_S: Final = 10.0
KEEP_ALIVE_S: Final = 75.0
"""Longer than the pools of HTTP clients keep a connection, so that they are who closes it."""
STALL_S: Final = 30.0
LINGER_S: Final = 3.0
LINGER_BYTES: Final = 16_777_216
"""What a client may take, and still send, until it has read the last answer; then it is reset."""

PLACE_S: Final = 5
"""Seconds after which one who got no place is told to come back."""

Refusal = tuple[int, str, str]
MALFORMED: Final = (400, "bad_request", "this is not an HTTP/1.1 request")
HEAD_TOO_LARGE: Final = (431, "head_too_large", "the head of the request is too large")
HEAD_TOO_SLOW: Final = (408, "timeout", "the head of the request did not come in time")
FULL: Final = (503, "too_many_connections", "there is no room for another connection")
TOO_MANY: Final = (429, "too_many_connections", "too many connections from this address")


class Flow(FlowControl):
    """Flow control in which reading on is for the protocol to decide."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on

    def resume_reading(self) -> None:
        self._go_on()


class Cycle(RequestResponseCycle):
    """A request and its answer. What came before a cut is read before the cut is told."""

    final = False
    """Whether its answer says that the connection ends: its body has not come, or none may follow
    it."""

    async def receive(self) -> Any:
        message = await super().receive()
        if message["type"] == "http.disconnect" and self.body and not self.response_complete:
            body, self.body = bytes(self.body), bytearray()
            return {"type": "http.request", "body": body, "more_body": True}
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and (self.more_body or self.final):
            self.final = True
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message = message | {"headers": headers}
        await super().send(message)
        self.keep_alive |= self.final  # the close is said; to do it is for the protocol


def _cut(cycle: Cycle) -> None:
    """Have a request end as if its client had gone."""
    cycle.disconnected = True
    cycle.message_event.set()


class Protocol(HttpToolsProtocol):
    """One connection.

    places  where it takes one
    ended   called with the status, or the word, of a limit that ends it
    passed  what a shard knows of it, when it came by one
    """

    flow: Flow
    cycle: Cycle
    pipeline: deque[tuple[Cycle, Any]]  # type: ignore[assignment]

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        places: Places,
        ended: Callable[[str], None],
        passed: Passed | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._passed = passed
        self._first = passed.data if passed else b""
        self._places = places
        self._ended = ended
        self._place: int | None = None
        self._read = memoryview(b"")
        self._at = 0
        self._untold = 0
        self._told = self._in_head = self._over = False
        self._in_message = self._in_line = False
        self._answering: Cycle | None = None
        self._wrong: Refusal | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    # --- the connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self._go_on)
        if self._passed is not None:
            self.client = self._passed.client, 0
            self.loop.call_soon(self.data_received, b"")  # unless more comes before that
        self._place = self._places.take(self.client[0] if self.client else "")
        if self._place is not None:
            self._within(HEAD_S, self._head_overdue)
        elif self._places.turn_away():
            self._refuse(FULL if self._places.full else TOO_MANY)
        else:
            self._ended("full")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._read = memoryview(b"")
        self._stop_waiting()
        self._stop_watching()
        self._places.leave(self._place)
        if self._answering is not None:
            _cut(self._answering)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._first:
            data, self._first = self._first + data, b""
        if self._over:
            self._pass_over(data)
            return
        left = self._read[self._at :]
        self._read, self._at = memoryview(bytes(left) + data if left else data), 0
        self._parse()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all may end its side, and still reads its answers."""
        if self._first:
            self.data_received(b"")
        if self._answering is None or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    # --- reading -------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Read on, unless a request waits for its turn or a body for who takes it."""
        if not self.flow.read_paused or self.pipeline or self.transport.is_closing():
            return
        self.flow.read_paused = False
        self._parse()
        if not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _parse(self) -> None:
        """Parse what was read, as far as there is room for it."""
        while self._at < len(self._read) and not self.flow.read_paused:
            if self._over or self.transport.is_closing():
                return
            piece: bytes | memoryview = self._read[self._at : self._at + SLICE]
            self._at += len(piece)
            if self._in_line or not self._in_message:
                piece = self._in_ascii(bytes(piece))
            self._told = False
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                # To nothing, here: what follows is the next request.
                self._at += upgrade.args[0] - len(piece)
            except httptools.HttpParserError:
                self._refuse(self._wrong or MALFORMED)
                return
            # httptools tells of a header when it has all of it, and would collect one for ever.
            self._untold = 0 if self._told else self._untold + len(piece)
            if self._untold > HEAD_BYTES:
                self._refuse(HEAD_TOO_LARGE)

    def _in_ascii(self, piece: bytes) -> bytes:
        """What is here of a first line, encoded where it is raw UTF-8; httptools takes none."""
        line, end, rest = piece.partition(b"\n")
        self._in_line = not end
        return quote_from_bytes(line, PRINTABLE).encode() + end + rest

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_message = True
        self._told = self._in_head = True
        self._within(HEAD_S, self._head_overdue)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        if len(self.headers) == MAX_HEADERS:
            self._wrong = HEAD_TOO_LARGE
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._told = True
        self._in_head = False
        self._stop_waiting()
        self._fill_scope()
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.scope["http_version"] != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.cycle.final = self._passed is not None
        if self._answering is not None:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._answer(self.cycle)

    def _fill_scope(self) -> None:
        url = httptools.parse_url(self.url)
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = self.parser.get_http_version()
        path = url.path or b"/"  # of a URL that is a host and no more
        self.scope["raw_path"] = path
        self.scope["path"] = unquote(path.decode("ascii"))
        self.scope["query_string"] = url.query or b""
        if self._passed is not None:
            self.scope[PASSED] = True  # type: ignore[typeddict-unknown-key]

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    # --- answering -----------------------------------------------------------------------------

    def _answer(self, cycle: Cycle) -> None:
        self._answering = cycle
        self._start_asgi_task(cycle, self.app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        answered, self._answering = self._answering, None
        if self.transport.is_closing():
            self._within(STALL_S, self._abort_unread)
        elif answered is not None and answered.final:
            self._end()
        elif self.pipeline:
            self._answer(self.pipeline.pop()[0])
        elif self._wrong is not None:
            self._say(self._wrong)
        elif not self._in_head:
            self._within(KEEP_ALIVE_S, self.transport.abort)
        self._go_on()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer that, and nothing after it; what is being answered comes first."""
        self._ended(str(refusal[0]))
        self._over = True
        self._wrong = refusal
        cycle = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_complete:
            if self.pipeline:
                self.pipeline.popleft()  # its body is what is wrong; it has not begun
            else:
                _cut(cycle)
                self._answering = None
        if self._answering is None:
            self._say(refusal)

    def _say(self, refusal: Refusal) -> None:
        status, code, message = refusal
        body = bytes(failure(status, code, message).body)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        )
        if code == "too_many_connections":
            head += f"Retry-After: {PLACE_S}\r\n"
        head += "\r\n"
        self.transport.write(head.encode() + body)
        self._end()

    def _end(self) -> None:
        """Nothing more is said or heard. What still comes is passed over for a moment."""
        self._over = True
        self._untold = 0
        self.pipeline.clear()
        self.transport.write_eof()
        self._within(LINGER_S, self.transport.abort)
        if self.flow.read_paused:
            self.flow.read_paused = False
            self.transport.resume_reading()

    def _pass_over(self, data: bytes) -> None:
        """Read on, only because bytes nobody has read make the kernel reset the connection."""
        self._untold += len(data)
        if self._untold > LINGER_BYTES:
            self.transport.abort()

    # --- time ----------------------------------------------------------------------------------

    def _within(self, seconds: float, otherwise: Callable[[], None]) -> None:
        """One thing is waited for at a time."""
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, otherwise)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_overdue(self) -> None:
        if self._answering is not None or self.flow.read_paused:
            self._within(HEAD_S, self._head_overdue)  # it waits for us
        elif self._in_head:
            self._refuse(HEAD_TOO_SLOW)
        else:
            self.transport.close()

    def _watch_writing(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(STALL_S, self._look_at_writing, left)

    def _stop_watching(self) -> None:
        if self._stall is not None:
            self._stall.cancel()

    def _look_at_writing(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._watch_writing()
        else:
            self._abort_unread()

    def _abort_unread(self) -> None:
        self._stop_waiting()
        self._stop_watching()
        self._ended("unread")
        self.transport.abort()
