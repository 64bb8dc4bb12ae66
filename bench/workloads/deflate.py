"""permessage-deflate: what a batch shrinks to, and what that costs, by how many messages it holds.

What it measures: bytes of a frame's payload before and after `shard.deflate.compress`, and CPU of
compressing it once, for batches of chat as `chat.wire.codec` encodes it. It is paid once per flush
and codec, the bytes once per viewer. `chat.wire.codec.COMPRESS_FROM` is chosen from this table.
"""

import random
import time

from bench.harness import Figures, medians
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from bench.workloads.hot_room import SAID
from chat.wire.codec import CODECS, COMPRESS_FROM
from chat.wire.schema import WHITE, Msg
from shard.deflate import compress

BATCHES = (1, 2, 3, 5, 10, 20, 50)
TIMES, BURST = 15, 20
LEAST_SAVED = 1 / 3

COLUMNS = [
    Column("bytes", "bytes", "{:,.0f}"),
    Column("packed", "compressed", "{:,.0f}"),
    Column("saved", "saved", "{:.0%}"),
    Column("us", "CPU µs, once", "{:.0f}"),
]


def message(seq: int, chance: random.Random) -> Msg:
    """What someone says in a room."""
    conn = f"{chance.getrandbits(36):x}-{chance.randrange(9)}-{chance.randrange(9999):x}"
    name, text = f"guest-{chance.getrandbits(16):04x}", chance.choice(SAID)
    ts = 1764000000000 + 40 * seq + chance.randrange(40)
    uid, key = f"guest:{conn}", f"k3f9x2-{seq}"
    return Msg("live:42", seq, key, uid, name, text, WHITE, "scroll", 25, ts)


def measure(size: int, chance: random.Random) -> Figures:
    """Batches of `size` messages in JSON; the median of several."""
    codec, found = CODECS[0], list[Figures]()
    for number in range(TIMES):
        payload = codec.batch([codec.one(message(1040 + number + i, chance)) for i in range(size)])
        began = time.process_time_ns()
        for _ in range(BURST):
            packed = compress(payload)
        us = (time.process_time_ns() - began) / BURST / 1e3
        saved = 1 - len(packed) / len(payload)
        found.append({"bytes": len(payload), "packed": len(packed), "saved": saved, "us": us})
    return medians(found)


def run(settings: Settings) -> Section:
    chance = random.Random(1)
    rows = {f"{n} message{'s' * (n > 1)}": measure(n, chance) for n in BATCHES}
    least = min(row["saved"] for row in rows.values() if row["bytes"] >= COMPRESS_FROM)
    aim = Aim(f"saved by the least batch from {COMPRESS_FROM} bytes", least, at_least=LEAST_SAVED)
    return Section("Compressing a batch of chat, JSON", COLUMNS, rows, [aim])
