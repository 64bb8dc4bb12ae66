"""How many cores this process may use: those it may run on, less what a quota takes away.

Rules. A quota is a cgroup's, of version 2 or 1, of our own or of one above it; the smallest counts.
A container sees the cores of the whole machine, and only this file tells how many are its own.
What cannot be read limits nothing.

A quota is rounded down: whoever has used it up stands still until the next period, a tenth of a
second, and a shard that stands still is late for all its viewers.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

CGROUPS: Final = "/sys/fs/cgroup"
OWN: Final = "/proc/self/cgroup"
DIGITS: Final = 20
"""What a number of the kernel's has at most."""


def read(path: str) -> str | None:
    """A file's text, or None."""
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return None


def usable_cores(read: Callable[[str], str | None] = read, allowed: int = 0) -> int:
    """Cores, at least 1. `allowed` are those to run on; 0: as the kernel says."""
    allowed = allowed or len(os.sched_getaffinity(0))
    return max(1, min([allowed, *map(int, quotas(read))]))


def quotas(read: Callable[[str], str | None]) -> Iterator[float]:
    """Every quota above us, in cores."""
    for line in (read(OWN) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            for folder in _upwards(CGROUPS, path):
                yield from _cores((read(f"{folder}/cpu.max") or "").split())
        elif "cpu" in controllers.split(","):
            for folder in _upwards(f"{CGROUPS}/{controllers}", path):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                yield from _cores([(read(f"{folder}/{name}") or "").strip() for name in names])


def _upwards(top: str, path: str) -> Iterator[str]:
    """The folder at `path` in `top`, and all above it. In a container the path may be the
    host's, and only `top` is there."""
    for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
        yield f"{top}/{str(folder).strip('/')}".rstrip("/")


def _cores(numbers: list[str]) -> Iterator[float]:
    """A quota and its period, both in microseconds, as cores; `max` and -1 are no quota."""
    if len(numbers) == 2 and all(one.isascii() and one.isdigit() for one in numbers):
        quota, period = (int(one[:DIGITS]) for one in numbers)
        if period:
            yield quota / period
