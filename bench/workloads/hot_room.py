"""One very hot room: 10,000 viewers, 800 messages a second posted in bulk over HTTP, for a minute.

What it measures: whether every message reaches every viewer once and in order (8,000,000
deliveries a second), how old messages are on arrival, and what that costs the shard. A backend
posts what is due every 20 ms, stamped as it is posted, through HTTP, stream and shard, alone on
its core. Once with viewers as browsers are, who all offer permessage-deflate, and once without:
then a second of it is over a gigabyte. The rates are those reached, and `client core` says how full
the other core was.
"""

import random
from contextlib import ExitStack

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, settle
from bench.load import COLUMNS, Posted, connect, measure, stamped, steadily, strangers
from bench.node import Node
from bench.report import Aim, Column, Section
from bench.workloads import Settings

VIEWERS = 10_000
PER_S = 800
EVERY_S = 0.02
BROWSERS, PLAIN = "with deflate, as browsers", "without deflate"
P99_MS = {BROWSERS: 100, PLAIN: 150}
SAID = (
    "前方高能", "哈哈哈哈哈哈", "第一", "来了来了", "awsl", "这也太好听了吧", "233333", "名场面",
    "泪目", "打卡", "这段可以循环一整天", "弹幕护体", "up 主加油！", "好家伙", "?", "我先哭了",
)  # fmt: skip


def load(deflate: bool, size: int, seconds: float) -> Figures:
    """A node, `size` viewers of one room, and what they see of the backend's messages."""
    chance = random.Random(1)
    with ExitStack() as stack:
        node = stack.enter_context(Node())
        viewers = stack.enter_context(Child([build("viewers"), str(node.port)], CLIENT_CORE))
        if deflate:
            viewers.ask("deflate")
        connect(viewers, size, "/ws?room=hot")
        settle(node.shard)

        def post(messages: int) -> None:
            # One that is late makes up for it in posts the API takes at once.
            said = [
                {"text": stamped(chance.choice(SAID)), "name": f"观众{chance.randrange(9999)}"}
                for _ in range(messages)
            ]
            node.post("/v1/rooms/hot/messages", said)

        def backend() -> Posted:
            return steadily(post, PER_S, seconds, EVERY_S)

        return measure(node, viewers, size, backend)


def run(settings: Settings) -> Section:
    size, seconds = settings.viewers(VIEWERS), 5 if settings.quick else 60
    rows = {name: load(name == BROWSERS, size, seconds) for name in (BROWSERS, PLAIN)}
    aims = [aim for name, figures in rows.items() for aim in aims_of(name, figures)]
    notes = [f"{name}: oldest {row['max_ms']:,.0f} ms." for name, row in rows.items()]
    notes += [note for figures in rows.values() for note in strangers(figures)]
    title = f"Hot room: {size:,} viewers × {PER_S} messages/s for {seconds} s"
    columns = [*COLUMNS, Column("bytes_per_frame", "bytes a frame", "{:,.0f}")]
    return Section(title, columns, rows, aims, notes)


def aims_of(name: str, figures: Figures) -> list[Aim]:
    kind = name.partition(",")[0]
    wrong = abs(figures["lost"]) + figures["disorder"] + figures["drops"]
    return [
        Aim(f"{kind}: messages posted a second", figures["posted_s"], at_least=0.99 * PER_S),
        Aim(f"{kind}: lost, dropped or out of order", wrong, at_most=0),
        Aim(f"{kind}: p99 from post to viewer, ms", figures["p99_ms"], at_most=P99_MS[name]),
    ]
