"""One picture of `danmaku top`: nodes, what was not delivered, shards, rooms.

Rules. Draws what is known and asks nobody. A number that cannot be known yet is a dash.
What comes from outside is text, never the terminal's markup.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from chat.client.terminal import plain
from chat.client.top_nodes import Node, RoomLine, Rooms
from chat.client.top_rates import Between

UNKNOWN: Final = "–"
REASONS: Final = {
    "dropped": "danmaku_frames_dropped_total",
    "gap": "danmaku_gap_messages_total",
    "refused": "danmaku_commands_refused_total",
    "handshakes": "danmaku_handshakes_refused_total",
    "requests": "danmaku_requests_refused_total",
    "Redis failed": "danmaku_bus_errors_total",
}
"""Families whose label says why."""
LOSSES: Final = {
    "shed": "danmaku_messages_shed_total",
    "notices": "danmaku_notices_dropped_total",
    "join notices": "danmaku_join_notices_dropped_total",
    "likes": "danmaku_likes_dropped_total",
    "events": "danmaku_connection_events_dropped_total",
}
LATE_S: Final = 0.1
"""A loop that comes so late is marked."""


class Shard(NamedTuple):
    """A shard's row, and how late its loop was (seconds)."""

    cells: tuple[str, ...]
    lag: float


def frame(
    nodes: Sequence[Node], rooms: Rooms, title: str, screen: Console | None = None
) -> RenderableType:
    """The whole picture. Of shards that do not fit on the `screen` those whose loops are latest are
    shown, and the others counted."""
    above = [Text(title, style="bold"), Text(), *_nodes(nodes), Text(), _reasons(nodes), Text()]
    below = list(_rooms(rooms))
    shards = [shard for node in nodes for shard in _shards(node, len(nodes) > 1)]
    fits = len(shards)
    if screen is not None:
        used = screen.render_lines(Group(*above, *below), pad=False)
        fits = max(1, screen.height - len(used) - 1)
    return Group(*above, *_shard_table(shards, fits), *below)


def _table(name: str, *numbers: str) -> Table:
    """A name to the left and numbers to the right; a last column without a heading is a text."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(name, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    return table


def _nodes(nodes: Sequence[Node]) -> Iterator[RenderableType]:
    """Those that answer as a table, the others as a line each."""
    table = _table(
        *("node", "viewers", "rooms", "joins/s", "said/s", "deliveries/s", "dropped/s", "shed/s"),
        *("Redis", "99 %", ""),
    )
    for node in nodes:
        if node.between is not None:
            table.add_row(Text(node.name), *_node(node.between), _state(node.between))
    yield table
    for node in nodes:
        if node.between is None:
            yield Text(f"{node.name}  {node.why}", style="red")


def _node(seen: Between) -> Iterator[str]:
    yield count(seen.now.total("danmaku_connections"))
    yield count(seen.now.total("danmaku_rooms"))
    yield rate(seen.rate("danmaku_joins_total"))
    typed, posted = seen.rate("danmaku_messages_published_total"), _posted(seen)
    yield rate(None if typed is None else typed + posted)
    for name in ("messages_delivered", "frames_dropped", "messages_shed"):
        yield rate(seen.rate(f"danmaku_{name}_total"))
    for share in (0.5, 0.99):
        yield seconds(seen.quantile(share, "danmaku_bus_request_seconds"))


def _posted(seen: Between) -> float:
    return seen.rate("danmaku_api_published_total") or 0.0


def _state(seen: Between) -> Text:
    """What is wrong with the node's way to Redis and to an operator's word, or that it is well."""
    wrong = []
    if 0 in seen.now.of("danmaku_bus_connected").values():
        wrong.append("Redis is away")
    for of, what in (("publish", "publishing"), ("presend", "presend")):
        if seen.now.total("danmaku_breaker_open", of=of):
            wrong.append(f"{what}: breaker open")
    lag = max(seen.now.of("danmaku_stream_lag_seconds").values(), default=0.0)
    if lag >= 1:
        wrong.append(f"streams {seconds(lag)} late")
    return Text(", ".join(wrong), style="red") if wrong else Text("up", style="green")


def _reasons(nodes: Sequence[Node]) -> Text:
    """What did not come to its reader, or was refused, by why; of all nodes together."""
    found: dict[str, dict[str, float]] = {}
    for seen in filter(None, (node.between for node in nodes)):
        for what, name in REASONS.items():
            for why, of in seen.rates(name, "of" if "bus" in name else _label(name)).items():
                if (what, why) != ("gap", "filled"):  # which came after all
                    _add(found, what, why, of)
        for what, name in LOSSES.items():
            if lost := seen.rate(name):
                _add(found, "lost", what, lost)
    said = [
        f"{what}: " + ", ".join(f"{plain(why)} {rate(of)}" for why, of in sorted(by.items()))
        for what, by in found.items()
    ]
    heading = ("not delivered or refused a second  ", "bold")
    return Text.assemble(heading, "; ".join(said) or "nothing")


def _label(name: str) -> str:
    return "result" if name == REASONS["gap"] else "reason"


def _add(found: dict[str, dict[str, float]], what: str, why: str, more: float) -> None:
    of = found.setdefault(what, {})
    of[why] = of.get(why, 0.0) + more


def _shards(node: Node, several: bool) -> Iterator[Shard]:
    seen = node.between
    if seen is None:
        return
    for shard in seen.now.values("danmaku_connections", "shard"):
        total = {
            name: seen.now.total(f"danmaku_{name}", shard=shard)
            for name in ("connections", "slow_readers", "backlog_bytes", "shard_starts_total")
        }
        lag = seen.quantile(1, "danmaku_loop_lag_seconds", shard=shard)
        cells = (
            f"{node.name} {plain(shard)}" if several else plain(shard),
            count(total["connections"]),
            rate(seen.rate("danmaku_joins_total", shard=shard)),
            rate(seen.rate("danmaku_messages_delivered_total", shard=shard)),
            seconds(lag),
            seconds(seen.quantile(0.5, "danmaku_turn_seconds", shard=shard)),
            seconds(seen.quantile(0.99, "danmaku_turn_seconds", shard=shard)),
            size(total["backlog_bytes"]),
            count(total["slow_readers"]),
            count(total["shard_starts_total"]),
        )
        yield Shard(cells, lag or 0.0)


def _shard_table(shards: Sequence[Shard], fits: int) -> Iterator[RenderableType]:
    if not shards:
        return
    shown = list(shards)
    if len(shards) > fits:
        latest = sorted(range(len(shards)), key=lambda i: -shards[i].lag)[: max(1, fits - 1)]
        shown = [shards[i] for i in sorted(latest)]
    table = _table(
        *("shard", "viewers", "joins/s", "deliveries/s", "loop late", "turn", "99 %"),
        *("backlog", "slow", "lives"),
    )
    for shard in shown:
        table.add_row(*map(Text, shard.cells), style="yellow" if shard.lag >= LATE_S else "")
    yield table
    if len(shown) < len(shards):
        yield Text(f"and {len(shards) - len(shown):,} shards that are no later", style="dim")


def _rooms(rooms: Rooms) -> Iterator[RenderableType]:
    if rooms.why:
        yield Text()
        yield Text(f"rooms: {rooms.why}", style="red")
    elif rooms.lines:
        yield Text()
        table = _table("room, on all nodes", "online", "peak", "messages/s", "place")
        for line in rooms.lines:
            table.add_row(Text(plain(line.room)), *_room(line))
        yield table


def _room(line: RoomLine) -> Iterable[str]:
    return count(line.online), count(line.peak), rate(line.rate), count(line.seq)


# --- numbers ------------------------------------------------------------------------------------


def count(number: float | None) -> str:
    """`15,000`."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    """`0`, `0.3`, `800`, `8.0 M`."""
    if number is None:
        return UNKNOWN
    if number >= 1e6:
        return f"{number / 1e6:,.1f} M"
    return f"{number:.1f}" if 0 < number < 9.95 else f"{number:,.0f}"


def seconds(number: float | None) -> str:
    """`0.3 ms`, `45 ms`, `1.2 s`."""
    if number is None:
        return UNKNOWN
    ms = number * 1000
    if ms >= 999.5:
        return f"{number:,.1f} s"
    return f"{ms:.1f} ms" if ms < 9.95 else f"{ms:.0f} ms"


def size(number: float | None) -> str:
    """`0 B`, `12 kB`, `3.4 MB`."""
    if number is None:
        return UNKNOWN
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number / 1000:,.0f} kB" if number >= 1000 else f"{number:,.0f} B"
