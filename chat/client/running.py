"""A client's work run from a terminal: to its end, or until Ctrl-C.

Rules. What a person can mend is a line on standard error and exit status 1; Ctrl-C is 130 and says
nothing. Whatever takes long to import is imported inside.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

from chat.client.desk import fail

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do what a client does, in an event loop of its own."""
    from chat.client.link import ClientError

    try:
        return asyncio.run(interruptible(work))
    except ClientError as error:
        fail(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None


async def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Work that Ctrl-C cancels at once, also in a room where nothing happens.

    The handler of asyncio.run itself may run late: a signal that comes just before the loop begins
    to wait does not end that waiting. One of the loop's own is written to what the loop waits for.
    """
    task = asyncio.current_task()
    assert task is not None
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # it is behind a shell's `&`
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    return await work
