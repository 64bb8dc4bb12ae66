"""Imports point one way: chat -> shard -> pool, and inside chat from wing to wing; and the parts
without I/O have none.

Read from the source, not from what happens to be loaded.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "pool": {"pool"},
    "shard": {"shard", "pool"},
    "chat": {"chat", "shard", "pool"},
}

WINGS = {
    "node": {"api", "hub", "rooms", "policy", "bus", "wire", "config", "ops", "node", "workers"},
    "cli": {"api", "client", "policy", "wire", "config", "ops", "node", "workers"},
    "workers": {"bus", "wire", "config"},
    "api": {"policy", "bus", "wire", "config"},
    "hub": {"rooms", "policy", "bus", "wire", "config"},
    "rooms": {"policy", "bus", "wire", "config"},
    "policy": {"bus", "wire", "config"},
    "bus": {"wire", "config"},
    "wire": {"config"},
    "config": set(),
    "client": {"bus", "wire", "config"},
    "ops": {"bus", "wire", "config"},
    "counters": set(),
    "tasks": set(),
}
"""Each part of chat, and whose names it may use beside its own; the last two are anybody's."""
ANYBODYS = {"counters", "tasks"}

PURE = (
    "pool/buffers.py",
    "pool/handle.py",
    "pool/table.py",
    "shard/addresses.py",
    "shard/deadlines.py",
    "shard/deflate.py",
    "shard/upgradecache.py",
    "shard/frames.py",
    "shard/handshake.py",
    "shard/phases.py",
    "shard/proxyprotocol.py",
    "shard/wheel.py",
    "shard/wires/eventstream.py",
    "shard/wires/websocket.py",
    "shard/wires/wire.py",
    "chat/bus/breaker.py",
    "chat/bus/entries.py",
    "chat/client/backoff.py",
    "chat/client/follower.py",
    "chat/client/top_rates.py",
    "chat/policy/folding.py",
    "chat/policy/gate.py",
    "chat/policy/rates.py",
    "chat/policy/roles.py",
    "chat/policy/orders.py",
    "chat/bus/kept.py",
    "chat/policy/rules.py",
    "chat/policy/text.py",
    "chat/policy/words.py",
    "chat/rooms/asides.py",
    "chat/rooms/merge.py",
    "chat/rooms/position.py",
    "chat/rooms/room.py",
    "chat/workers/records.py",
    "chat/wire/batch.py",
    "chat/wire/schema.py",
    "chat/wire/variants.py",
    "chat/wire/dialects/eventstream.py",
    "chat/wire/dialects/native.py",
)
"""Files that do no I/O and look at no clock, nor does anything of ours they import."""

IMPURE = {"asyncio", "select", "selectors", "socket", "time", "datetime", "uvloop"}

SOURCES = sorted(
    path.relative_to(ROOT).as_posix() for name in MAY_IMPORT for path in (ROOT / name).rglob("*.py")
)


def imported(source: str, package: str = "") -> set[str]:
    """Every module that `source` imports, wherever in it; `package` resolves relative imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def imports_of(file: str) -> set[str]:
    return imported((ROOT / file).read_text(), ".".join(Path(file).parts[:-1]))


def top(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def reachable(file: str) -> set[str]:
    """Every module imported by `file` or by a file of ours that it imports."""
    found: set[str] = set()
    files = [file]
    while files:
        new = imports_of(files.pop()) - found
        found |= new
        files += [path for name in new if (path := name.replace(".", "/") + ".py") in SOURCES]
    return found


@pytest.mark.parametrize("file", SOURCES)
def test_imports_point_one_way(file: str) -> None:
    package = Path(file).parts[0]
    ours = top(imports_of(file)) & (MAY_IMPORT.keys() | {"tests", "bench", "locustfiles"})
    assert ours <= MAY_IMPORT[package]


def wing(module: str) -> str | None:
    """The part of chat that a module is in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "chat" and len(parts) > 1 else None


@pytest.mark.parametrize("file", [file for file in SOURCES if file.startswith("chat/")])
def test_wings_import_only_what_stands_to_their_right(file: str) -> None:
    own = wing(file.removesuffix(".py").replace("/", "."))
    if own == "__init__":
        return
    assert own in WINGS, f"{file}: no wing of this name has a place in the order"
    found = {name for module in imports_of(file) if (name := wing(module)) in WINGS}
    offending = found - WINGS[own] - ANYBODYS - {own}
    assert not offending, f"{file} may not import from chat.{', chat.'.join(sorted(offending))}"


def test_the_order_of_the_wings_has_no_circle() -> None:
    left = {name: rights - {name} for name, rights in WINGS.items()}
    while left:
        free = [name for name, rights in left.items() if not rights & left.keys()]
        assert free, f"a circle in {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("file", PURE)
def test_files_without_io_import_nothing_that_does_any(file: str) -> None:
    assert not top(reachable(file)) & IMPURE


class TestTheReadingItself:
    def test_all_forms_of_import_are_seen(self) -> None:
        source = """
import os.path as p, time
from shard import group
def later():
    from select import epoll
    from . import table
    from .deep import er
    from ..up import where
"""
        assert imported(source, "pool.sub") == {
            *("os.path", "time", "shard", "shard.group", "select", "select.epoll"),
            *("pool.sub", "pool.sub.table", "pool.sub.deep", "pool.sub.deep.er"),
            *("pool.up", "pool.up.where"),
        }

    def test_what_is_imported_by_way_of_others_is_seen(self) -> None:
        assert "pool.buffers" in reachable("shard/group.py")
        assert top(reachable("shard/group.py")) & IMPURE == {"select", "socket"}

    def test_there_is_something_to_read(self) -> None:
        assert {"pool/table.py", "shard/group.py", "chat/config/load.py"} <= set(SOURCES)
