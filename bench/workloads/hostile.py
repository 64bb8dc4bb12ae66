"""A room of honest viewers beside 50 who mean harm, of one kind after the other.

What it measures: the age of messages at 100 honest viewers, 20 messages a second, while 50 clients
attack the same shard, against the same room with nobody attacking, in turn: pouring pings, or empty
fragments; frames that break the protocol, and back again; requests a byte at a time; a busy room
nobody of them reads; and all of that room's history, asked for again and again and not read. Beside
it the shard's high-water of memory and why connections ended. The attackers are one process, nice
to its core, on which viewers, API and store are, too: what the honest see is an upper bound.
"""

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.child import Child, build, python
from bench.harness import CLIENT_CORE, Figures, interleave, memory_bytes, settle
from bench.load import Posted, connect, measure, stamped, steadily, strangers
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

HONEST, ATTACKERS = 100, 50
PER_S = 20
SECONDS, QUICK_S = 1.0, 0.6
"""Seven sides and five rounds of so long are less than a minute."""
ANSWER_S = 30.0
RATIO = 2
CEILING_MB = 128
"""More than unattacked: 50 backlogs at the hard limit, and as much again for what is on its way."""

BUSY_MESSAGES, BUSY_TEXT, BUSY_HISTORY = 20, "x" * 1_500, 500
QUIET = "nobody attacks"
KINDS = {
    "pings": "pings poured",
    "fragments": "empty fragments",
    "bad_frames": "bad frames, back again",
    "handshakes": "slow handshakes",
    "deaf": "a busy room, unread",
    "greedy": "history wanted, unread",
}
REASONS = {
    "closed_flooding": "flooding",
    "closed_protocol": "protocol",
    "closed_slow": "slow",
    "refused_handshake_timeout": "late",
    "refused_rate_limited": "too often",
}

COLUMNS = [
    Column("p50_ms", "p50 ms", "{:.1f}"),
    Column("p99_ms", "p99 ms", "{:.1f}"),
    Column("ratio", "× nobody"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("lost", "lost", "{:,.0f}"),
    Column("high_mb", "high-water MB", "{:,.0f}"),
    Column("connects", "connects", "{:,.0f}"),
    Column("poured_mb", "poured MB", "{:,.1f}"),
    *(Column(name, title, "{:,.0f}") for name, title in REASONS.items()),
    Column("dropped_slow", "left out", "{:,.0f}"),
    Column("shard_busy", "shard", "{:.0%}"),
    Column("client_core_busy", "client core", "{:.0%}"),
]


def forget_high_water(pid: int) -> None:
    """Let the kernel count a process's high-water of memory from here (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def high_water_bytes(pid: int) -> int:
    """The most a process had resident since."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class Arena:
    """A node, its honest viewers, and the attackers."""

    def __init__(self, stack: ExitStack, seconds: float) -> None:
        self.seconds = seconds
        self.node = stack.enter_context(Node(limits_text_chars=2_000, heartbeat_handshake_s=1))
        port = self.node.port
        self.viewers = stack.enter_context(Child([build("viewers"), str(port)], CLIENT_CORE))
        self.attackers = stack.enter_context(Child(python("bench.attackers", port), CLIENT_CORE))
        connect(self.viewers, HONEST, "/ws?room=bench")
        for _ in range(BUSY_HISTORY // BUSY_MESSAGES):
            self.post_busy()
        receipt = self.post_busy()
        since = f'{{"epoch":"{receipt["epoch"]}","seq":0}}'
        self.wish = f'{{"t":"join","room":"busy","since":{since}}}'
        settle(self.node.shard)

    def post_busy(self) -> dict[str, str]:
        return self.node.post("/v1/rooms/busy/messages", [{"text": BUSY_TEXT}] * BUSY_MESSAGES)

    def post(self, messages: int) -> None:
        """To both rooms, whether somebody is in the busy one or not."""
        self.node.post("/v1/rooms/bench/messages", [{"text": stamped()}] * messages)
        self.post_busy()

    def age(self, kind: str | None) -> Figures:
        """What the honest see while `kind` attacks."""
        forget_high_water(self.node.shard)
        before = self.node.counters()
        if kind is not None:
            self.attackers.tell(f"attack {kind} {ATTACKERS} {self.seconds * 1e3:.0f} {self.wish}")
        figures = measure(self.node, self.viewers, HONEST, self._speak)
        high_mb = high_water_bytes(self.node.shard) / 1e6
        done = self.attackers.answer(ANSWER_S) if kind is not None else {}
        self._calm()
        after = self.node.counters()
        counted = {name: after[name] - before[name] for name in (*REASONS, "dropped_slow")}
        attacked = {"connects": done.get("connects", 0), "poured_mb": done.get("poured", 0) / 1e6}
        return figures | counted | attacked | {"high_mb": high_mb}

    def _speak(self) -> Posted:
        return steadily(self.post, PER_S, self.seconds, 1 / PER_S)

    def _calm(self) -> None:
        """Wait until the attackers are gone, so that they do not count in the next side."""
        deadline = time.monotonic() + ANSWER_S
        while self.node.counters()["connections"] > HONEST:
            if time.monotonic() > deadline:
                raise RuntimeError("attackers stay connected though they left")
            time.sleep(0.1)
        settle(self.node.shard)


def run(settings: Settings) -> Section:
    with ExitStack() as stack:
        arena = Arena(stack, QUICK_S if settings.quick else SECONDS)
        arena.age(None)
        attacks = {name: partial(arena.age, kind) for kind, name in KINDS.items()}
        measured = interleave(
            {QUIET: partial(arena.age, None)} | attacks, settings.rounds, "p99_ms"
        )
        kept_mb = memory_bytes(arena.node.shard)["Rss"] / 1e6
    quiet = measured[QUIET]
    worst = max(measured[name]["ratio"] for name in attacks)
    high_mb = max(measured[name]["high_mb"] for name in attacks) - quiet["high_mb"]
    aims = [
        Aim("the honest's p99 under the worst attack, × nobody", worst, at_most=RATIO),
        Aim("the shard's high-water under attack, MB more", high_mb, at_most=CEILING_MB),
        Aim("lost by the honest", sum(one["lost"] for one in measured.values()), at_most=0),
    ]
    notes = [f"After all of it the shard has {kept_mb:.0f} MB, {quiet['high_mb']:.0f} unattacked."]
    title = f"Hostile: {HONEST} honest viewers, {PER_S} messages/s, {ATTACKERS} attackers of a kind"
    return Section(title, COLUMNS, measured, aims, notes + strangers(quiet))
