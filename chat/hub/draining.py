"""How a shard sends its viewers away when it ends: each to come back at a moment of its own."""

import random
from typing import Final

from chat.wire.schema import Bye
from chat.wire.variants import Variant, Variants
from shard.closecodes import CloseCode
from shard.connections import Connections

BYE_FRAMES: Final = 128
"""Different `reconnect_in` of one drain; clients behind one share it."""


def drain(
    connections: Connections, variants: Variants, drain_s: float, chance: random.Random
) -> None:
    """Tell everyone to come back within the window, and close."""
    moments = [round(chance.uniform(0, drain_s), 2) for _ in range(BYE_FRAMES)]
    byes = [_farewells(variant, moments) for variant in variants]
    for fd in connections.open_connections():
        if frames := byes[connections.variant(fd)]:
            connections.send(fd, chance.choice(frames))
        connections.close(fd, CloseCode.RESTART)


def _farewells(variant: Variant, moments: list[float]) -> list[bytes]:
    """A frame for each moment; none in a dialect whose close says it."""
    payloads = [variant.dialect.farewell(Bye("restart", moment)) for moment in moments]
    return [variant.wrap(payload) for payload in payloads if payload]
