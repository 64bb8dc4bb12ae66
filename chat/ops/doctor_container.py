"""What a container or a service has too little of: cores, memory, processes; and its process 1.

Rules. As in `doctor.py`. Limits are cgroups', of version 2 or 1, and hold as well for a service or
a whole machine. Sums are at full load, of measurements and estimates that are rounded up; none
is exact.
"""

from collections.abc import Iterator
from typing import Final

from chat.config.sections import Config
from chat.ops.cgroups import folders, least
from chat.ops.cores import quotas
from chat.ops.doctor_network import viewers
from chat.ops.findings import Finding, Level, count
from chat.ops.machine import Machine, shards_of

VIEWER_BYTES: Final = 4_300
"""An idle viewer: 4 KB of the kernel's, which count towards a limit, and a row of ours."""
PROCESS_BYTES: Final = 25_000_000
"""Of a process nobody is connected to, with its part of what is shared; 20 MB were measured."""
OTHERS: Final = 3
"""Processes beside the shards: supervisor, API, webhooks."""
THREADS: Final = 32
"""Threads and processes beside the shards: the others, the embedded engine's, those of hooks; an
estimate with room to spare."""
THROTTLED: Final = 0.01
SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "busybox"})


def check_cores(config: Config, machine: Machine) -> Iterator[Finding]:
    shards, cores = shards_of(config, machine), machine.cores
    quota = min(quotas(machine.read), default=None)
    detail = f"{count(cores, 'core')} for {count(shards, 'shard')}"
    if quota is not None:
        detail += f", by a quota of {quota:.3g}"
    if shards > cores:
        advice = (
            "shards that share a core are late for each other: fewer server.shards, or more cores"
        )
        yield Finding("cores", "note", detail, advice)
    elif quota is not None and quota < 1:
        advice = (
            "a shard stands still for the rest of a tenth of a second when it has used that up: "
            "give it a whole core"
        )
        yield Finding("cores", "note", detail, advice)
    elif (share := _throttled(machine)) > THROTTLED:
        advice = "reserve cores instead (a request in Kubernetes), or raise the quota"
        detail += f"; used up in {share:.0%} of all periods"
        yield Finding("cores", "note", detail, advice)
    else:
        yield Finding("cores", "ok", detail)


def _throttled(machine: Machine) -> float:
    """The share of a quota's periods at whose end somebody had to wait."""
    for _, folder in folders(machine.read, "cpu"):
        told = dict(
            line.split()[:2]
            for line in (machine.read(f"{folder}/cpu.stat") or "").splitlines()
            if len(line.split()) >= 2
        )
        periods, throttled = told.get("nr_periods", ""), told.get("nr_throttled", "")
        if periods.isdecimal() and throttled.isdecimal() and int(periods):
            return int(throttled) / int(periods)
    return 0.0


def check_memory(config: Config, machine: Machine) -> Iterator[Finding]:
    limit = machine.memory
    if not limit:
        return
    shards, most = shards_of(config, machine), viewers(config, machine)
    bare = PROCESS_BYTES * (shards + OTHERS)
    idle, backlogs = bare + most * VIEWER_BYTES, shards * config.limits.backlog_total_bytes
    detail = (
        f"{_gb(limit)}; {most:,} idle viewers on {count(shards, 'shard')} take {_gb(idle)}, "
        f"backlogs up to {_gb(backlogs)}"
    )
    level: Level = "ok"
    advice = ""
    if idle > limit:
        level = "problem" if config.limits.connections else "note"
        fits = max(0, limit - bare) // VIEWER_BYTES // shards
        advice = (
            f"give it more, or set limits.connections = {fits} or less: beyond its limit the "
            "kernel kills a shard"
        )
    elif idle + backlogs > limit:
        level = "note"
        advice = (
            "slow readers may take what is not there: give it more, or set "
            f"limits.backlog_total_bytes = {(limit - idle) // shards} or less"
        )
    yield Finding("memory", level, detail, advice)


def check_swap(config: Config, machine: Machine) -> Iterator[Finding]:
    lines = (machine.read("/proc/swaps") or "").splitlines()[1:]
    used = sum(
        int(one.split()[3]) for one in lines if one.split()[3:4] and one.split()[3].isdecimal()
    )
    if used:
        advice = (
            "a shard that is swapped out is late for all its viewers: give the machine more "
            "memory, or sysctl -w vm.swappiness=1"
        )
        yield Finding("swap", "note", f"{_gb(used * 1024)} in use", advice)
    elif lines:
        yield Finding("swap", "ok", "not in use")


def check_processes(config: Config, machine: Machine) -> Iterator[Finding]:
    wanted = shards_of(config, machine) + THREADS
    limit = least(machine.read, "pids", ("pids.max",), "pids.max")
    if limit is None:
        return
    if limit < wanted:
        advice = f"a process that cannot be started is tried again for ever: allow {2 * wanted}"
        detail = f"{limit:,} processes and threads, {wanted:,} are needed"
        yield Finding("pids.max", "problem", detail, advice)
    else:
        yield Finding("pids.max", "ok", f"{limit:,} processes and threads")


def check_first_process(config: Config, machine: Machine) -> Iterator[Finding]:
    name = (machine.read("/proc/1/comm") or "").strip()
    if name in SHELLS:
        advice = (
            "it passes no SIGTERM on, so viewers are cut off instead of told when to come back: "
            "begin the container's command with exec, or write it as a JSON array"
        )
        yield Finding("process 1", "note", f"a shell, {name}", advice)
    elif name:
        yield Finding("process 1", "ok", name)


def _gb(number: int) -> str:
    return f"{number / 1e9:.2g} GB" if number >= 1e8 else f"{number / 1e6:.0f} MB"
