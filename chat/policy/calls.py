"""Calls of code that is not ours, each with a budget: coroutines in the loop, the rest in threads.

Rules. Whatever the code does, a call ends: with a value, with Failed, or with TooSlow. What is slow
is given up, not stopped: a thread cannot be, and a coroutine need not listen. Such a call keeps its
thread until it comes back, and another thread takes its place, so it harms nobody else; when very
many never came back, no more are made until some do.

Danger: a coroutine that blocks, without awaiting, blocks the loop with all its viewers, and no
budget ends it. A plain function that computes long keeps the interpreter's lock for as long.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

THREADS: Final = 4
"""Plain functions at once: they wait for a database, and share one core when they compute."""
COROUTINES: Final = 256
"""Coroutines at once: each is as a rule a request to somebody."""
WAIT_S: Final = 2.0
"""How long a call may wait until it is its turn; the budget begins with the turn."""
MOST_LOST: Final = 64
"""Calls that were given up and have not come back, beyond which no more are made."""

Outcome = tuple[Any, BaseException | None]


class Failed(Exception):
    """The call brought nothing; the cause is what it raised."""


class TooSlow(Failed):
    """The call was given up, or had no turn."""


class Calls:
    """Calls of one shard; each may take `budget_s` seconds."""

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self._threads = asyncio.Semaphore(THREADS)
        self._coroutines = asyncio.Semaphore(COROUTINES)
        self._idle: list[_Worker] = []
        self._lost: set[asyncio.Future[Outcome]] = set()

    @property
    def lost(self) -> int:
        """Calls that were given up and have not come back."""
        return len(self._lost)

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What `function` returns, or what that awaits. Raises Failed."""
        if len(self._lost) >= MOST_LOST:
            raise TooSlow(f"{len(self._lost)} calls before it never came back")
        awaits = inspect.iscoroutinefunction(function)
        turns = self._coroutines if awaits else self._threads
        if turns.locked():
            await _turn(turns)
        else:
            await turns.acquire()  # at once
        try:
            if awaits:
                return await self._awaited(_begun(function, args))
            found = await self._in_a_thread(function, *args)
            return await self._awaited(found) if inspect.isawaitable(found) else found
        finally:
            turns.release()

    def stop(self) -> None:
        """Let the threads end, those that are not stuck."""
        for worker in self._idle:
            worker.end()
        self._idle.clear()

    async def _awaited(self, value: Awaitable[Any]) -> Any:
        return await self._within(asyncio.get_running_loop().create_task(_outcome(value)))

    async def _in_a_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        worker = self._idle.pop() if self._idle else _Worker()
        answer = worker.do(lambda: function(*args))
        try:
            return await self._within(answer)
        finally:
            if answer.done():
                self._idle.append(worker)
            else:
                worker.end()

    async def _within(self, answer: asyncio.Future[Outcome]) -> Any:
        try:
            await asyncio.wait([answer], timeout=self.budget_s)
        finally:
            if not answer.done():
                self._lose(answer)
        if not answer.done():
            raise TooSlow(f"it took more than {self.budget_s * 1000:g} ms")
        if answer.cancelled():
            raise Failed("it was cancelled")
        value, error = answer.result()
        if error is not None:
            raise Failed(f"{type(error).__name__}: {error}") from error
        return value

    def _lose(self, answer: asyncio.Future[Outcome]) -> None:
        self._lost.add(answer)
        answer.add_done_callback(self._lost.discard)
        if isinstance(answer, asyncio.Task):
            answer.cancel()


async def _turn(turns: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            await turns.acquire()
    except TimeoutError:
        raise TooSlow(f"others took all turns of {WAIT_S:g} s") from None


async def _begun(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    return await function(*args)


async def _outcome(value: Awaitable[Any]) -> Outcome:
    """What is awaited, or what it raised: also what would end the process."""
    try:
        return await value, None
    except BaseException as error:
        return None, error


class _Worker:
    """A thread that does one thing after the other. The process does not wait for it at its end."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Outcome]] | None]
        self._work = SimpleQueue()
        Thread(target=self._run, name="calls", daemon=True).start()

    def do(self, what: Callable[[], Any]) -> asyncio.Future[Outcome]:
        """Do it; what comes of it."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._work.put((what, answer))
        return answer

    def end(self) -> None:
        """End, once what it does is done."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            what, answer = work
            try:
                found: Outcome = what(), None
            except BaseException as error:
                found = None, error
            with suppress(RuntimeError):  # the loop has ended
                answer.get_loop().call_soon_threadsafe(_settle, answer, found)
            del work, what, answer, found


def _settle(answer: asyncio.Future[Outcome], found: Outcome) -> None:
    if not answer.done():
        answer.set_result(found)
