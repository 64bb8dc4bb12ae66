"""A node under a steady load: a backend posts, viewers count, and every process's clock is read.

Rule: the backend is an open loop. What is due is posted, however late earlier messages arrive; a
slow answer makes the next post larger. What was really posted is what the rest is compared with.
Rule: nothing is raised for what the node did not manage; it is reported.
Danger: backend, API, store and viewers share the client's core, so `client_core_busy` is a figure
of every load: near 100 % the latencies say as much of this machine as of the shard.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.child import Child
from bench.harness import Figures, Usage
from bench.node import Node
from bench.report import Column

DELIVERY_MS = 20_000
MOST_LATE = 1.5
"""A backend that cannot keep its pace ends after that many times the wanted seconds."""
STRANGERS = 0.1
"""Share of the server's core used by others from which the latencies are not the shard's."""
DROPS = (
    "dropped_slow", "dropped_closed", "closed_slow", "closed_stalled", "gap_messages_lost",
    "refused_unavailable",
)  # fmt: skip

COLUMNS = [
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("lost", "lost", "{:,.0f}"),
    Column("disorder", "disorder", "{:,.0f}"),
    Column("per_frame", "a frame", "{:.1f}"),
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("us", "CPU µs each", "{:.3f}"),
    Column("shard_busy", "shard", "{:.0%}"),
    Column("viewers_busy", "viewers", "{:.0%}"),
    Column("api_busy", "API", "{:.0%}"),
    Column("engine_busy", "engine", "{:.0%}"),
    Column("server_core_busy", "server core", "{:.0%}"),
    Column("client_core_busy", "client core", "{:.0%}"),
]


@dataclass(frozen=True)
class Posted:
    """How many messages a backend posted, and in how many seconds."""

    messages: int
    seconds: float


def stamped(text: str = "") -> str:
    """A text whose age the viewers can tell."""
    return f"@{time.monotonic_ns()} {text}"


def connect(viewers: Child, size: int, path: str, rooms: int = 1, inflight: int = 256) -> None:
    """Connect `size` viewers; `$room` in the path is each one's number modulo `rooms`."""
    joined = viewers.ask(f"connect {size} {inflight} {path} {rooms}")
    if joined["failed"]:
        raise RuntimeError(f"{joined['failed']} of {size} did not join: {joined['failure']}")


def steadily(
    post: Callable[[int], None],
    per_s: float,
    seconds: float,
    every_s: float,
    each: int = 1,
    after_s: float = 0.0,
) -> Posted:
    """Call `post(n)` every `every_s` with what has become due, `per_s` of `each` messages."""
    time.sleep(after_s)
    total, done, turn, began = round(per_s * seconds), 0, 0, time.monotonic()
    while done < total and (elapsed := time.monotonic() - began) < MOST_LATE * seconds:
        due = min(total, round((elapsed + every_s) * per_s)) - done
        if due > 0:
            post(due)
            done += due
        turn = max(turn + 1, int((time.monotonic() - began) / every_s))
        time.sleep(max(0.0, began + turn * every_s - time.monotonic()))
    return Posted(done * each, time.monotonic() - began)


def together(backends: Sequence[Callable[[], Posted]]) -> Posted:
    """Several backends at once; the first one's failure is raised when all have ended."""
    results: list[Posted] = []
    failures: list[Exception] = []

    def work(post: Callable[[], Posted]) -> None:
        try:
            results.append(post())
        except Exception as failure:  # a thread's exception is nobody's: hand it over
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(post,)) for post in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Posted(sum(one.messages for one in results), max(one.seconds for one in results))


def strangers(figures: Figures) -> list[str]:
    """A note when the server's core was busy with more than the shard."""
    others = figures["server_core_busy"] - figures["shard_busy"] - figures["deferred_busy"]
    if others < STRANGERS:
        return []
    return [f"Others used {others:.0%} of the server's core: trust loss and order, not the rest."]


def measure(node: Node, viewers: Child, members: int, backend: Callable[[], Posted]) -> Figures:
    """What `backend` posts, delivered to the `members` of each message's room."""
    before = node.counters()
    viewers.ask("reset")
    parts = {"shard": node.shards, "viewers": [viewers.pid], "api": [node.api]}
    usage = Usage(**parts, engine=node.engine)
    posted = backend()
    wanted = posted.messages * members
    seen = viewers.ask(f"wait messages {wanted} {DELIVERY_MS}", DELIVERY_MS / 1e3 + 10)
    taken, after = usage.read(), node.counters()
    latency = viewers.ask("latency")
    return taken | {
        "posted": posted.messages,
        "posted_s": posted.messages / posted.seconds,
        "deliveries": seen["messages"],
        "per_s": seen["messages"] / taken["wall_s"],
        "lost": wanted - seen["messages"],
        "disorder": seen["gaps"] + seen["repeats"],
        "drops": sum(after[name] - before[name] for name in DROPS),
        "per_frame": seen["messages"] / max(1, seen["frames"]),
        "bytes_per_frame": seen["bytes"] / max(1, seen["frames"]),
        "us": (taken["shard_ns"] + taken["deferred_ns"]) / max(1, seen["messages"]) / 1e3,
        "p50_ms": latency["p50_us"] / 1e3,
        "p99_ms": latency["p99_us"] / 1e3,
        "max_ms": latency["max_us"] / 1e3,
    }
