"""How a shard sends its viewers away when it ends: in steps, each to come back at its own moment.

    others take over   |step|step|step| … |step|          each back within a second of its step
    the only node      |step|… |step|                     all back over what is left of the window

Rules. Until a viewer is let go it is one like any other: it is sent what is said, and heard.
Nothing is kept of a viewer but its Handle; a step says `bye` and closes, and between steps there is
nothing to do. A step has one viewer at least, so few are gone soon: there is no crowd to spread.

Who comes back to other nodes need not miss anything, so the steps take the whole window. Where
there are none, every step makes the pause of those before it longer: the steps take a quarter of
it, and the viewers come back over the rest, when the node may be there again.
"""

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Final

from chat.wire.schema import Bye
from chat.wire.variants import Variants
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections

STEP_S: Final = 0.1
"""From one step to the next."""
RETURN_S: Final = 1.0
"""Over how long those of a step come back, where other nodes take them."""
ALONE: Final = 0.25
"""The steps' part of the window, where none do."""
BYE_FRAMES: Final = 16
"""Different `reconnect_in` of a step; clients behind one share it."""


async def drain(
    connections: Connections,
    variants: Variants,
    drain_s: float,
    others: bool,
    chance: random.Random,
) -> None:
    """Let everyone go within `drain_s`; `others` is whether other nodes take them over."""
    waiting = [connections.handle(fd) for fd in connections.open_connections()]
    window_s = drain_s if others else drain_s * ALONE
    steps = min(len(waiting), math.floor(window_s / STEP_S)) or 1
    clock = asyncio.get_running_loop().time
    began, last_s = clock(), (steps - 1) * STEP_S
    for step in range(steps):
        at_s = step * STEP_S
        await asyncio.sleep(began + at_s - clock())
        if not connections.connections:
            return
        back = (0.0, min(RETURN_S, drain_s)) if others else (last_s - at_s, drain_s - at_s)
        moments = [round(chance.uniform(*back), 2) for _ in range(BYE_FRAMES)]
        _let_go(connections, variants, waiting[step::steps], moments)


def _let_go(
    connections: Connections, variants: Variants, who: Sequence[Handle], moments: Sequence[float]
) -> None:
    """One step: a farewell in each one's words, and the close."""
    frames: dict[int, list[bytes]] = {}
    for at, handle in enumerate(who):
        if not connections.alive(handle):
            continue
        variant = connections.variant(handle.fd)
        if variant not in frames:
            frames[variant] = _farewells(variants, variant, moments)
        if byes := frames[variant]:
            connections.send(handle.fd, byes[at % len(byes)])
        connections.close(handle.fd, CloseCode.RESTART)


def _farewells(variants: Variants, number: int, moments: Sequence[float]) -> list[bytes]:
    """A frame for each moment; none in a dialect whose close says it."""
    variant = variants[number]
    payloads = [variant.dialect.farewell(Bye("restart", moment)) for moment in moments]
    return [variant.wrap(payload) for payload in payloads if payload]
