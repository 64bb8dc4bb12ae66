"""One very hot room: 10,000 viewers, 800 messages a second posted in bulk over HTTP, for a minute.

What it measures: whether every message reaches every viewer once and in order (8,000,000
deliveries a second), how old messages are on arrival, and what that costs the shard. A backend
posts what is due every 20 ms, stamped as it is posted, through HTTP, stream and shard, alone on
its core. The rates are those reached, and `client core` says how full the other core was.
"""

from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, settle
from bench.load import COLUMNS, Posted, connect, measure, stamped, steadily, strangers
from bench.node import Node
from bench.report import Aim, Section
from bench.workloads import Settings

VIEWERS = 10_000
PER_S = 800
EVERY_S = 0.02
ROW = "shard"


def run(settings: Settings) -> Section:
    size, seconds = settings.viewers(VIEWERS), 10 if settings.quick else 60
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        connect(viewers, size, "/ws?room=hot")
        settle(node.shard)

        def post(messages: int) -> None:
            # One that is late makes up for it in posts the API takes at once.
            node.post("/v1/rooms/hot/messages", [{"text": stamped("前方高能")}] * messages)

        def backend() -> Posted:
            return steadily(post, PER_S, seconds, EVERY_S)

        figures = measure(node, viewers, size, backend)
    title = f"Hot room: {size:,} viewers × {PER_S} messages/s for {seconds} s"
    wrong = abs(figures["lost"]) + figures["disorder"]
    aims = [
        Aim("messages posted a second", figures["posted_s"], at_least=0.99 * PER_S),
        Aim("deliveries lost, repeated or out of order", wrong, at_most=0),
        Aim("drops the node counted", figures["drops"], at_most=0),
        Aim("p99 from post to viewer, ms", figures["p99_ms"], at_most=150),
    ]
    note = f"{figures['bytes_per_frame']:,.0f} bytes a frame; oldest {figures['max_ms']:,.0f} ms."
    return Section(title, COLUMNS, {ROW: figures}, aims, [note, *strangers(figures)])
