"""The client for code without an event loop: a thread of its own runs one.

Rules. Everything is `Client`'s; here is only whose thread waits. May be used from several threads
at once, but iterated by one.

    with BlockingClient("ws://127.0.0.1:8000/ws", "lobby") as client:
        client.send("lobby", "hello")
        for event in client: ...
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from chat.client.asking import Order
from chat.client.client import Client
from chat.client.follower import News
from chat.client.link import ClientError, Env, Token
from chat.wire.commands import Action, Since
from chat.wire.schema import LIKE, Ack, Authed, Done, Gap, Kind, Mode, Sequenced, Welcome

Result = TypeVar("Result")


class Options(TypedDict, total=False):
    """What a client is made with, beside its URL and rooms."""

    token: Token
    name: str
    listen: bool
    first_tries: int | None
    on_away: Callable[[str, float], None]
    answer_s: float
    patience_s: float
    env: Env | None


class How(TypedDict, total=False):
    """How a message is sent, beside its room and text."""

    color: int
    mode: Mode
    size: int
    kind: Kind | None
    message_id: str
    attempts: int


class BlockingClient:
    """As `Client`, with the same arguments and methods."""

    def __init__(self, url: str, *rooms: str, **options: Unpack[Options]) -> None:
        self._client = Client(url, *rooms, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise ClientError("a client is used once: make another")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="danmaku", daemon=True)
        self._thread.start()
        self._wait(self._client.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wait(lambda: self._client.__aexit__(kind, error, trace))
        loop, self._loop = self._loop, None
        assert loop is not None
        assert self._thread is not None
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> News:
        return self.next_event()

    def next_event(self, timeout_s: float | None = None) -> News:
        """The next event. Raises TimeoutError, and what iterating a Client raises."""

        async def within() -> News:
            async with asyncio.timeout(timeout_s):
                return await anext(self._client)

        return self._wait(within)

    @property
    def me(self) -> Welcome | Authed | None:
        """Who the server says we are."""
        return self._client.me

    def send(self, room: str, text: str, **how: Unpack[How]) -> Ack:
        """As `Client.send`; likewise all below."""
        return self._wait(lambda: self._client.send(room, text, **how))

    def join(self, room: str, since: Since | None = None) -> None:
        self._wait(lambda: self._client.join(room, since))

    def leave(self, room: str) -> None:
        self._wait(lambda: self._client.leave(room))

    def authenticate(self, token: Token) -> Authed:
        return self._wait(lambda: self._client.authenticate(token))

    def rename(self, name: str) -> Authed:
        return self._wait(lambda: self._client.rename(name))

    def moderate(self, room: str, action: Action, **fields: Unpack[Order]) -> Done:
        return self._wait(lambda: self._client.moderate(room, action, **fields))

    def report(self, room: str, seq: int, reason: str = "", epoch: str = "") -> Done:
        return self._wait(lambda: self._client.report(room, seq, reason, epoch))

    def like(self, room: str, count: int = 1, kind: str = LIKE) -> Done:
        return self._wait(lambda: self._client.like(room, count, kind))

    def history(
        self, room: str, before: int | None = None, limit: int = 50
    ) -> tuple[list[Sequenced], bool]:
        return self._wait(lambda: self._client.history(room, before, limit))

    def missed(self, gap: Gap) -> tuple[list[Sequenced], int]:
        return self._wait(lambda: self._client.missed(gap))

    def _wait(self, start: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """What something comes to in the other thread."""
        if self._loop is None:
            raise ClientError("use the client in a `with` block")
        future = asyncio.run_coroutine_threadsafe(start(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClientError("the client was closed") from None
        except BaseException:
            future.cancel()  # as by Ctrl-C, here: nobody waits there any more
            raise
