"""One connection with the API, by hand: as a socket, or piece by piece without one.

Rules. A `Wire` is for what depends on where its bytes are cut; everything else uses sockets.
"""

import asyncio
import re
import socket
from contextlib import suppress

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from chat.api.places import Places
from chat.api.protocol import HEAD_BYTES, Protocol
from tests.chat.api.rig import Api
from tests.chat.rig import BOUND_S

ENOUGH = HEAD_BYTES
LAST = b"Connection: close"


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /healthz HTTP/1.1", b"Host: localhost", *lines, b"", b""])


def statuses(answer: bytes) -> list[int]:
    """Of all answers, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


class Wire(asyncio.Transport):
    """A connection whose pieces are exactly those that are fed; answers come when it is let run."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = b""
        self.ended = False
        self.bodies: list[tuple[bytes, bool]] = []
        """What each request brought, and whether it was cut."""
        self.scopes: list[Scope] = []
        config = uvicorn.Config(
            self._app, lifespan="off", log_config=None, ws="none", interface="asgi3"
        )
        config.load()
        places = Places(1, 0)
        self.protocol = Protocol(config, ServerState(), {}, places=places, ended=lambda why: None)
        self.protocol.connection_made(self)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, message = b"", await receive()
        while message["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
            message = await receive()
        self.bodies.append((body, message["type"] == "http.disconnect"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})

    def feed(self, data: bytes) -> None:
        self.protocol.data_received(data)

    async def run(self) -> None:
        """Answer whatever can be."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self) -> None:
        await self.run()
        self.protocol.connection_lost(None)
        await self.run()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.answered += data

    def write_eof(self) -> None:
        self.ended = True

    abort = close = write_eof

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """What is fed is fed."""

    resume_reading = pause_reading


def answered(api: Api, data: bytes) -> bytes:
    """What comes back until the connection ends, gently or not."""
    client = socket.create_connection(("127.0.0.1", api.port), BOUND_S)
    with suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(data)
    return heard(client)


def heard(client: socket.socket) -> bytes:
    """What comes until the connection ends."""
    found = b""
    with client:
        try:
            while piece := client.recv(65_536):
                found += piece
        except ConnectionResetError:
            pass
    return found


def is_cut_off(api: Api, begin: bytes, rest: bytes = b"x" * 65_536) -> bool:
    """Whether the connection ends when `rest` follows `begin` without an end. It may take some time
    until that is seen: the kernel takes many megabytes that nobody reads."""
    with socket.create_connection(("127.0.0.1", api.port), BOUND_S) as client:
        client.sendall(begin)
        try:
            for _ in range(5000):
                client.sendall(rest)
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False
