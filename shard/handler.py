"""What a connection group asks of whoever uses it.

Rules. Everything is synchronous and quick: a handler that waits makes everybody wait. It gets
descriptors, payloads and seconds, and keeps what it needs to know about a connection itself.
"""

from typing import Protocol

from shard.closecodes import CloseCode
from shard.handshake import Answer, Request

Opening = bytes | tuple[CloseCode, str] | Answer
"""What a handler says to a new connection: its first bytes, wrapped; or with which code and reason
it is closed again; or an HTTP response instead of letting it in."""


class Handler(Protocol):
    """What the group calls. An exception closes the connection it came from, no other."""

    def on_open(self, fd: int, request: Request) -> Opening:
        """A client was let in. What is returned goes out with the response."""

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        """One whole message."""

    def on_unblocked(self, fd: int) -> None:
        """All that waited for a slow connection is out; more may be sent without piling up."""

    def on_caught_up(self, fd: int) -> None:
        """A slow connection has read everything there was, but something was left out that it
        misses."""

    def on_close(self, fd: int, code: int) -> None:
        """The connection is over (1006: without a close frame). Called once, at a turn's end."""

    def on_tick(self, tick: int) -> None:
        """A second has passed."""

    def lately_sent(self, fd: int, since: int) -> bool:
        """Whether a silent connection was surely sent something after the tick `since`."""


class Service(Protocol):
    """A handler and what lives beside it."""

    @property
    def handler(self) -> Handler:
        """Who the connections' events are for."""

    async def start(self) -> None:
        """Called before the first connection is accepted."""

    async def drain(self) -> None:
        """Tell every client to go, and close; newcomers are turned away already."""

    async def stop(self) -> None:
        """Called after the last connection ended."""
