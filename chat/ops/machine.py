"""What the machine says about itself, as `doctor` reads it.

Lives here: one reader for each fact, gathered in `Machine`, so that a test can hand the doctor any
machine it likes. Must not: judge. A fact that cannot be read is None, never an exception: half a
diagnosis is worth having.
The one danger: these readers run beside a live server. They may look, connect and bind for a
moment; they change nothing.
"""

import ctypes
import importlib
import ipaddress
import os
import platform
import re
import resource
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from chat.config.sections import Config
from chat.ops.busserver import BusServer, look
from chat.ops.cgroups import least, read
from chat.ops.cores import usable_cores
from chat.ops.engine import EmbeddedEngine, EngineError
from shard.listen import MOST_ROWS, RESERVED_DESCRIPTORS

PINGS = 20
TIMEX_BYTES = 512  # more than struct timex has anywhere
TIME_ERROR = 5  # <sys/timex.h>: the clock is not synchronised


@dataclass(frozen=True)
class Machine:
    python: tuple[int, ...]
    system: str
    kernel: str
    cores: int
    files: tuple[int, int]  # open files per process: soft and hard limit
    read: Callable[[str], str | None]  # a file under /proc or /sys
    has: Callable[[str], bool]  # whether `module:name` can be imported
    bus: Callable[[str, float], BusServer | str]  # the server at a URL, or why there is none
    bind: Callable[[str, int], OSError | None]  # why a listener cannot have this address
    writable: Callable[[str], bool]  # whether this directory is, or could be made, ours to fill
    ring: Callable[[], OSError | None]  # why there can be no io_uring
    synchronised: Callable[[], bool | None]  # whether the clock is held to others
    clock_offset: Callable[[], float]  # seconds of the clock before the one that only goes on

    def numbers(self, path: str) -> list[int]:
        """The numbers of a file under /proc; none where it cannot be read."""
        return [int(number) for number in (self.read(path) or "").split() if number.isdecimal()]

    def field(self, path: str, name: str) -> str:
        """What stands behind `name:` in a file of such lines; "" where nothing does."""
        found = re.search(rf"^{name}:[ \t]*(.*?)[ \t]*$", self.read(path) or "", re.M)
        return found[1] if found else ""

    @property
    def room(self) -> int:
        """Connections one shard may hold, having raised its limit of open files."""
        hard = self.files[1]
        return max(0, (MOST_ROWS if hard < 0 else min(hard, MOST_ROWS)) - RESERVED_DESCRIPTORS)

    @property
    def memory(self) -> int:
        """Bytes that we may have: of the machine, or of a cgroup that has fewer; 0: unknown."""
        known = [
            least(self.read, "memory", ("memory.max", "memory.high"), "memory.limit_in_bytes"),
            self._kilobytes("MemTotal"),
        ]
        return min(filter(None, known), default=0)

    @property
    def memory_available(self) -> int:
        """Likewise, bytes that nobody has now, of the machine; 0: unknown."""
        limit, free = self.memory, self._kilobytes("MemAvailable")
        return min(limit, free) if limit and free else free

    def _kilobytes(self, name: str) -> int:
        number = self.field("/proc/meminfo", name).removesuffix(" kB")
        return int(number) * 1024 if number.isdecimal() else 0


def shards_of(config: Config, machine: Machine) -> int:
    """How many a node has."""
    return config.server.shards or machine.cores


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
        ring=_ring,
        synchronised=_synchronised,
        clock_offset=lambda: time.time() - time.monotonic(),
    )


def _ring() -> OSError | None:
    try:
        from shard.ring import Ring

        Ring()
    except ImportError:
        return None
    except OSError as error:
        return error
    return None


def _synchronised() -> bool | None:
    """As adjtimex(2) says, asked without changing anything; None where we may not ask."""
    asked = ctypes.create_string_buffer(TIMEX_BYTES)
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(asked)
    return None if state < 0 else state != TIME_ERROR


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
