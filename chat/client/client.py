"""A client of a node: follow rooms, send until acknowledged, over as many connections as it takes.

Rules. The same contract as the page's client (`web/`). Here is who waits for what; the connection
is `link.py`, which rooms there are `rooms.py`, what their events mean `follower.py`, what is under
way `unacked.py` and, of other commands (`asking.py`), `questions.py`.

    async with Client("ws://127.0.0.1:8000/ws", "lobby") as client:
        ack = await client.send("lobby", "hello")
        async for event in client: ...

Danger: who iterates may be slower than a room. Past MOST_UNREAD events the socket is not read any
more, and the server ends the connection in its time; but while a `send` waits, its answer is read.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Final, Self, cast

from msgspec import UNSET

from chat.client.asking import Asking
from chat.client.follower import Follower, News, Stage
from chat.client.link import ClientError, Env, Link, Token
from chat.client.questions import (
    ATTEMPTS,
    MOST_WAIT_S,
    PATIENCE_S,
    CommandRefused,
    Questions,
    Unanswered,
    in_time,
    until_answered,
)
from chat.client.rooms import Rooms
from chat.client.unacked import Sending, Unacked
from chat.wire.commands import Leave, Send, Since
from chat.wire.schema import (
    GUEST,
    NORMAL_SIZE,
    WHITE,
    Ack,
    Authed,
    Clear,
    Delete,
    Done,
    Error,
    ErrorCode,
    Expiring,
    Gap,
    Joined,
    Kind,
    Left,
    Mode,
    Msg,
    Msgs,
    Paged,
    ServerEvent,
    Shed,
    State,
    Welcome,
)

log = logging.getLogger(__name__)

ANSWER_S: Final = 10.0
MOST_UNREAD: Final = 10_000
CLOSED: Final = "the client was closed"
TOO_LONG: Final = "the text is longer than any server takes"
MOST_CHARS: Final = 2000
"""Of a text, wherever it is sent. A server that was sent much more would close, and for good."""
GUESTS_KEPT: Final = 16
"""A guest that cannot come back as itself has a new uid; what is in doubt is of the last few."""


class SendRefused(CommandRefused):
    """The server refused a message, or the room it was for."""


class Client(Asking):
    """Follows `rooms` from `async with` to its end; iterating gives the events, in order. More are
    joined and left as one goes.

    Messages come one by one; those of a `joined` that were not seen before follow it, and a `gap`
    comes before it if some are missing.
    What answers a method is not among the events. With `listen=False` nothing is, which is for
    clients that only send.

    token        what says who it is; or what gives one, a function with or without async, asked
                 for every connection, and again when the server says that the last is about to end
    name         what a guest would like to be called
    first_tries  failed attempts after which a client that was never welcomed gives up; None: never
    on_away      told why a connection ended or failed, and seconds until the next attempt
    answer_s     seconds to wait for an acknowledgement before sending again
    patience_s   seconds that a method waits in all, also for a connection and for a room

    me  who the server says we are, since its last welcome; None before the first

    When the client has ended by itself, iterating and every method raise TurnedAway or Unreachable.
    Outside of `async with` all of them raise ClientError. A client is entered once.
    """

    me: Welcome | Authed | None = None

    def __init__(
        self,
        url: str,
        *rooms: str,
        token: Token = "",
        name: str = "",
        listen: bool = True,
        first_tries: int | None = None,
        on_away: Callable[[str, float], None] = lambda reason, away_s: None,
        answer_s: float = ANSWER_S,
        patience_s: float = PATIENCE_S,
        env: Env | None = None,
    ) -> None:
        self._env = env or Env()
        self._link = Link(url, token, self._env, first_tries, on_away, name)
        self._listen = listen
        self._answer_s = answer_s
        self._refs = count(1)
        self._rooms = Rooms(rooms, self._link, self._env, self._refs, answer_s, self._may_read)
        self._unacked = Unacked()
        self._welcomed = False
        self._renewal: asyncio.Task[None] | None = None
        self._guests: deque[str] = deque(maxlen=GUESTS_KEPT)
        self._unread: deque[News] = deque()
        self._changed = asyncio.Condition()
        self._end: Exception | None = None
        self._patience_s = patience_s
        self._questions = Questions(
            self._link, self._env, self._refs, answer_s, patience_s, self._until_up
        )
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._life is not None:
            raise ClientError("a client is used once: make another")
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._life is not None
        self._life.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
        with suppress(asyncio.CancelledError):
            await self._life
        if self._end is None:  # it had not begun to live
            self._end = ClientError(CLOSED)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> News:
        self._check_entered()
        async with self._changed:
            await self._changed.wait_for(lambda: self._unread or self._end)
            if not self._unread and self._end is not None:
                raise self._end
            if len(self._unread) == MOST_UNREAD:
                self._changed.notify_all()
            return self._unread.popleft()

    # --- sending -------------------------------------------------------------------------------

    async def send(
        self,
        room: str,
        text: str,
        *,
        color: int = WHITE,
        mode: Mode = "scroll",
        size: int = NORMAL_SIZE,
        kind: Kind | None = None,
        message_id: str = "",
        attempts: int = ATTEMPTS,
    ) -> Ack:
        """Send a message to one of `rooms`; its acknowledgement.

        kind        what only some roles may say: system, gift, superchat
        message_id  what names it, so that it is published once however often this is called
                    within five minutes; else one is made up

        It is sent again, under the same id, when the server says that helps within some seconds,
        and when the connection ends before there is an answer. What a guest sent that has come back
        as another is not, for it could be published twice: it is Unanswered where it was not seen
        in the room.
        Raises SendRefused, Unanswered, Unsent, TurnedAway or Unreachable.
        """
        self._check_entered()
        follower = self._rooms.get(room)
        if follower is None:
            raise ClientError(f"join {room} first")
        if len(text) > MOST_CHARS:
            raise SendRefused(Error(ErrorCode.TEXT_TOO_LONG, TOO_LONG))
        name = message_id or secrets.token_hex(8)
        command = Send(room, text, color, mode, size, name, kind=kind or UNSET)
        sending = self._unacked.add(command)
        try:
            async with self._changed:  # reading may wait for who iterates: it must not now
                self._changed.notify_all()
            answer = await in_time(
                until_answered(lambda: self._attempt(sending, follower), attempts, self._env),
                self._patience_s,
                lambda: sending.sender != "",
            )
        finally:
            self._unacked.remove(sending)
        if isinstance(answer, Error):
            raise SendRefused(answer)
        return cast(Ack, answer)

    async def _attempt(self, sending: Sending, follower: Follower) -> Ack | Error | None:
        await self._until_live(follower)
        if sending.ack is not None:
            return sending.ack
        uid = cast(Welcome | Authed, self.me).uid
        if sending.sender not in ("", uid):
            raise Unanswered("it may have been published, or not, by whom we are no more")
        await self._link.say(sending.attempt(next(self._refs), uid))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._answer_s):
                return await sending.answer()
        return None

    async def _until_live(self, follower: Follower) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._end or self._is_settled(follower))
        if self._end is not None:
            raise self._end
        if follower.stage is not Stage.LIVE:
            raise SendRefused(cast(Error, self._refusal(follower)))

    def _is_settled(self, follower: Follower) -> bool:
        """Whether a join is answered, for as long as anybody waits here."""
        return follower.stage is Stage.LIVE or self._refusal(follower) is not None

    def _refusal(self, follower: Follower) -> Error | None:
        return follower.refusal(self._env.now() + MOST_WAIT_S)

    # --- rooms ---------------------------------------------------------------------------------

    async def join(self, room: str, since: Since | None = None) -> None:
        """Follow one more room: its `joined`, and what comes after, are among the events. One that
        was refused is asked for again.

        since  a position that was kept, see `position`: what was missed behind it comes first, and
               a Gap before it if some is gone
        """
        self._check_entered()
        if self._end is not None:
            raise self._end
        self._rooms.follow(room, since)

    async def leave(self, room: str) -> None:
        """Follow a room no more."""
        self._check_entered()
        if self._end is not None:
            raise self._end
        if self._rooms.forget(room) and self._welcomed:
            # The join may not have been answered, and no later connection is in the room.
            with suppress(CommandRefused, Unanswered):
                await self._questions.ask(lambda ref: Leave(room, ref), attempts=1)

    def _check_entered(self) -> None:
        if self._life is None:
            raise ClientError("use the client in an `async with` block")

    async def _until_up(self, room: str | None) -> None:
        def is_up() -> bool:
            follower = None if room is None else self._rooms.get(room)
            return self._welcomed and (follower is None or self._is_settled(follower))

        self._check_entered()
        async with self._changed:
            await self._changed.wait_for(lambda: self._end or is_up())
        if self._end is not None:
            raise self._end

    async def _renew(self) -> None:
        """Show a newer token, before the last one ends; if there is none, that ends the
        connection, and the next one asks again."""
        try:
            await self.authenticate(self._link.token)
        except Exception as error:
            log.warning("the token was not renewed: %s", error)

    # --- receiving -----------------------------------------------------------------------------

    async def _live(self) -> None:
        try:
            await self._link.live(self._take, self._down)
        except asyncio.CancelledError:
            self._end = ClientError(CLOSED)
            raise
        except Exception as error:  # ours too: who waits must hear of it
            self._end = error
        finally:
            await self._down()

    async def _down(self) -> None:
        """The connection has ended."""
        self._welcomed = False
        self._rooms.lost()
        self._unacked.lost()
        self._questions.lost()
        async with self._changed:
            self._changed.notify_all()

    async def _take(self, events: list[ServerEvent]) -> None:
        """One frame's events."""
        new = [event for each in events for event in self._news(each)]
        self._rooms.join_wanted()
        async with self._changed:
            if self._listen:
                self._unread.extend(new)
            self._changed.notify_all()
            await self._changed.wait_for(self._may_read)

    def _may_read(self) -> bool:
        """Whether there is room for what comes, or somebody waits for it."""
        return len(self._unread) < MOST_UNREAD or len(self._unacked) > 0

    def _news(self, event: ServerEvent) -> list[News]:
        """Act on an event; what of it is news to who iterates."""
        match event:
            case Welcome():
                self.me, self._welcomed = event, True
                if event.role == GUEST:
                    self._guests.append(event.uid)
                self._rooms.welcomed()
            case Ack():
                self._unacked.answered(event)
                return []
            case Authed() | Done() | Paged() if self._questions.answered(event):
                return []
            case Left():
                return self._gone(event)
            case Expiring() if not isinstance(self._link.token, str):
                self._renewal = asyncio.create_task(self._renew())
                return []
            case Error():
                if self._unacked.answered(event) or self._questions.answered(event):
                    return []
                return [self._rooms.refused(event)]
            case Msgs() | Delete() | Clear() | State() | Joined() | Gap() | Shed():
                new = self._rooms.take(event)
                self._recognise(new)
                return new
        return [event]

    def _gone(self, left: Left) -> list[News]:
        """We are out of a room: because we asked to, or were sent out."""
        if self._questions.answered(left):
            return []
        self._rooms.left(left)
        return [left]

    def _recognise(self, events: list[News]) -> None:
        """Find our own messages among what is new."""
        for event in events:
            if isinstance(event, Msg) and event.uid in self._guests:
                self._unacked.seen(event)
