"""A thousand rooms of 15 viewers, each with 10 messages a second: 10,000 different ones a second.

What it measures: CPU of the shard per delivery, loss, order and age of messages where batching
cannot help, for each message is one frame to a few. Eight backends broadcast to 125 rooms, ten
times a second, a different stamp each time, one backend after the other. The rates are those
reached; `server core` and `client core` say how full both were. Half the rate stands beside it.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, settle
from bench.load import (
    COLUMNS,
    Posted,
    connect,
    measure,
    stamped,
    steadily,
    strangers,
    together,
)
from bench.node import Backend, Node
from bench.report import Aim, Section
from bench.workloads import Settings

ROOMS = 1_000
MEMBERS = 15
PER_ROOM_S = 10
ROOMS_PER_BACKEND = 125
ROW, HALF = "shard", "at half the rate"


def broadcast(api: Backend, rooms: Sequence[str], times: int) -> None:
    """A message to each of `rooms`, so many times."""
    for _ in range(times):
        api.post("/v1/broadcast", {"rooms": rooms, "message": {"text": stamped()}})


def load(rooms: int, per_room_s: int, seconds: float) -> Figures:
    """A node, its viewers, and what they see of the backends' messages."""
    names = [f"room-{number}" for number in range(rooms)]
    parts = [names[at : at + ROOMS_PER_BACKEND] for at in range(0, rooms, ROOMS_PER_BACKEND)]
    every_s = 1 / per_room_s
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        connect(viewers, rooms * MEMBERS, "/ws?room=room-$room", rooms)
        settle(node.shard)
        backends: list[Callable[[], Posted]] = []
        for number, part in enumerate(parts):
            api = stack.enter_context(closing(Backend(node.api_port)))
            post = partial(broadcast, api, part)
            # One after the other, as rooms speak when they like and not all at once.
            after_s = number * every_s / len(parts)
            backends.append(
                partial(steadily, post, per_room_s, seconds, every_s, len(part), after_s)
            )
        return measure(node, viewers, MEMBERS, partial(together, backends))


def run(settings: Settings) -> Section:
    rooms, seconds = settings.viewers(ROOMS), 3 if settings.quick else 20
    full, half = (load(rooms, per_s, seconds) for per_s in (PER_ROOM_S, PER_ROOM_S // 2))
    title = f"{rooms:,} rooms × {MEMBERS} viewers, {PER_ROOM_S} messages/s each for {seconds} s"
    wrong = abs(full["lost"]) + full["disorder"] + full["drops"]
    aims = [
        Aim("messages posted a second", full["posted_s"], at_least=0.99 * rooms * PER_ROOM_S),
        Aim("lost, dropped or out of order", wrong, at_most=0),
        Aim("p99 from post to viewer, ms", full["p99_ms"], at_most=100),
    ]
    return Section(title, COLUMNS, {ROW: full, HALF: half}, aims, strangers(full))
