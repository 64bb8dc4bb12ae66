"""One room beside other servers: 5,000 viewers, one 128-byte frame per flush, each server in turn.

What it measures: CPU per delivery of a C `send` loop (the floor), of a bare CPython loop, of us
and of every peer that is installed, all connected for the whole run and taking turns within each
round. Libraries broadcast on their own, back to back; whole servers, ours too, are published to,
the next message when everyone has the last, and all their processes' CPU counts. A peer that is
missing is named with the reason.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import Protocol, Self

from bench.child import python
from bench.harness import Figures, Unavailable
from bench.peers.danmaku import Danmaku
from bench.peers.everyone import LIBRARIES, PROGRAMS, TROUBLE, in_turns, missing, winners
from bench.report import Aim, Column, Section
from bench.targets import Target
from bench.workloads import Settings

VIEWERS = 5_000
PAYLOAD_BYTES = 128
FLUSHES, DELIVERIES = 40, 200_000
FLOOR, PYTHON = "C send loop (the floor)", "CPython os.write loop"
FAN_OUT, SERVER = "Danmaku: shard group.fan_out", "Danmaku: server, posted over HTTP"

COLUMNS = [
    Column("us", "CPU µs each", "{:.3f}"),
    Column("deferred_us", "in ksoftirqd", "{:.3f}"),
    Column("ratio", "× floor"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("bytes", "payload", "{:.0f}"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("wall_s", "wall s"),
    Column("server_busy", "server core", "{:.0%}"),
]


class Side(Protocol):
    """A server and its viewers: what `Target` and `Published` both are."""

    size: int

    def payload(self, size: int) -> None: ...

    def flush(self, times: int) -> Figures: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def library(module: str, viewers: int) -> Target:
    """A peer that is a Python library: the child of the same name in bench/peers."""
    if find_spec(module) is None:
        raise Unavailable(f"not installed: pip install {module}")
    return Target(python(f"bench.peers.{module}"), viewers, "connect {} 256 /")


PEERS: dict[str, Callable[[int], Side]] = {
    **{name: partial(library, module) for name, module in LIBRARIES.items()},
    **{name: kind.filled for name, kind in PROGRAMS.items()},
}
SIDES: dict[str, Callable[[int], Side]] = {
    PYTHON: Target.python_loop,
    FAN_OUT: Target.group,
    SERVER: Danmaku.filled,
    **PEERS,
}


def run(settings: Settings) -> Section:
    return compare(settings.viewers(VIEWERS), settings.rounds)


def compare(size: int, rounds: int) -> Section:
    """Everyone who can be here, each with `size` viewers."""
    notes: list[str] = []
    with ExitStack() as stack:
        sides = {FLOOR: ready(stack.enter_context(Target.floor(size)))}
        for name, make in SIDES.items():
            try:
                sides[name] = ready(stack.enter_context(make(size)))
            except TROUBLE as problem:
                notes.append(missing(name, problem))
        measured, failed = in_turns(sides, rounds)
    notes = winners(measured, "us", "µs a delivery", SERVER) + notes + failed
    title = f"Beside others: {size:,} viewers of one room, one {PAYLOAD_BYTES}-byte frame per flush"
    return Section(title, COLUMNS, measured, aims(measured), notes)


def ready(side: Side) -> Callable[[], Figures]:
    """The side, warmed up; each call is its share of a round."""
    side.payload(PAYLOAD_BYTES)
    side.flush(3)
    times = min(FLUSHES, max(1, DELIVERIES // side.size))

    return lambda: {"bytes": PAYLOAD_BYTES} | side.flush(times)


def aims(measured: dict[str, Figures]) -> list[Aim]:
    """Ours below the best of the peers, when any was measured."""
    ratios = {name: measured[name]["ratio"] for name in PEERS if name in measured}
    if not ratios:
        return []
    best = min(ratios, key=ratios.__getitem__)
    return [
        Aim(f"{what}, × floor", measured[name]["ratio"], at_most=ratios[best], peer=best)
        for name, what in ((FAN_OUT, "fan-out alone"), (SERVER, "whole server"))
        if name in measured
    ]
