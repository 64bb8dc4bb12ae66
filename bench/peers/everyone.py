"""Who is compared: the servers by the names their rows have, and what a table says of them.

Rule: a peer that cannot be here is named with the reason, and the others are measured.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from bench.harness import Figures, Unavailable
from bench.peers.centrifuge import Centrifuge
from bench.peers.danmaku import Danmaku
from bench.peers.nats import Nats
from bench.peers.nchan import Nchan
from bench.peers.published import Published
from bench.peers.server import Floor, Library, Server

FLOOR, US, NATS = "C loop (the floor)", "Danmaku: server", "NATS (nats-server)"
LIBRARIES = {
    "uWebSockets (socketify)": "socketify",
    "picows": "picows",
    "websockets": "websockets",
}
PROGRAMS: dict[str, type[Published]] = {
    "nginx + nchan": Nchan,
    NATS: Nats,
    "Centrifuge (Go)": Centrifuge,
}
PEERS = {*LIBRARIES, *PROGRAMS}
WINS = " wins:"
Make = Callable[[int], Server]
"""Starts one on so many cores."""


def makes() -> dict[str, Make]:
    """The floor, ours, then every peer."""

    def library(module: str) -> Make:
        return lambda cores: Library(module, cores)

    libraries = {name: library(module) for name, module in LIBRARIES.items()}
    return {FLOOR: Floor, US: Danmaku, **libraries, **PROGRAMS}


def present(
    makes: Mapping[str, Make], cores: int, stack: ExitStack
) -> tuple[dict[str, Server], list[str]]:
    """Those that could be started, and a note on each that could not."""
    servers: dict[str, Server] = {}
    notes = []
    for name, make in makes.items():
        try:
            servers[name] = stack.enter_context(make(cores))
        except (Unavailable, RuntimeError, TimeoutError) as problem:
            notes.append(missing(name, problem))
    return servers, notes


def missing(name: str, problem: Exception) -> str:
    return f"{name}: not measured: {problem}"


def against(rows: dict[str, Figures], key: str) -> dict[str, Figures]:
    """The rows with `times_ours`: `key` of each against ours, where it has that.

    Raises Unavailable when ours is not among them.
    """
    if US not in rows:
        raise Unavailable("there was no node to compare with")
    ours = rows[US][key]
    return {
        name: row | ({"times_ours": row[key] / ours} if key in row else {})
        for name, row in rows.items()
    }


def winners(
    rows: Mapping[str, Figures], key: str, what: str, ours: str = US, more_is_better: bool = False
) -> list[str]:
    """A sentence on each peer whose figure is better than ours, the best first; or that none is."""
    mine, sign = rows[ours][key], -1 if more_is_better else 1
    better = sorted(
        (sign * row[key], name)
        for name, row in rows.items()
        if name in PEERS and key in row and sign * row[key] < sign * mine
    )
    said = [
        f"{name}{WINS} {_short(sign * value)} {what}, Danmaku {_short(mine)}."
        for value, name in better
    ]
    return said or [f"No peer is better than Danmaku: {_short(mine)} {what}."]


def _short(value: float) -> str:
    """Three digits, and all those before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
