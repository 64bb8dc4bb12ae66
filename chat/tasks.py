"""Ending asyncio tasks, whatever they are in the middle of."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

AGAIN_S: Final = 0.05


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
