"""What rules cost: typed messages and joins on a node that has them all, and on one that has none.

What it measures: the same as `typed` and `joins`, in turns, on a node without any rules and on one
with 10,000 words on the server's list, 1,000 mutes and 1,000 bans everywhere, and in every room 100
mutes, an owner, an announcement, a least role and a limit of messages a second that is enforced
and not reached. Those who type and join have a token with a role in rooms.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import jwt

from bench.child import Child, build
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, interleave, pin
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from bench.workloads.joins import upgrade_round
from bench.workloads.typed import MEMBERS, ROOMS, SECONDS, WARM_MS, measure
from bench.workloads.words import HAN, LATIN

WORDS, SANCTIONS, IN_A_ROOM = 10_000, 1_000, 100
JOINS, IN_FLIGHT = 5_000, 256
SECRET = "a secret of the benchmarks only, 32 bytes or more"
PLAIN, RULED = "no rules", "all of them"
TYPED, JOINED = "typed, ", "joins, "
LIMITS = {"limits_commands_per_s": 10_000, "limits_commands_burst": 10_000}

COLUMNS = [
    Column("acks_s", "typed/s", "{:,.0f}"),
    Column("p99_ms", "p99 ms", "{:.0f}"),
    Column("shards_busy", "shards", "{:.0%}"),
    Column("per_core_s", "joins/s of a core", "{:,.0f}"),
    Column("us", "CPU µs/join", "{:.1f}"),
    Column("ratio", "× without"),
]


def lay_down(node: Node, rooms: int, name: str) -> None:
    """All kinds of rules; `rooms` rooms are called `name` and a number, or just that for one."""
    chance = random.Random(1)
    words = ["".join(chance.choices(HAN, k=chance.randint(2, 5))) for _ in range(WORDS // 2)]
    words += ["".join(chance.choices(LATIN, k=chance.randint(5, 9))) for _ in range(WORDS // 2)]
    node.put("/v1/words", {"refuse": sorted(set(words))})
    for kind in ("mutes", "bans"):
        for number in range(SANCTIONS):
            node.put(f"/v1/{kind}/{kind}-{number}", {})
    for room in [name] if rooms == 1 else [f"{name}-{number}" for number in range(rooms)]:
        for number in range(IN_A_ROOM):
            node.put(f"/v1/rooms/{room}/mutes/elsewhere-{number}", {})
        settings = {"announcement": "今晚八点开播", "min_role": "guest", "messages_per_s": 100_000}
        node.put(f"/v1/rooms/{room}/settings", {**settings, "owners": ["owner"]}, "PATCH")


@contextmanager
def bearers(count: int, paths: str, rooms: int) -> Iterator[str]:
    """A file of so many paths, each with a token of its own, as `connect` takes it."""
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
        for number in range(count):
            claims: dict[str, object] = {"sub": f"user-{number}", "name": f"观众{number}"}
            claims |= {"rooms": {"room-*": "vip"}, "exp": int(time.time()) + 3_600}
            token = jwt.encode(claims, SECRET, "HS256")
            print(f"{paths.replace('$room', str(number % rooms))}&token={token}", file=file)
        file.flush()
        yield f"@{file.name}"


def typed(settings: Settings) -> dict[str, Figures]:
    seconds = 4 if settings.quick else SECONDS
    with ExitStack() as stack:
        sides = {}
        path = "/ws?room=room-$room"
        file = stack.enter_context(bearers(ROOMS * MEMBERS, path, ROOMS))
        for name in (PLAIN, RULED):
            node = stack.enter_context(Node(server_shards=2, auth_secret=SECRET, **LIMITS))
            if name is RULED:
                lay_down(node, ROOMS, "room")
            viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
            pin(viewers.pid, SERVER_CORE, CLIENT_CORE)
            connect(viewers, ROOMS * MEMBERS, file, ROOMS)
            measure(node, viewers, WARM_MS / 1e3)
            sides[name] = partial(measure, node, viewers, seconds)
        return interleave(sides, settings.rounds, "acks_s")


def joined(settings: Settings) -> dict[str, Figures]:
    size = settings.viewers(JOINS)
    with ExitStack() as stack:
        sides = {}
        file = stack.enter_context(bearers(size, "/ws?room=bench", 1))
        for name in (PLAIN, RULED):
            node = stack.enter_context(Node(auth_secret=SECRET))
            if name is RULED:
                lay_down(node, 1, "bench")
            viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
            sides[name] = partial(upgrade_round, node.shard, viewers, file, size)
            sides[name]()
        return interleave(sides, settings.rounds, "per_core_s")


def run(settings: Settings) -> Section:
    rows = {TYPED + name: row for name, row in typed(settings).items()}
    rows |= {JOINED + name: row for name, row in joined(settings).items()}
    title = f"Rules: {WORDS:,} words, {SANCTIONS:,} mutes and bans, settings, roles; and none"
    aims = [
        Aim("typed with all rules, × without", rows[TYPED + RULED]["ratio"], at_least=0.85),
        Aim("joins with all rules, × without", rows[JOINED + RULED]["ratio"], at_least=0.95),
    ]
    return Section(title, COLUMNS, rows, aims)
