"""asyncio tasks with an owner: started, looked after, ended.

Rule: none is of the request in which it happened to begin, whose id its lines would have for ever.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar

log = logging.getLogger(__name__)

AGAIN_S: Final = 0.05
Done = TypeVar("Done")


class Tasks:
    """What runs beside the connections, and ends with its owner at the latest."""

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`; what it raises is logged."""
        task = begin(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the %s failed", self._whose, exc_info=task.exception())

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return bool(self._running)

    async def finish(self, within_s: float) -> None:
        """Let what is under way come to its end, in so many seconds at most; then `stop`."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        await self.stop()

    async def stop(self) -> None:
        """End what is under way."""
        await end(self._running)


def begin(work: Coroutine[Any, Any, Done]) -> "asyncio.Task[Done]":
    """A task in a context of its own: of whoever owns it, and of nobody's request."""
    return asyncio.get_running_loop().create_task(work, context=Context())


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel `tasks` until every one of them has ended.

    Once is not enough: a library that turns a cancellation which meets a timeout or a lost
    connection into its own error leaves a task that goes on, and waits for ever if it is in a loop.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
