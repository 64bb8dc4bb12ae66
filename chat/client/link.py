"""One WebSocket after another: opening, noticing death, coming back. The client's side.

Rules. The only file that holds a client's WebSocket. It knows of frames being arrays of events and
of the two that concern a link (`welcome`, `bye`), nothing of rooms. Whether the other side still
lives is asked by the `websockets` package's own pings. Clock, waiting and chance come in through
`Env`.

A guest comes back with the key its first welcome gave it, and so is the same one. A token may be
asked of a source instead, anew for every connection, because tokens end and connections go on. Who
is turned away because of a token comes back where the source has another, and only then.

Danger: an error's text goes to a terminal or a log. The URL with its token must not be in it.
"""

import asyncio
import inspect
import ipaddress
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from chat.client.backoff import WITH_ANOTHER_TOKEN, Backoff, may_return
from chat.config.sections import public_url
from chat.wire.commands import Command
from chat.wire.schema import Bye, ServerEvent, Welcome
from shard.closecodes import CloseCode

log = logging.getLogger(__name__)

EXAMPLE: Final = "ws://127.0.0.1:8000/ws"
PROTOCOL: Final = Subprotocol("danmaku.json")
OPEN_S: Final = 10.0
CLOSE_S: Final = 2.0
STEADY_S: Final = 5.0
"""A connection that lived this long starts the back-off anew."""
MAX_FRAME_BYTES: Final = 1 << 26
"""A join's answer may hold 1000 messages of 2000 characters, 12 bytes each as JSON escapes."""
WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429})
"""HTTP statuses below 500 that say nothing against the request itself."""
_seconds: Final = re.compile("[0-9]{1,6}").fullmatch

REASONS: Final = {int(code): code.reason for code in CloseCode}


class ClientError(Exception):
    """What a client cannot do, in a sentence for the person who asked for it."""


class TurnedAway(ClientError):
    """The server does not want this client back; `code` is its close code or HTTP status."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Unreachable(ClientError):
    """No connection succeeded."""


@dataclass(frozen=True, slots=True)
class Env:
    """What a client takes from the world: a clock (seconds), a way to wait, numbers from 0 to 1."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random


Take = Callable[[list[ServerEvent]], Awaitable[None]]
Token = str | Callable[[], Awaitable[str] | str]
"""A token, or where to ask for one; "" is none."""
Down = Callable[[], Awaitable[None]]


class Link:
    """The connection to a node, however often it has to be made anew.

    token        what the next connection says who it is by
    name         and what it would like to be called, as a guest
    first_tries  failed attempts after which a link that was never welcomed gives up; None: never
    on_away      told why a connection ended or failed, and seconds until the next attempt
    """

    def __init__(
        self,
        url: str,
        token: Token,
        env: Env,
        first_tries: int | None,
        on_away: Callable[[str, float], None],
        name: str = "",
    ) -> None:
        self._url = address(url)
        self.token = token
        self.name = name
        self._guest = ""
        self._env = env
        self._first_tries = first_tries
        self._on_away = on_away
        self._socket: ClientConnection | None = None
        self._ever_welcomed = False
        self._welcomed_at: float | None = None
        self._bye: Bye | None = None
        self._retry_after_s = 0.0
        self._shown = ""
        self._spent: TurnedAway | None = None

    async def say(self, command: Command) -> None:
        """Send a command; without a connection it is dropped, as the answer would be."""
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.send(msgspec.json.encode(command).decode())

    async def give_up(self) -> None:
        """End this connection: the other side is not there, whatever the network says."""
        if self._socket is not None:
            await self._socket.close()

    async def live(self, take: Take, down: Down) -> None:
        """Connect, and give each frame's events to `take` and each end to `down`, for ever.

        Raises TurnedAway or Unreachable.
        """
        backoff = Backoff(self._env.chance)
        failures = 0
        while True:
            self._bye = self._welcomed_at = None
            self._retry_after_s = 0.0
            code, reason = await self._connection(take)
            await down()
            if not may_return(code):
                self._spent = TurnedAway(code, reason)
                if code not in WITH_ANOTHER_TOKEN or isinstance(self.token, str):
                    raise self._spent
            failures += 1
            if not self._ever_welcomed and failures == self._first_tries:
                raise Unreachable(f"cannot reach {public_url(self._url)}: {reason}")
            if self._is_steady():
                backoff.reset()
            away_s = backoff.next_s(None if self._bye is None else self._bye.reconnect_in)
            away_s += self._retry_after_s
            self._on_away(reason, away_s)
            await self._env.sleep(away_s)

    async def _connection(self, take: Take) -> tuple[int, str]:
        """One connection from its opening to its end: close code (0: none) and reason."""
        try:
            token = await ask_for(self.token)
        except Exception as error:
            log.warning("no token: %s", error)
            return 0, "there is no token to connect with"
        if self._spent is not None and token == self._shown:
            raise self._spent
        self._shown = token
        try:
            async with connect(
                address(self._url, token, self._guest, self.name),
                subprotocols=[PROTOCOL],
                proxy=None if is_loopback(self._url) else True,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                max_size=MAX_FRAME_BYTES,
            ) as self._socket:
                try:
                    await self._read(self._socket, take)
                finally:  # with 1000: the package's own way out of an exception is 1011
                    await self._socket.close()
        except ConnectionClosed as closed:
            return ending(closed)
        except InvalidStatus as refused:
            status = refused.response.status_code
            if status < 500 and status not in WORTH_ANOTHER_TRY:
                hint = "; is the path right?" if status == 404 else ""
                raise TurnedAway(status, f"the server answers with HTTP {status}{hint}") from None
            self._retry_after_s = retry_after_s(refused.response.headers)
            return 0, f"the server answers with HTTP {status}"
        except TimeoutError:
            return 0, f"no answer within {OPEN_S:.0f} s"
        except (OSError, InvalidHandshake) as error:
            return 0, sentence(error)
        finally:
            self._socket = None

    async def _read(self, socket: ClientConnection, take: Take) -> NoReturn:
        async with asyncio.timeout(OPEN_S):  # for the welcome; later silence may be a quiet room
            payload = await socket.recv(decode=False)
        while True:
            events = decode(payload)
            for event in events:
                if isinstance(event, Welcome):
                    self._welcomed_at, self._ever_welcomed = self._env.now(), True
                    self._spent = None
                    self._guest = event.guest or self._guest
                elif isinstance(event, Bye):
                    self._bye = event
            await take(events)
            payload = await socket.recv(decode=False)

    def _is_steady(self) -> bool:
        at = self._welcomed_at
        return at is not None and self._env.now() - at >= STEADY_S


async def ask_for(token: Token) -> str:
    """The token to come with now. A source that is no coroutine function may take its time: it is
    asked in a thread of its own."""
    if isinstance(token, str):
        return token
    given = token() if inspect.iscoroutinefunction(token) else await asyncio.to_thread(token)
    return await given if inspect.isawaitable(given) else given


def address(url: str, token: str = "", guest: str = "", name: str = "") -> str:
    """The URL to connect to, with what one shows of oneself. Raises ClientError if it is none."""
    try:
        parse_uri(url)
    except (InvalidURI, ValueError) as error:
        detail = error.msg if isinstance(error, InvalidURI) else error
        raise ClientError(f"not a WebSocket URL like {EXAMPLE}: {detail}") from None
    shown = {"token": token, "guest": guest, "name": name}
    given = {key: value for key, value in shown.items() if value}
    if not given:
        return url
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query) if pair[0] not in given]
    return urlunsplit(parts._replace(query=urlencode([*query, *given.items()])))


def retry_after_s(headers: Headers) -> float:
    """What a refusal says to wait at least; 0 where it says no seconds (a date is none)."""
    told = headers.get_all("Retry-After")[:1]
    return float(told[0]) if told and _seconds(told[0]) else 0.0


def is_loopback(url: str) -> bool:
    """Whether `url` is this machine, which no proxy should be asked for."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ending(closed: ConnectionClosed) -> tuple[int, str]:
    """Close code (0: the connection just broke) and reason. A code that came back is ours: it says
    what was wrong with the other side, or the way from it."""
    if closed.rcvd is None or closed.rcvd_then_sent is False:
        return 0, "the connection was lost"
    code, reason = int(closed.rcvd.code), closed.rcvd.reason
    return code, reason or REASONS.get(code) or f"closed with code {code}"


def sentence(error: Exception) -> str:
    """Why connecting failed."""
    if isinstance(error, ConnectionRefusedError):  # asyncio's text repeats the address
        return "connection refused"
    return getattr(error, "strerror", None) or str(error)


_decode = msgspec.json.Decoder(list[ServerEvent]).decode
_decode_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.json.Decoder(ServerEvent).decode


def decode(payload: bytes) -> list[ServerEvent]:
    """A frame's events, without those that only a newer version knows."""
    try:
        try:
            return _decode(payload)
        except msgspec.ValidationError:
            return _decode_known(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        log.warning("a frame was ignored: %s", error)
        return []


def _decode_known(payload: bytes) -> list[ServerEvent]:
    events: list[ServerEvent] = []
    for part in _decode_parts(payload):
        with suppress(msgspec.ValidationError):
            events.append(_decode_one(part))
    return events
