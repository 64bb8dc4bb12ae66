"""`danmaku reload`: ask the node that runs here to read its configuration again, and tell of it.

Rules. The node reads, not this process: its environment and its options count. The file is looked
into only for where the node is, so a mistake in another key does not hide it.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chat.config.load import ConfigError, load_config, sound_part
from chat.ops.control import NoAnswer, ask
from chat.ops.reloading import ANSWER_S, Change, Reloaded
from chat.ops.rundir import control_of_node
from chat.wire.schema import UNREADABLE

APPLIED: Final = 0
FAILED: Final = 1
REFUSED: Final = 2
RESTART: Final = 3
WAIT_S: Final = 2 * ANSWER_S + 5.0
"""One reload may have to wait for another."""


def reload(path: Path | None, environ: Mapping[str, str], port: int | None = None) -> int:
    """Have it reloaded, and print what came of it; the exit status."""
    found = sound_part(path, environ)
    if found is None:
        return _say_unreadable(path)
    run_dir, port = found.node.run_dir, port or found.server.port
    control = control_of_node(run_dir, port, environ)
    if control is None:
        where = f"in node.run_dir {run_dir}" if run_dir else f"on port {port}"
        print(f"danmaku: no node runs here {where}", file=sys.stderr)
        return FAILED
    try:
        result = msgspec.json.decode(ask(control, "reload", WAIT_S), type=Reloaded)
    except NoAnswer as why:
        print(f"danmaku: {why}", file=sys.stderr)
        return FAILED
    except UNREADABLE as error:
        print(f"danmaku: {control}: no answer to a reload: {error}", file=sys.stderr)
        return FAILED
    print(*told(result), sep="\n", file=sys.stderr if result.problems else sys.stdout)
    return status(result)


def _say_unreadable(path: Path | None) -> int:
    """The file is none at all, so it does not say where the node is either; nor would the node
    take it."""
    try:
        load_config(path, {})
    except ConfigError as bad:
        print("danmaku: refused, nothing is changed", *bad.problems, sep="\n  ", file=sys.stderr)
    return REFUSED


def status(result: Reloaded) -> int:
    """The exit status that tells of a result."""
    if result.problems:
        return REFUSED
    if result.trouble:
        return FAILED
    return RESTART if result.restart else APPLIED


def told(result: Reloaded) -> Iterator[str]:
    """What came of it, in lines."""
    if result.problems:
        yield f"{result.file} is refused, nothing is changed:"
        yield from (f"  {problem}" for problem in result.problems)
        return
    if not (result.applied or result.restart):
        yield f"{result.file}: nothing has changed"
    if result.applied:
        yield f"applied by {', '.join(result.by) or 'nobody'}:"
        yield from _table(result.applied)
    if result.restart:
        yield "needs a restart, and is not changed until then:"
        yield from _table(result.restart)
    yield from result.trouble


def _table(changes: Sequence[Change]) -> Iterator[str]:
    width = max(len(change.path) for change in changes)
    for change in changes:
        yield f"  {change.path:{width}}  {change.before} -> {change.after}"
