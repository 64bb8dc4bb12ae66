"""Event streams beside WebSockets: 2,000 viewers of each, one message per flush, posted over HTTP.

What it measures: CPU of the shard process per message a viewer received, the idle shard's CPU
subtracted, when its viewers watch by server-sent events and when they do by WebSocket. Two rooms of
one shard, taking turns; each message leaves in a flush of its own.
"""

from contextlib import ExitStack
from functools import partial

from bench.child import Child, build
from bench.harness import CLIENT_CORE, interleave
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from bench.workloads.room import FASTEST_PACE_S, Room

VIEWERS = 2_000
MOST = 1.10
WEBSOCKETS, STREAMS = "WebSockets", "event streams"

COLUMNS = [
    Column("us", "CPU µs each", "{:.3f}"),
    Column("ratio", "× WebSockets"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("per_frame", "msgs/frame"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
]


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    program = build("viewers")
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        rooms = {}
        for name, path in ((WEBSOCKETS, "/ws"), (STREAMS, "/sse")):
            viewers = stack.enter_context(Child([program, str(node.port)], CLIENT_CORE))
            rooms[name] = Room(node, viewers, size, path.strip("/"), path)
        # Long enough that both cores are idle in between, or one side pays for the other.
        pace_s = max(FASTEST_PACE_S, size * 20e-6)
        sides = {name: partial(room.flush, pace_s) for name, room in rooms.items()}
        measured = interleave(sides, settings.rounds)
    aim = Aim("an event stream's delivery against a WebSocket's", measured[STREAMS]["ratio"], MOST)
    title = f"Event streams beside WebSockets: {size:,} viewers of each"
    return Section(title, COLUMNS, measured, [aim])
