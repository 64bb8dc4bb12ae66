"""What a batch of chat weighs, by how many messages it holds: written, and deflated.

What it measures: bytes of a frame's payload a message, in JSON and MessagePack, as it is and after
`shard.deflate.compress`, and CPU of compressing it once. It is paid once per flush and dialect, the
bytes once per viewer. `shard.wires.websocket.COMPRESS_FROM` is chosen from this table.
"""

import random
import time

from bench.harness import Figures, medians
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from bench.workloads.hot_room import SAID
from chat.wire.batch import batches, default_name
from chat.wire.dialects.dialect import Dialect
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.schema import WHITE, Msg
from shard.deflate import compress
from shard.wires.websocket import COMPRESS_FROM

BATCHES = (1, 2, 3, 5, 10, 16, 46)
TIMES, BURST = 15, 20
LEAST_SAVED = 1 / 3
LINE = "x" * 20
MOST_JSON, MOST_MSGPACK = 100, 80

COLUMNS = [
    Column("json", "JSON", "{:,.0f}"),
    Column("json_deflated", "deflated", "{:,.0f}"),
    Column("saved", "saved", "{:.0%}"),
    Column("us", "CPU µs, once", "{:.0f}"),
    Column("json_each", "JSON a message", "{:.0f}"),
    Column("json_deflated_each", "deflated", "{:.0f}"),
    Column("msgpack_each", "MessagePack a message", "{:.0f}"),
    Column("msgpack_deflated_each", "deflated", "{:.0f}"),
]


def message(seq: int, chance: random.Random, text: str = "") -> Msg:
    """What a guest says in a room; some line of those people say unless it is given."""
    uid = f"guest:k3j2h1g0{chance.getrandbits(52):013x}"
    text = text or chance.choice(SAID)
    ts = 1764000000000 + 40 * seq + chance.randrange(40)
    return Msg("live:42", seq, "", uid, default_name(uid), text, WHITE, "scroll", 25, ts)


def payload(dialect: Dialect, messages: list[Msg]) -> bytes:
    """A frame's payload as a node writes it."""
    events = [dialect.event(batch) for batch in batches("live:42", "k3f9x2", messages)]
    return dialect.payload([event for event in events if event is not None])


def measure(size: int, chance: random.Random) -> Figures:
    """Batches of `size` messages; the median of several."""
    found = list[Figures]()
    for number in range(TIMES):
        messages = [message(1040 + number + i, chance) for i in range(size)]
        text, binary = payload(JSON, messages), payload(MSGPACK, messages)
        began = time.process_time_ns()
        for _ in range(BURST):
            packed = compress(text)
        us = (time.process_time_ns() - began) / BURST / 1e3
        sizes = {
            "json": len(text),
            "json_deflated": len(packed),
            "msgpack": len(binary),
            "msgpack_deflated": len(compress(binary)),
        }
        each = {f"{name}_each": total / size for name, total in sizes.items()}
        found.append(sizes | each | {"saved": 1 - len(packed) / len(text), "us": us})
    return medians(found)


def run(settings: Settings) -> Section:
    chance = random.Random(1)
    rows = {f"{n} message{'s' * (n > 1)}": measure(n, chance) for n in BATCHES}
    least = min(row["saved"] for row in rows.values() if row["json"] >= COMPRESS_FROM)
    lines = [message(104_000 + i, chance, LINE) for i in range(16)]
    aims = [
        Aim(f"saved by the least batch from {COMPRESS_FROM} bytes", least, at_least=LEAST_SAVED),
        Aim("JSON bytes of a line of 20 in 16", len(payload(JSON, lines)) / 16, at_most=MOST_JSON),
        Aim(
            "MessagePack bytes of a line of 20 in 16",
            len(payload(MSGPACK, lines)) / 16,
            at_most=MOST_MSGPACK,
        ),
    ]
    return Section("What a batch of chat weighs", COLUMNS, rows, aims)
