"""What of files and the network is too little for the viewers that the configuration allows.

Rules. As in `doctor.py`. All that is compared is at full load: every shard with as many viewers as
it may have. What cannot be read here, as a container cannot read the machine's, is left out.
"""

from collections.abc import Iterator
from typing import Final

from chat.config.sections import Config
from chat.ops.findings import Finding, count
from chat.ops.machine import Machine, is_loopback, shards_of
from shard.listen import RESERVED_DESCRIPTORS

FEW_CONNECTIONS: Final = 4000
RAISE_FILES: Final = "raise the hard limit (ulimit -Hn, or LimitNOFILE= in systemd)"
LISTEN_DROP: Final = (
    "a burst of connections beyond it waits a second or more for a SYN to be repeated"
)
PAGE_BYTES: Final = 4096
SENT_BYTES: Final = 2304
"""Of the kernel's for a short frame on its way: an estimate, an sk_buff and 2 KB of data."""


def check_open_files(config: Config, machine: Machine) -> Iterator[Finding]:
    soft, hard = machine.files
    shards, wanted, room = shards_of(config, machine), config.limits.connections, machine.room
    fits = min(room, wanted or room)
    detail = (
        f"{'no limit' if hard < 0 else format(hard, ',')} per process (to which the server raises "
        f"its {soft:,}): {fits:,} connections per shard, {fits * shards:,} on "
        f"{count(shards, 'shard')}"
    )
    if wanted > room:
        advice = (
            f"limits.connections = {wanted} needs {wanted + RESERVED_DESCRIPTORS} open files: "
            f"{RAISE_FILES}, or use more shards"
        )
        yield Finding("open files", "problem", detail, advice)
    elif not wanted and room < FEW_CONNECTIONS:
        yield Finding("open files", "note" if room else "problem", detail, RAISE_FILES)
    else:
        yield Finding("open files", "ok", detail)


def check_all_files(config: Config, machine: Machine) -> Iterator[Finding]:
    numbers = machine.numbers("/proc/sys/fs/file-nr")
    if len(numbers) < 3:
        return
    used, _, limit = numbers[:3]
    wanted = viewers(config, machine)
    detail = f"{used:,} of {limit:,} in use, {wanted:,} more at full load"
    if used + wanted > limit:
        yield Finding("fs.file-max", "note", detail, f"sysctl -w fs.file-max={used + 2 * wanted}")
    else:
        yield Finding("fs.file-max", "ok", detail)


def check_epoll(config: Config, machine: Machine) -> Iterator[Finding]:
    wanted = viewers(config, machine)
    for limit in machine.numbers("/proc/sys/fs/epoll/max_user_watches")[:1]:
        if limit < wanted:
            advice = f"sysctl -w fs.epoll.max_user_watches={2 * wanted}"
            detail = f"{limit:,} of one user, {wanted:,} at full load"
            yield Finding("max_user_watches", "note", detail, advice)
        else:
            yield Finding("max_user_watches", "ok", f"{limit:,}")


def check_accept_backlog(config: Config, machine: Machine) -> Iterator[Finding]:
    wanted = config.server.accept_backlog
    for limit in machine.numbers("/proc/sys/net/core/somaxconn")[:1]:
        if limit < wanted:
            advice = f"sysctl -w net.core.somaxconn={wanted}; {LISTEN_DROP}"
            detail = f"{limit:,} cuts server.accept_backlog = {wanted:,}"
            yield Finding("somaxconn", "note", detail, advice)
        else:
            yield Finding("somaxconn", "ok", f"{limit:,}; server.accept_backlog is {wanted:,}")
    cookies = machine.numbers("/proc/sys/net/ipv4/tcp_syncookies")
    for limit in machine.numbers("/proc/sys/net/ipv4/tcp_max_syn_backlog")[:1]:
        # With SYN cookies (the kernel's default) this limit refuses nobody: tcp_conn_request()
        # looks at it only without them.
        if limit < wanted and cookies == [0]:
            advice = f"sysctl -w net.ipv4.tcp_max_syn_backlog={wanted}; {LISTEN_DROP}"
            yield Finding("tcp_max_syn_backlog", "note", f"{limit:,}, no SYN cookies", advice)
        else:
            kind = "no SYN cookies" if cookies == [0] else "SYN cookies take over beyond it"
            yield Finding("tcp_max_syn_backlog", "ok", f"{limit:,}; {kind}")


def check_local_ports(config: Config, machine: Machine) -> Iterator[Finding]:
    ports = machine.numbers("/proc/sys/net/ipv4/ip_local_port_range")
    if len(ports) < 2:
        return
    first, last = ports[:2]
    caught = [p for p in (config.server.port, config.api.port) if first <= p <= last]
    detail = (
        f"{first}-{last}: {last - first + 1:,} connections from one address to one listener, "
        "which binds a proxy or a load test on this machine"
    )
    behind_proxy = is_loopback(config.server.host)
    wanted = viewers(config, machine)
    if caught:
        advice = (
            f"port {caught[0]} lies within: an outgoing connection may hold it at a restart; add "
            "it to net.ipv4.ip_local_reserved_ports, or take another"
        )
        yield Finding("ip_local_port_range", "note", detail, advice)
    elif behind_proxy and wanted > last - first + 1:
        advice = (
            f"only a proxy on this machine can connect, and {wanted:,} viewers need a port each: "
            'sysctl -w net.ipv4.ip_local_port_range="10240 65535", or name several addresses of '
            "the node in the proxy"
        )
        yield Finding("ip_local_port_range", "note", detail, advice)
    else:
        yield Finding("ip_local_port_range", "ok", detail)


def check_tcp_memory(config: Config, machine: Machine) -> Iterator[Finding]:
    wanted = viewers(config, machine) * SENT_BYTES
    pages = machine.numbers("/proc/sys/net/ipv4/tcp_mem")
    if len(pages) >= 3:
        limit = pages[2] * PAGE_BYTES
        detail = f"{limit / 1e9:.2g} GB for all sockets, {wanted / 1e9:.2g} GB in a fan-out"
        if limit < wanted:
            least = wanted // PAGE_BYTES + 1
            advice = f'sysctl -w net.ipv4.tcp_mem="{least} {2 * least} {3 * least}"'
            yield Finding("tcp_mem", "note", f"{detail} to everybody", advice)
        else:
            yield Finding("tcp_mem", "ok", f"{detail} to everybody")
    buffer = config.limits.send_buffer_bytes
    for most in machine.numbers("/proc/sys/net/core/wmem_max")[:1]:
        if most < buffer:
            advice = f"sysctl -w net.core.wmem_max={buffer}"
            detail = f"{most:,} cuts limits.send_buffer_bytes = {buffer:,}"
            yield Finding("wmem_max", "note", detail, advice)
        else:
            yield Finding("wmem_max", "ok", f"{most:,}; limits.send_buffer_bytes is {buffer:,}")


def check_conntrack(config: Config, machine: Machine) -> Iterator[Finding]:
    used, limit = (
        machine.numbers(f"/proc/sys/net/netfilter/nf_conntrack_{name}") for name in ("count", "max")
    )
    if not used or not limit:
        return
    wanted = used[0] + viewers(config, machine)
    detail = f"{used[0]:,} of {limit[0]:,} in use, {wanted:,} at full load"
    if limit[0] < wanted:
        advice = (
            f"sysctl -w net.netfilter.nf_conntrack_max={2 * wanted}, or exempt the viewers' port "
            "from tracking: a full table drops newcomers without a word"
        )
        yield Finding("conntrack", "note", detail, advice)
    else:
        yield Finding("conntrack", "ok", detail)


def viewers(config: Config, machine: Machine) -> int:
    """Of all shards, at full load."""
    return (config.limits.connections or machine.room) * shards_of(config, machine)
