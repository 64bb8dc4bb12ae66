"""Waiting in tests: for a condition, under a bound.

Rules. The bound only ends a wait for what never comes, on a machine that is as busy as machines
get; no test says how long anything takes. pytest's own `timeout` is several times as long, so that
what did not come is named. A condition is of what is new: one that was true before whatever should
bring it about waits for nothing.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 60.0


def until(condition: Callable[[], object], what: str, pause_s: float = 0.02) -> None:
    """Ask until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(pause_s)


async def eventually(
    condition: Callable[[], object], what: str = "what was waited for", pause_s: float = 0.02
) -> None:
    """Let the loop run until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        await asyncio.sleep(pause_s)
