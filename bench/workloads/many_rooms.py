"""A thousand rooms of 15 viewers, each with 10 messages a second: 10,000 different ones a second.

What it measures: CPU of the shard per delivery, loss, order and age of messages where batching
cannot help, for each message is one frame to a few. Eight backends broadcast to 125 rooms each, ten
times a second, a different stamp each time, one backend after the other. The rates are those
reached, and `client core` says how full the backend's and the viewers' core was.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

from bench.child import Child, build
from bench.harness import CLIENT_CORE, settle
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
ROW = "shard"


def broadcast(api: Backend, rooms: Sequence[str], times: int) -> None:
    """A message to each of `rooms`, so many times."""
    for _ in range(times):
        api.post("/v1/broadcast", {"rooms": rooms, "message": {"text": stamped()}})


def run(settings: Settings) -> Section:
    rooms, seconds = settings.viewers(ROOMS), 5 if settings.quick else 20
    names = [f"room-{number}" for number in range(rooms)]
    parts = [names[at : at + ROOMS_PER_BACKEND] for at in range(0, rooms, ROOMS_PER_BACKEND)]
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        connect(viewers, rooms * MEMBERS, "/ws?room=room-$room", rooms)
        settle(node.shard)
        backends: list[Callable[[], Posted]] = []
        for number, part in enumerate(parts):
            api = stack.enter_context(closing(Backend(node.api_port)))
            post = partial(broadcast, api, part)
            every_s = 1 / PER_ROOM_S
            # One after the other, as rooms speak when they like and not all at once.
            after_s = number * every_s / len(parts)
            backends.append(
                partial(steadily, post, PER_ROOM_S, seconds, every_s, len(part), after_s)
            )
        figures = measure(node, viewers, MEMBERS, partial(together, backends))
    title = f"{rooms:,} rooms × {MEMBERS} viewers, {PER_ROOM_S} messages/s each for {seconds} s"
    wrong = abs(figures["lost"]) + figures["disorder"]
    aims = [
        Aim("messages posted a second", figures["posted_s"], at_least=0.99 * rooms * PER_ROOM_S),
        Aim("deliveries lost, repeated or out of order", wrong, at_most=0),
        Aim("drops the node counted", figures["drops"], at_most=0),
        Aim("p99 from post to viewer, ms", figures["p99_ms"], at_most=60),
    ]
    return Section(title, COLUMNS, {ROW: figures}, aims, strangers(figures))
