"""The fan-out alone: one ready-made 128-byte frame to each of 5,000 connections, over and over.

What it measures: CPU per delivery of the shard's `group.fan_out`, with io_uring and without, of a
plain C `send` loop and of a bare CPython `os.write` loop, back to back with the server's core full.
Everyone stays connected; they take turns within each round; the ratio to the C loop is the result.
"""

from contextlib import ExitStack
from functools import partial

from bench.harness import Figures, Unavailable, interleave
from bench.report import Aim, Column, Section
from bench.targets import Target
from bench.workloads import Settings

VIEWERS = 5_000
PAYLOAD_BYTES = 128
DELIVERIES = 200_000
SATURATED = 0.9
FLOOR, PYTHON = "C send loop (the floor)", "CPython os.write loop"
GROUP, PLAIN = "shard group.fan_out", "the same without io_uring"

COLUMNS = [
    Column("us", "CPU µs each", "{:.3f}"),
    Column("deferred_us", "in ksoftirqd", "{:.3f}"),
    Column("ratio", "× floor"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("wall_s", "wall s"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
]


def run(settings: Settings) -> Section:
    return fan_out(settings.viewers(VIEWERS), settings.rounds)


def fan_out(size: int, rounds: int) -> Section:
    """All side by side, each with `size` connections."""
    notes: list[str] = []
    with ExitStack() as stack:
        targets = {
            FLOOR: stack.enter_context(Target.floor(size)),
            PYTHON: stack.enter_context(Target.python_loop(size)),
        }
        for name, options in ((GROUP, ()), (PLAIN, ("--os-write",))):
            try:
                targets[name] = stack.enter_context(Target.group(size, *options))
            except (Unavailable, RuntimeError, TimeoutError) as problem:
                notes.append(f"{name}: not measured: {problem}")
        measured = measure(targets, rounds, PAYLOAD_BYTES)
    if measured[FLOOR]["server_busy"] < SATURATED:
        notes.append("Something else ran on the server's core: trust the ratios, not the rates.")
    aims = []
    if GROUP in measured:
        aims.append(Aim("fan-out against the floor", measured[GROUP]["ratio"], at_most=1.25))
    title = f"Fan-out alone: {size:,} viewers, {PAYLOAD_BYTES}-byte payload, back to back"
    return Section(title, COLUMNS, measured, aims, notes)


def measure(targets: dict[str, Target], rounds: int, payload: int) -> dict[str, Figures]:
    for target in targets.values():
        target.payload(payload)
        target.flush(3)
    sides = {
        name: partial(target.flush, max(1, DELIVERIES // target.size))
        for name, target in targets.items()
    }
    return interleave(sides, rounds)
