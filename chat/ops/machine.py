"""What the machine says about itself, as `doctor` reads it.

Lives here: one reader for each fact, gathered in `Machine`, so that a test can hand the doctor any
machine it likes. Must not: judge. A fact that cannot be read is None, never an exception: half a
diagnosis is worth having.
The one danger: these readers run beside a live server. They may look, connect and bind for a
moment; they change nothing.
"""

import importlib
import os
import platform
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from chat.ops.busserver import BusServer, look
from chat.ops.cgroups import read
from chat.ops.cores import usable_cores
from chat.ops.engine import EmbeddedEngine, EngineError

PINGS = 20


@dataclass(frozen=True)
class Machine:
    python: tuple[int, ...]
    system: str
    kernel: str
    cores: int
    files: tuple[int, int]  # open files per process: soft and hard limit
    read: Callable[[str], str | None]  # a file under /proc
    has: Callable[[str], bool]  # whether `module:name` can be imported
    bus: Callable[[str, float], BusServer | str]  # the server at a URL, or why there is none
    bind: Callable[[str, int], OSError | None]  # why a listener cannot have this address
    writable: Callable[[str], bool]  # whether this directory is, or could be made, ours to fill


def this_machine() -> Machine:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        python=sys.version_info[:3],
        system=platform.system(),
        kernel=platform.release(),
        cores=usable_cores(),
        files=(soft, hard),
        read=read,
        has=_has,
        bus=_bus,
        bind=_bind,
        writable=_writable,
    )


def _has(what: str) -> bool:
    module, _, name = what.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return False
    return not name or hasattr(found, name)


def _bus(url: str, timeout_s: float) -> BusServer | str:
    try:
        if url != "embedded":
            return look(url, timeout_s)
        with EmbeddedEngine() as engine:  # in memory: the data of a running node is not touched
            return look(engine.url, timeout_s)
    except (redis.RedisError, EngineError, OSError, ValueError, TypeError) as error:
        return str(error) or type(error).__name__


def _bind(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # So that old connections in TIME_WAIT do not count; a listener still does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _writable(directory: str) -> bool:
    path = Path(directory).resolve()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
