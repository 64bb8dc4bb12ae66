"""How many cores this process may use: those it may run on, less what a quota takes away.

Rules. A quota is a cgroup's. A container sees the cores of the whole machine, and only this file
tells how many are its own.

A quota is rounded down: whoever has used it up stands still until the next period, a tenth of a
second, and a shard that stands still is late for all its viewers.
"""

import os
from collections.abc import Iterator

from chat.ops.cgroups import DIGITS, Read, folders, read


def usable_cores(read: Read = read, allowed: int = 0) -> int:
    """Cores, at least 1. `allowed` are those to run on; 0: as the kernel says."""
    allowed = allowed or len(os.sched_getaffinity(0))
    return max(1, min([allowed, *map(int, quotas(read))]))


def quotas(read: Read) -> Iterator[float]:
    """Every quota above us, in cores."""
    for version, folder in folders(read, "cpu"):
        if version == 2:
            yield from _cores((read(f"{folder}/cpu.max") or "").split())
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            yield from _cores([(read(f"{folder}/{name}") or "").strip() for name in names])


def _cores(numbers: list[str]) -> Iterator[float]:
    """A quota and its period, both in microseconds, as cores; `max` and -1 are no quota."""
    if len(numbers) == 2 and all(one.isascii() and one.isdigit() for one in numbers):
        quota, period = (int(one[:DIGITS]) for one in numbers)
        if period:
            yield quota / period
