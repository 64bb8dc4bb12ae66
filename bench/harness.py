"""What every measurement stands on: cores, CPU clocks, memory, rounds and medians.

Rule: the only file that reads /proc or pins a process. It knows processes, not workloads.
Rule: absolute times on a shared machine drift by a third between runs, so `interleave` runs all
sides of a comparison inside each round, and what is quoted is the median of per-round figures.
Danger: a process's CPU clock is a kernel convention (`process_clock`); utime and stime in
/proc/<pid>/stat count whole ticks of 10 ms, far too coarse for one flush.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SERVER_CORE = 0
CLIENT_CORE = 1
KTHREADD = 2


class Unavailable(Exception):
    """This machine or this checkout cannot run the workload; the message says why."""


def pin(pid: int, *cores: int) -> None:
    """Keep every thread of `pid` on these cores (0 is this process). One core: nothing to do."""
    there = {core for core in cores if core < (os.cpu_count() or 1)}
    if not there:
        return
    tasks = Path(f"/proc/{pid or os.getpid()}/task")
    for task in [int(entry.name) for entry in tasks.iterdir()]:
        os.sched_setaffinity(task, there)


def process_clock(pid: int) -> int:
    """The clock id of another process's CPU time: what clock_getcpuclockid(3) would return."""
    return (~pid << 3) | 2


def cpu_ns(pid: int) -> int:
    """CPU nanoseconds, user and system, all threads, that `pid` has used since it began."""
    return time.clock_gettime_ns(process_clock(pid))


def settle(*pids: int, quiet_s: float = 0.3, timeout_s: float = 20.0) -> None:
    """Wait until each of `pids` has nothing left to do: under 3 % of a core for `quiet_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        before = [cpu_ns(pid) for pid in pids]
        time.sleep(quiet_s)
        spent = [cpu_ns(pid) - ns for pid, ns in zip(pids, before, strict=True)]
        if max(spent, default=0) < 0.03 * quiet_s * 1e9:
            return
    raise RuntimeError(f"processes {pids} did not become idle within {timeout_s:.0f} s")


def children_of(pid: int) -> list[int]:
    """Every living descendant of `pid`, nearest first."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children_of(child)]
    return found


def memory_bytes(pid: int) -> dict[str, int]:
    """`Pss`, `Rss`, `Private_Dirty` … of the whole process, in bytes."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    pairs = (row.split() for row in rows)
    return {name.rstrip(":"): int(kib) * 1024 for name, kib, *_ in pairs}


@dataclass(frozen=True)
class Reading:
    """CPU and wall time of two processes between two moments."""

    wall_ns: int
    server_ns: int
    client_ns: int

    @property
    def server_busy(self) -> float:
        return self.server_ns / self.wall_ns

    @property
    def client_busy(self) -> float:
        return self.client_ns / self.wall_ns


class Stopwatch:
    """Reads a server's and a client's CPU clocks around a stretch of work.

    What the kernel does for the server later, in ksoftirqd, is the server's.
    """

    def __init__(self, server: int, client: int) -> None:
        self._clocks = (time.CLOCK_MONOTONIC, process_clock(server), process_clock(client))
        self._began = self._now()

    def _now(self) -> list[int]:
        wall, server, client = map(time.clock_gettime_ns, self._clocks)
        return [wall, server + deferred_ns(), client]

    def read(self) -> Reading:
        now = self._now()
        return Reading(*(after - before for before, after in zip(self._began, now, strict=True)))


Figures = dict[str, float]


class Usage:
    """Shares of a core that named groups of processes use, and how busy both cores are in all.

    The cores' own figures have ticks of 10 ms, and count strangers too: who else is there shows.
    """

    def __init__(self, **groups: Sequence[int]) -> None:
        self._groups = groups
        self._began = self._now()

    def _now(self) -> Figures:
        cores = {"server_core": SERVER_CORE, "client_core": CLIENT_CORE}
        return {
            "wall_ns": float(time.monotonic_ns()),
            **{f"{name}_ns": sum(map(cpu_ns, pids)) for name, pids in self._groups.items()},
            **{f"{name}_ns": core_ns(core) for name, core in cores.items()},
            "deferred_ns": deferred_ns(),
        }

    def read(self) -> Figures:
        """`wall_s`, and for each group and core `NAME_ns` and `NAME_busy`."""
        spent = {key: now - self._began[key] for key, now in self._now().items()}
        wall = spent.pop("wall_ns")
        shares = {key.replace("_ns", "_busy"): ns / wall for key, ns in spent.items()}
        return {"wall_s": wall / 1e9, **spent, **shares}


def deferred_ns(*cores: int) -> int:
    """CPU of the kernel thread to which the server's core defers network work, where it is seen.

    Or these cores' threads, for a server that has several. Long system calls have ksoftirqd receive
    what they send, on no process's clock. It works for whoever sends, so whoever's cost is measured
    on that core is charged for it.
    """
    pids = [_ksoftirqd(core) for core in cores or (SERVER_CORE,)]
    return sum(cpu_ns(pid) for pid in pids if pid)


@cache
def _ksoftirqd(core: int) -> int | None:
    name = f"ksoftirqd/{core}"
    threads = children_of(KTHREADD)
    return next((p for p in threads if Path(f"/proc/{p}/comm").read_text().strip() == name), None)


def core_ns(core: int) -> float:
    """Nanoseconds that `core` has not been idle since the machine started."""
    for row in Path("/proc/stat").read_text().splitlines():
        name, *ticks = row.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, ticks)
            return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK") * 1e9
    return 0.0


def interleave(
    sides: Mapping[str, Callable[[], Figures]], rounds: int, key: str = "us"
) -> dict[str, Figures]:
    """Run every side once per round; the median of each figure, by side.

    The first side is the floor: `ratio` is `key` against the floor's in the same round, and
    `ratio_low`, `ratio_high` its extremes. The order turns by one each round, so no side always
    follows the same other one. A side that once has no figures is left out.
    """
    names = list(sides)
    seen: dict[str, list[Figures]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        taken = {name: sides[name]() for name in names[shift:] + names[:shift]}
        for name, figures in taken.items():
            if figures:
                seen[name].append(figures | {"ratio": figures[key] / taken[names[0]][key]})
    there = {name: figures for name, figures in seen.items() if len(figures) == rounds}
    return {name: medians(figures) | _extremes(figures) for name, figures in there.items()}


def medians(figures: list[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in figures) for key in figures[0]}


def _extremes(figures: list[Figures]) -> Figures:
    ratios = [one["ratio"] for one in figures]
    return {"ratio_low": min(ratios), "ratio_high": max(ratios)}
