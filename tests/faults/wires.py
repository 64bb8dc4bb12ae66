"""One connection as the strictest possible client has it: bytes in, arrays of events out.

Rules. asyncio protocols, nothing of the server. A WebSocket is read by `websockets`' own protocol,
an event stream by the few lines the standard gives it. Every frame or event is handed over whole to
`take(events, id)`; `over()` is called once, when the connection has ended for whatever reason.
Whatever a server may not send is told to `odd` in words.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgpack
import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

Event = dict[str, Any]
Take = Callable[[list[Event], str], None]
Say = Callable[[str], None]

NATIVE: Final = {False: "danmaku.json", True: "danmaku.msgpack"}
PROTOCOL_CODES: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010, 1011})
"""Closes that blame a client which does no wrong, or tell of a bug."""
GOODBYE_S: Final = 2.0
"""A server that does not end the connection by then is left."""

_json = msgspec.json.Decoder(list[dict[str, Any]])
_encode = msgspec.json.Encoder().encode


def decoded(payload: bytes, binary: bool) -> list[Event]:
    """A frame's events."""
    found: list[Event] = msgpack.unpackb(payload) if binary else _json.decode(payload)
    return found


class Wire(asyncio.Protocol):
    """What both wires share: the transport and its end."""

    def __init__(self, take: Take, odd: Say, over: Callable[[], None]) -> None:
        self._take = take
        self._odd = odd
        self._over = over
        self.transport: asyncio.Transport
        self.opened = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    def _ask(self) -> None:
        raise NotImplementedError

    def vanish(self) -> None:
        """Be gone without a word."""
        self.transport.abort()

    def stall(self) -> None:
        """Read nothing from now on."""
        self.transport.pause_reading()

    def read_on(self) -> None:
        """Read again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()


class WebSocket(Wire):
    """One that asks for `subprotocol`, if that is not empty, and sends and takes binary frames, or
    texts."""

    blames = PROTOCOL_CODES

    def __init__(
        self,
        url: str,
        binary: bool,
        deflate: bool,
        take: Take,
        odd: Say,
        over: Callable[[], None],
        subprotocol: str | None = None,
    ) -> None:
        super().__init__(take, odd, over)
        self._binary = binary
        asked_for = NATIVE[binary] if subprotocol is None else subprotocol
        self._protocol = ClientProtocol(
            parse_uri(url),
            extensions=[ClientPerMessageDeflateFactory()] if deflate else None,
            subprotocols=[Subprotocol(asked_for)] if asked_for else None,
            max_size=None,
        )

    def _ask(self) -> None:
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._upgraded(event)
            elif isinstance(event, Frame):
                self._frame(event)
        if self._protocol.parser_exc is not None:
            self._odd(f"it cannot be read: {self._protocol.parser_exc!r}")
        self._flush()

    def eof_received(self) -> None:
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()

    def _upgraded(self, response: Response) -> None:
        refused = self._protocol.handshake_exc
        if refused is not None:
            if not isinstance(refused, InvalidStatus) or response.status_code not in (429, 503):
                self._odd(f"the upgrade was answered wrongly: {refused!r}")
            self.transport.abort()
        else:
            self.opened = True

    def _frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                if (frame.opcode is Opcode.BINARY) is not self._binary or not frame.fin:
                    self._odd(f"a frame of the wrong kind: {frame!r:.100}")
                self._take(self._decoded(bytes(frame.data)), "")
            case Opcode.CLOSE:
                received = self._protocol.close_rcvd
                if received is not None and received.code in self.blames:
                    self._odd(f"closed with {received.code}: {received.reason}")
            case Opcode.CONT:
                self._odd("a fragment")

    def _decoded(self, payload: bytes) -> list[Event]:
        return decoded(payload, self._binary)

    def _encoded(self, command: Event) -> bytes:
        packed: bytes = msgpack.packb(command) if self._binary else _encode(command)
        return packed

    def say(self, *commands: Event) -> None:
        """Send commands, a frame each, if the connection is still there."""
        self.send(*map(self._encoded, commands))

    def send(self, *payloads: bytes) -> None:
        """Send messages, likewise."""
        if self._protocol.state is State.OPEN:
            for payload in payloads:
                if self._binary:
                    self._protocol.send_binary(payload)
                else:
                    self._protocol.send_text(payload)
            self._flush()

    def close(self) -> None:
        """Say goodbye."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()
            asyncio.get_running_loop().call_later(GOODBYE_S, self.transport.abort)
        else:
            self.transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            elif self.transport.can_write_eof():
                self.transport.write_eof()


class EventStream(Wire):
    """`GET target`, with a Last-Event-ID unless that is empty."""

    def __init__(
        self, target: str, last_id: str, take: Take, odd: Say, over: Callable[[], None]
    ) -> None:
        super().__init__(take, odd, over)
        self._target = target
        self._last_id = last_id
        self._unread = b""

    def _ask(self) -> None:
        lines = [f"GET {self._target} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
        if self._last_id:
            lines.append(f"Last-Event-ID: {self._last_id}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self.opened:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                if not head.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 429 ")):
                    self._odd(f"the stream was answered {head[:60]!r}")
                self.transport.abort()
                return
            self.opened = True
            self._unread = rest
        *events, self._unread = self._unread.split(b"\n\n")
        for event in events:
            self._dispatch(event)

    def _dispatch(self, event: bytes) -> None:
        fields: dict[bytes, bytes] = {}
        for line in event.split(b"\n"):
            name, _, value = line.partition(b": ")
            if name not in (b":", b"retry"):
                fields[name] = value
        if fields.keys() - {b"id", b"data", b"event"}:
            self._odd(f"a stream's event of {sorted(fields)}")
        data = fields.get(b"data")
        if fields.get(b"event") == b"close":
            code = msgspec.json.decode(data or b"{}")["code"]
            if code in PROTOCOL_CODES:
                self._odd(f"the stream was ended with {code}")
        elif data is not None:
            self._take(_json.decode(data), fields.get(b"id", b"").decode())

    def close(self) -> None:
        """Leave."""
        self.transport.close()
