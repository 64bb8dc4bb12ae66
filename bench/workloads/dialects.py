"""Foreign dialects beside our own: 2,000 viewers of each, one message per flush, posted over HTTP.

What it measures: CPU of the shard process per message a viewer received, the idle shard's CPU
subtracted, in each dialect and in our own JSON, in rooms of one shard that take turns in a round;
and the shard's memory for an idle viewer of each, in a node of its own.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, interleave, memory_bytes, settle
from bench.load import connect
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings
from bench.workloads.room import FASTEST_PACE_S, Room
from chat.wire.dialects.centrifugal import PATH
from chat.wire.dialects.centrifugal_protobuf import varint, write
from chat.wire.dialects.centrifugal_schema import Command, ConnectRequest, SubscribeRequest

VIEWERS = 2_000
IDLE_VIEWERS = 10_000
WARM_VIEWERS = 500
MOST = 1.05
MOST_BYTES = 40
NATIVE, JSON, PROTOBUF = "our JSON", "Centrifugal JSON", "Centrifugal Protobuf"
SERVER: Final = {
    "server_dialects": '["danmaku", "centrifugal"]',
    "heartbeat_ping_s": 600,  # these viewers know no pings but the WebSocket's
}

COLUMNS = [
    Column("us", "CPU µs each", "{:.3f}"),
    Column("ratio", "× our JSON"),
    Column("ratio_low", "least"),
    Column("ratio_high", "most"),
    Column("per_s", "deliveries/s", "{:,.0f}"),
    Column("per_frame", "msgs/frame"),
    Column("server_busy", "server core", "{:.0%}"),
    Column("client_busy", "client", "{:.0%}"),
    Column("private", "bytes an idle viewer", "{:,.0f}"),
]


def greeting(kind: str, room: str) -> str:
    """What a viewer of a kind says first, as the client is told it; "" for nothing."""
    commands = (
        Command(1, connect=ConnectRequest()),
        Command(2, subscribe=SubscribeRequest(channel=room)),
    )
    if kind == JSON:
        subscribe = f'{{"id":2,"subscribe":{{"channel":"{room}"}}}}'
        return f'greet {{"id":1,"connect":{{}}}}\\n{subscribe}'
    if kind == PROTOBUF:
        written = [write(one) for one in commands]
        return "greet_bytes " + b"".join(varint(len(one)) + one for one in written).hex()
    return ""


def path(kind: str, room: str) -> str:
    """Where a viewer of a kind connects."""
    return {NATIVE: f"/ws?room={room}", JSON: PATH, PROTOBUF: f"{PATH}?format=protobuf"}[kind]


@contextmanager
def viewers_of(kind: str, node: Node, room: str) -> Iterator[Child]:
    """A client whose viewers are of that kind."""
    with Child([build("viewers"), str(node.port)], CLIENT_CORE) as viewers:
        if said := greeting(kind, room):
            viewers.ask(said)
        yield viewers


class Watched(Room):
    """A room that is watched in one way."""

    def __init__(self, node: Node, viewers: Child, size: int, kind: str, name: str) -> None:
        self.node, self.viewers, self.size, self.name = node, viewers, size, name
        connect(viewers, size, path(kind, name))
        settle(node.shard)


def idle_bytes(kind: str, size: int) -> float:
    """Of the shard's own memory, for each of so many."""
    with Node(**SERVER) as node, viewers_of(kind, node, "bench") as viewers:
        where = path(kind, "bench")
        connect(viewers, WARM_VIEWERS, where)
        node.post("/v1/rooms/bench/messages", {"text": "x"})
        viewers.ask(f"wait messages {WARM_VIEWERS} 10000")
        viewers.ask(f"drop {WARM_VIEWERS}")
        settle(node.shard)
        before = memory_bytes(node.shard)["Private_Dirty"]
        connect(viewers, size, where)
        settle(node.shard)
        return (memory_bytes(node.shard)["Private_Dirty"] - before) / size


def run(settings: Settings) -> Section:
    size = settings.viewers(VIEWERS)
    kinds = {NATIVE: "native", JSON: "json", PROTOBUF: "protobuf"}
    with ExitStack() as stack:
        node = stack.enter_context(Node(**SERVER))
        rooms = {}
        for kind, name in kinds.items():
            viewers = stack.enter_context(viewers_of(kind, node, name))
            rooms[kind] = Watched(node, viewers, size, kind, name)
        # Long enough that both cores are idle in between, or one side pays for the other.
        pace_s = max(FASTEST_PACE_S, size * 20e-6)
        sides = {kind: partial(room.flush, pace_s) for kind, room in rooms.items()}
        measured: dict[str, Figures] = interleave(sides, settings.rounds)
    for kind in kinds:
        measured[kind]["private"] = idle_bytes(kind, settings.viewers(IDLE_VIEWERS))
    aims = []
    for kind in (JSON, PROTOBUF):
        more = measured[kind]["private"] - measured[NATIVE]["private"]
        aims.append(Aim(f"a delivery in {kind} against our JSON", measured[kind]["ratio"], MOST))
        aims.append(Aim(f"bytes more an idle viewer of {kind}", more, MOST_BYTES))
    return Section(f"Foreign dialects: {size:,} viewers of each", COLUMNS, measured, aims)
