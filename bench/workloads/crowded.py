"""A crowded room that shows what it can bear: 10,000 viewers, 800 messages a second of many people.

What it measures: what a display budget saves a shard and its viewers, and that every delivery was
either made or is counted as left out. The same posts as in the hot room, each by somebody else, in
a room that shows all of them and in one that shows a hundred a second; viewers are as browsers are.
`shard` is its share of a core, `KB/s` what one viewer is sent.
"""

import random
import time
from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, Usage, settle
from bench.load import connect, stamped, steadily
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS, PEOPLE = 10_000, 4_000
PER_S = 800
EVERY_S = 0.02
SHOWN = {"all": 0, "100 a second": 100}
PATIENCE_S = 20.0

COLUMNS = [
    Column("posted_s", "posted/s", "{:,.0f}"),
    Column("shown_s", "shown/s", "{:,.0f}"),
    Column("unaccounted", "unaccounted", "{:,.0f}"),
    Column("disorder", "disorder", "{:,.0f}"),
    Column("frames_s", "frames/s", "{:.1f}"),
    Column("kb_s", "KB/s", "{:.1f}"),
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("shard_busy", "shard", "{:.0%}"),
    Column("client_core_busy", "client core", "{:.0%}"),
]


def load(shown_per_s: int, size: int, seconds: float) -> Figures:
    """A node whose rooms show so much, and what `size` viewers of one see."""
    chance = random.Random(1)
    with ExitStack() as stack:
        node = stack.enter_context(Node(rooms_shown_per_s=shown_per_s))
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        viewers.ask("deflate")
        connect(viewers, size, "/ws?room=crowded")
        settle(node.shard)

        def post(messages: int) -> None:
            uids = [f"u{chance.randrange(PEOPLE)}" for _ in range(messages)]
            said = [{"text": stamped("前方高能"), "uid": uid, "name": uid} for uid in uids]
            node.post("/v1/rooms/crowded/messages", said)

        before = accounted(node)
        viewers.ask("reset")
        usage = Usage(shard=node.shards)
        posted = steadily(post, PER_S, seconds, EVERY_S)
        taken = usage.read()
        wanted, until = posted.messages * size, time.monotonic() + PATIENCE_S
        while accounted(node) - before < wanted and time.monotonic() < until:
            time.sleep(0.2)
        settle(node.shard)
        seen, latency = viewers.ask("count"), viewers.ask("latency")
        return taken | {
            "posted_s": posted.messages / posted.seconds,
            "shown_s": seen["messages"] / size / posted.seconds,
            "unaccounted": wanted - (accounted(node) - before),
            "disorder": seen["gaps"] + seen["repeats"],
            "frames_s": seen["frames"] / size / posted.seconds,
            "kb_s": seen["bytes"] / size / posted.seconds / 1e3,
            "p50_ms": latency["p50_us"] / 1e3,
            "p99_ms": latency["p99_us"] / 1e3,
        }


def accounted(node: Node) -> float:
    """Deliveries that were made or left out."""
    counters = node.counters()
    return counters["messages_delivered"] + counters["messages_shed"]


def run(settings: Settings) -> Section:
    size, seconds = settings.viewers(VIEWERS), 5 if settings.quick else 30
    rows = {name: load(shown, size, seconds) for name, shown in SHOWN.items()}
    aims = [
        aim
        for name, row in rows.items()
        for aim in (
            Aim(f"{name}: deliveries that nobody accounts for", abs(row["unaccounted"]), at_most=0),
            Aim(f"{name}: out of order", row["disorder"], at_most=0),
        )
    ]
    budget = SHOWN["100 a second"]
    aims.append(Aim("shown a second", rows["100 a second"]["shown_s"], at_most=1.1 * budget))
    title = f"Crowded room: {size:,} viewers × {PER_S} messages/s for {seconds} s"
    return Section(title, COLUMNS, rows, aims)
