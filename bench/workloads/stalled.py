"""One stalled reader among 10,000: does anyone else wait for it?

What it measures: the age of messages at the other viewers while one of the room reads nothing and
its backlog is full, against the same room with nobody stalled, in turn: ten messages of 1 KB a
second. The stalled one is proved by the node's own counters: one slow reader, and messages dropped
for it, while every other viewer got every message. The shard is not saturated, on purpose.
"""

import time
from contextlib import ExitStack
from functools import partial

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, interleave, settle
from bench.load import connect, measure, stamped, steadily
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 10_000
PER_S = 10
SECONDS, QUICK_S = 10, 1
TEXT = "x" * 1_000
SOFT_BYTES = 65_536
RATIO = 1.05
FILL_MESSAGES, FILL_EVERY_S, FILL_S = 16, 0.1, 15
NOBODY, ONE = "nobody stalled", "one of them stalled"

COLUMNS = [
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("ratio", "× nobody"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("lost", "lost by others", "{:,.0f}"),
    Column("slow", "slow readers", "{:,.0f}"),
    Column("drops", "drops for it", "{:,.0f}"),
    Column("shard_busy", "shard", "{:.0%}"),
    Column("client_core_busy", "client core", "{:.0%}"),
]


class Room:
    """A node, its viewers in one room, and a backend."""

    def __init__(self, stack: ExitStack, size: int, seconds: float) -> None:
        self.node = stack.enter_context(
            Node(limits_text_chars=2_000, limits_backlog_soft_bytes=SOFT_BYTES)
        )
        port = str(self.node.port)
        self.viewers = stack.enter_context(Child([build("viewers"), port], CLIENT_CORE))
        self.size, self.seconds = size, seconds
        connect(self.viewers, size, "/ws?room=bench")
        settle(self.node.shard)

    def post(self, messages: int) -> None:
        document = [{"text": stamped(TEXT)}] * messages
        self.node.post("/v1/rooms/bench/messages", document)

    def age(self, readers: int) -> Figures:
        """What `readers` of the viewers see of messages at a steady pace."""
        backend = partial(steadily, self.post, PER_S, self.seconds, 1 / PER_S)
        figures = measure(self.node, self.viewers, readers, backend)
        if figures["lost"] or figures["disorder"]:
            lost, disorder = figures["lost"], figures["disorder"]
            raise RuntimeError(f"the readers lost {lost:.0f}, had {disorder:.0f} gaps or repeats")
        return figures | {"slow": self.node.counters()["slow_readers"]}

    def nobody(self) -> Figures:
        return self.age(self.size)

    def one(self) -> Figures:
        self.viewers.ask("stall 1")
        self._fill(FILL_MESSAGES)
        self._fill(1)
        figures = self.age(self.size - 1)
        self.viewers.ask("unstall 1")
        self._await("slow_readers", 0)
        if figures["slow"] != 1 or not figures["drops"]:
            slow, drops = figures["slow"], figures["drops"]
            raise RuntimeError(f"not one stalled: {slow:.0f} slow readers, {drops:.0f} drops")
        return figures

    def _fill(self, messages: int) -> None:
        """Post so many at a time until the stalled one's backlog has no room for as many more."""
        before, deadline = self.node.counters()["dropped_slow"], time.monotonic() + FILL_S
        while self.node.counters()["dropped_slow"] == before:
            if time.monotonic() > deadline:
                raise RuntimeError("the stalled viewer's backlog did not fill")
            self.post(messages)
            time.sleep(FILL_EVERY_S)
        settle(self.node.shard)

    def _await(self, gauge: str, value: float) -> None:
        deadline = time.monotonic() + FILL_S
        while self.node.counters()[gauge] != value:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{gauge} is not {value:g} again")
            time.sleep(0.1)


def run(settings: Settings) -> Section:
    size, seconds = settings.viewers(VIEWERS), QUICK_S if settings.quick else SECONDS
    with ExitStack() as stack:
        room = Room(stack, size, seconds)
        room.nobody()
        sides = {NOBODY: room.nobody, ONE: room.one}
        measured = interleave(sides, settings.rounds, "p99_ms")
    title = f"Stalled reader: {size:,} viewers, {PER_S} messages/s of 1 KB"
    aim = Aim("the others' p99 against nobody stalled", measured[ONE]["ratio"], at_most=RATIO)
    low, high = measured[ONE]["ratio_low"], measured[ONE]["ratio_high"]
    notes = []
    if low < 1 / RATIO or high > low * RATIO * RATIO:
        # A stalled reader makes nobody faster: such a round measured the machine.
        notes.append(f"Rounds range from {low:.2f} to {high:.2f}: too noisy to judge, met or not.")
    return Section(title, COLUMNS, measured, [aim], notes)
