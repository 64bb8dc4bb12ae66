"""Word lists: how long one of 100,000 words takes to load, and what looking into a message costs.

What it measures: in this process, on one core, wall time of reading a list of 100,000 words (half
Chinese, half Latin letters, by chance) and making its Matcher, as a shard does it, in slices beside
its other work; the longest that other work on the loop had to wait meanwhile; CPU per message of
50 characters that no word is in, that one is in, and with no list at all.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress

from bench.harness import Figures, medians
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from chat.counters import FIELDS
from chat.policy.gate import Attempt
from chat.policy.identity import Identity
from chat.policy.wordbook import make, pack_words, read_words
from chat.policy.words import Matcher, WordList, words
from pool.scoreboard import Scoreboard

WORDS, TIMES = 100_000, 5_000
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3_000)]
LATIN = "etaoinshrdlucmfwyp"
CHINESE = (
    "前方高能，预警这波操作太秀了！主播加油我们都支持你今天晚上吃什么好呢"
    + "大家一起来刷弹幕吧好不好啊？"
)
ENGLISH = "This play was really something else, hi! Go team!!"
MOST_LOAD_S, MOST_US, MOST_STALL_MS = 1, 5, 100
MESSAGES = {
    "no list": ("", ENGLISH),
    "English, nothing found": ("list", ENGLISH),
    "Chinese, nothing found": ("list", CHINESE),
    "English, a word masked": ("list", ENGLISH[:-12] + "zzbadword zz"),
}

COLUMNS = [Column("us", "CPU µs a message", "{:.2f}")]


def a_list(chance: random.Random) -> WordList:
    """Words of 2 to 5 Chinese characters, and of 5 to 12 letters."""
    found = {"zzbadword"}
    while len(found) < WORDS:
        letters, length = (HAN, (2, 5)) if len(found) % 2 else (LATIN, (5, 12))
        found.add("".join(chance.choice(letters) for _ in range(chance.randint(*length))))
    return WordList(mask=sorted(found))


async def watch() -> float:
    """The longest that the loop was late, seconds, until this is cancelled."""
    longest, last = 0.0, time.perf_counter()
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    return longest


async def load(packed: bytes) -> tuple[Matcher, Figures]:
    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    began = time.perf_counter()
    matcher = await make(read_words(packed))
    took = time.perf_counter() - began
    await asyncio.sleep(0)
    watching.cancel()
    return matcher, {"s": took, "stall_ms": await watching * 1e3}


def cost(lists: Sequence[Matcher], text: str) -> Figures:
    """CPU of the gate's check, µs a message."""
    check, who = words(lambda room: lists, Scoreboard(FIELDS, 1).row(0)), Identity("u", "u", "user")
    attempts = [Attempt("r", text, who) for _ in range(TIMES)]
    began = time.process_time_ns()
    for attempt in attempts:
        check(attempt)
    return {"us": (time.process_time_ns() - began) / TIMES / 1e3}


def run(settings: Settings) -> Section:
    listed = a_list(random.Random(1))
    loads = list[Figures]()
    for _ in range(settings.rounds):
        matcher, figures = asyncio.run(load(pack_words(listed)))
        loads.append(figures)
    loaded = medians(loads)
    lists: dict[str, Sequence[Matcher]] = {"": (), "list": (matcher,)}
    rows = {
        name: medians([cost(lists[which], text) for _ in range(settings.rounds)])
        for name, (which, text) in MESSAGES.items()
    }
    aims = [
        Aim("seconds to load them", loaded["s"], at_most=MOST_LOAD_S),
        Aim("ms the loop was late meanwhile", loaded["stall_ms"], at_most=MOST_STALL_MS),
        *(
            Aim(f"CPU µs: {name}", row["us"], at_most=MOST_US)
            for name, row in rows.items()
            if "nothing" in name
        ),
    ]
    return Section(f"Words: a list of {len(listed):,}", COLUMNS, rows, aims)
