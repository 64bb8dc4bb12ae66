"""Who is compared: the servers by the names their rows have, and what a table says of them.

Rule: a peer that cannot be here is named with the reason, and the others are measured.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from bench.harness import Figures, Unavailable, interleave
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
TROUBLE = (Unavailable, RuntimeError, TimeoutError, OSError)
"""What keeps a server from being measured."""
Make = Callable[[int], Server]
"""Starts one on so many cores."""


def makes() -> dict[str, Make]:
    """The floor, ours, then every peer."""

    def library(module: str) -> Make:
        return lambda cores: Library(module, cores)

    libraries = {name: library(module) for name, module in LIBRARIES.items()}
    return {FLOOR: Floor, US: Danmaku, **libraries, **PROGRAMS}


def present(
    makes: Mapping[str, Make], cores: int, stack: ExitStack, warm: Callable[[Server], object]
) -> tuple[dict[str, Server], list[str]]:
    """Those that could be started and warmed up, and a note on each peer that could not.

    Raises what the floor or ours raised.
    """
    servers: dict[str, Server] = {}
    notes = []
    for name, make in makes.items():
        try:
            servers[name] = stack.enter_context(make(cores))
            warm(servers[name])
        except TROUBLE as problem:
            servers.pop(name, None)
            notes.append(missing(name, problem))
    return servers, notes


def in_turns(
    sides: Mapping[str, Callable[[], Figures]], rounds: int, key: str = "us"
) -> tuple[dict[str, Figures], list[str]]:
    """`interleave`, but a peer that fails on the way is left out, with a note."""
    notes: dict[str, str] = {}

    def turn(name: str) -> Figures:
        if name not in notes:
            try:
                return sides[name]()
            except TROUBLE as problem:
                notes[name] = missing(name, problem)
        return {}

    measured = interleave({name: partial(turn, name) for name in sides}, rounds, key)
    return measured, list(notes.values())


def missing(name: str, problem: Exception) -> str:
    """A note on a peer that is not measured. Raises the problem when it is no peer's."""
    if name not in PEERS:
        raise problem
    return f"{name}: not measured: {problem}"


def against(rows: dict[str, Figures], key: str) -> dict[str, Figures]:
    """The rows with `times_ours`: `key` of each against ours, where it has that."""
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
