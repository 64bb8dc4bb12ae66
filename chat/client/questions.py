"""Commands of a client that are asked until they are answered: of every kind but `join` and `send`,
which have rules of their own.

Rules. All but likes may be done twice. One that the link lost, or that nobody answered in time, is
asked again; so is one that the server says to try again within some seconds. Nobody asks again at
once: what the server told is the least, and full jitter comes on top, because it tells many the
same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from chat.client.backoff import Backoff
from chat.client.link import ClientError, Env, Link
from chat.wire.commands import Command
from chat.wire.schema import Authed, Done, Error, ErrorCode, Left, Paged, Ref

ATTEMPTS: Final = 5
MOST_WAIT_S: Final = 15.0
"""What takes longer, such as slow mode by the hour, is for the caller to wait for."""

MOST_BYTES: Final = 16_384
"""Of a command. A server that was sent more closes, and for good (`limits.message_bytes`)."""

PATIENCE_S: Final = 240.0
"""For all attempts together. A server knows the id of a message for five minutes."""

Result = TypeVar("Result")
Answer = Authed | Done | Left | Paged | Error


class CommandRefused(ClientError):
    """The server refused what was asked; `error` says why."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


class Unanswered(ClientError):
    """What was sent was neither done nor refused, however often it was sent."""


class Unsent(ClientError):
    """It could not be sent in time, or was told to wait for too long: it is not done."""


async def in_time(
    answer: Awaitable[Result], patience_s: float, may_be_done: Callable[[], bool]
) -> Result:
    """The answer, within so many seconds. Raises Unanswered or Unsent when they are over."""
    try:
        async with asyncio.timeout(patience_s):
            return await answer
    except TimeoutError:
        if may_be_done():
            raise Unanswered(f"no answer within {patience_s:.0f} s") from None
        raise Unsent(f"it could not be sent within {patience_s:.0f} s") from None


async def until_answered(
    attempt: Callable[[], Awaitable[Any]], attempts: int, env: Env, *, repeatable: bool = True
) -> Any:
    """What the attempts come to, each of which gives an answer, an Error, or None for neither: the
    first answer, or the first Error that trying again within some seconds does not help.

    repeatable  whether it may be done twice; else nothing is tried after a None

    Raises Unanswered when the last came to None.
    """
    backoff = Backoff(env.chance)
    for left in reversed(range(attempts)):
        match await attempt():
            case None if not repeatable:
                raise Unanswered("no answer: it may have been done")
            case None:
                after = 0.0
            case Error(retry_after=float(after)) if left and after <= MOST_WAIT_S:
                pass
            case answer:
                return answer
        if left:
            await env.sleep(after + backoff.next_s())
    raise Unanswered(f"no answer after {attempts} attempts")


class Questions:
    """Those of one client that are not answered yet.

    refs      numbers for its commands
    answer_s  seconds to wait for an answer before asking again
    patience_s  seconds for all of that, with waiting for a connection
    until_up  waits for a connection, and for the answer to the join of a room where one is named
              and followed; raises when there will be none
    """

    def __init__(
        self,
        link: Link,
        env: Env,
        refs: Iterator[int],
        answer_s: float,
        patience_s: float,
        until_up: Callable[[str | None], Awaitable[None]],
    ) -> None:
        self._link = link
        self._env = env
        self._refs = refs
        self._answer_s = answer_s
        self._patience_s = patience_s
        self.until_up = until_up
        self._waiting: dict[Ref, asyncio.Future[Any]] = {}

    async def ask(
        self,
        command: Callable[[int], Command],
        attempts: int = ATTEMPTS,
        repeatable: bool = True,
        room: str | None = None,
    ) -> Any:
        """The answer to a command, which is made for each attempt's number; `room` is one that it
        has to be in.

        Raises CommandRefused, also for what is too large to be sent, Unanswered, Unsent, and what
        `until_up` raises.
        """
        open_refs = set[int]()  # of attempts that nobody has refused
        answer = await in_time(
            until_answered(
                lambda: self._attempt(command, room, open_refs),
                attempts,
                self._env,
                repeatable=repeatable,
            ),
            self._patience_s,
            lambda: bool(open_refs),
        )
        if isinstance(answer, Error):
            raise CommandRefused(answer)
        return answer

    async def connected(self) -> None:
        """Wait for a connection. Raises Unsent, and what `until_up` raises."""
        await in_time(self.until_up(None), self._patience_s, lambda: False)

    async def _attempt(
        self, command: Callable[[int], Command], room: str | None, open_refs: set[int]
    ) -> Any:
        """An answer; None where none came in time, or the link broke."""
        await self.until_up(room)
        ref = next(self._refs)
        open_refs.add(ref)
        answer = self._waiting[ref] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._answer_s):
                await self._link.say(_fitting(command(ref)))
                told = await answer
                if isinstance(told, Error):
                    open_refs.discard(ref)
                return told
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(ref, None)

    def answered(self, answer: Answer) -> bool:
        """An answer came; whether it was one of these's."""
        waiting = None if answer.ref is UNSET else self._waiting.pop(answer.ref, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        return waiting is not None

    def lost(self) -> None:
        """The link broke: nothing asked will be answered."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)


def _fitting(command: Command) -> Command:
    """A command that a server takes. Raises CommandRefused."""
    if len(msgspec.json.encode(command)) > MOST_BYTES:
        raise CommandRefused(Error(ErrorCode.BAD_REQUEST, f"over {MOST_BYTES} bytes"))
    return command
