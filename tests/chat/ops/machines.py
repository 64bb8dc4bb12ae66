"""Machines made up for the doctor, and what it finds on them; none is the one tests run on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from chat.config.sections import Config
from chat.ops.busserver import BusServer
from chat.ops.doctor import diagnose
from chat.ops.findings import Finding
from chat.ops.machine import Machine
from shard.listen import RESERVED_DESCRIPTORS

PROC: dict[str, str | None] = {
    "/proc/sys/fs/file-nr": "1024\t0\t2000000\n",
    "/proc/sys/net/core/somaxconn": "4096\n",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog": "4096\n",
    "/proc/sys/net/ipv4/tcp_syncookies": "1\n",
    "/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "/proc/sys/vm/overcommit_memory": "1\n",
    "/proc/sys/fs/epoll/max_user_watches": "5491511\n",
    "/proc/sys/net/core/wmem_max": "212992\n",
    "/proc/sys/net/ipv4/tcp_mem": "287901\t383868\t575802\n",
    "/proc/sys/net/netfilter/nf_conntrack_count": "12\n",
    "/proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
    "/proc/meminfo": "MemTotal: 9999999 kB\nMemAvailable:    8000000 kB\n",
    "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/swap file 2097148 0 -2\n",
    "/proc/1/comm": "systemd\n",
    "/proc/self/status": "Name:\tpython\nSeccomp:\t0\nSeccomp_filters:\t0\n",
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/memory.max": "max\n",
    "/sys/fs/cgroup/pids.max": "38434\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
}
"""The files of a machine, or a container, on which all is well."""
VALKEY = BusServer(name="Valkey 9.1.2", version=(7, 2), latency_ms=0.08)
HEALTHY = Machine(
    python=(3, 12, 1),
    system="Linux",
    kernel="6.1.0-18-amd64",
    cores=4,
    files=(1024, 20_000 + RESERVED_DESCRIPTORS),
    read=PROC.get,
    has=lambda what: True,
    bus=lambda url, timeout_s: VALKEY,
    bind=lambda host, port: None,
    writable=lambda directory: True,
    ring=lambda: None,
    synchronised=lambda: True,
    clock_offset=lambda: 1.8e9,
)
SECRET = "correct-horse-battery-staple-0123456789"


def configured(**sections: dict[str, Any]) -> Config:
    """The defaults with some keys replaced; with a secret, so that all is well."""
    changes = {
        section: msgspec.structs.replace(getattr(Config(), section), **keys)
        for section, keys in ({"auth": {"secret": SECRET}} | sections).items()
    }
    return msgspec.structs.replace(Config(), **changes)


def machine(**changes: Any) -> Machine:
    return dataclasses.replace(HEALTHY, **changes)


def with_proc(**changes: str | None) -> Machine:
    """A machine on which the files of these names hold something else, or cannot be read."""
    files = {path: changes.get(path.rpartition("/")[2], text) for path, text in PROC.items()}
    return machine(read=files.get)


def with_files(changes: Mapping[str, str | None], **more: Any) -> Machine:
    """Likewise by their whole paths; a file may be new, too."""
    return machine(read={**PROC, **changes}.get, **more)


def finding(name: str, on: Machine = HEALTHY, **sections: dict[str, Any]) -> Finding:
    (found,) = [one for one in diagnose(configured(**sections), on) if one.name == name]
    return found


def names(on: Machine = HEALTHY, **sections: dict[str, Any]) -> list[str]:
    return [one.name for one in diagnose(configured(**sections), on)]
