"""What is wrong with this machine for this configuration, and what to do about it.

Lives here: one check for each thing that goes wrong in practice. A check takes the configuration
and the machine and returns findings; it reads nothing itself (`machine.py` does), so every verdict
can be tested without having such a machine. Must not: decide whether a configuration is
well-formed, `chat.config` has refused those before; or print, that is `findings.py`'s.
The one danger: a finding is pasted into bug reports. No secret, and no URL with a password.
"""

import errno
import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from chat.config.sections import Config, public_url
from chat.ops.doctor_bus import check_bus
from chat.ops.findings import Finding, Level, count
from chat.ops.machine import Machine, this_machine
from chat.ops.rundir import places
from shard.listen import MOST_ROWS, RESERVED_DESCRIPTORS, authority

OLDEST_PYTHON = (3, 11)
OLDEST_KERNEL = (4, 5)  # EPOLLEXCLUSIVE; SO_REUSEPORT is older
FEW_CONNECTIONS = 4000
RAISE_FILES = "raise the hard limit (ulimit -Hn, or LimitNOFILE= in systemd)"
LISTEN_DROP = "a burst of connections beyond it waits a second or more for a SYN to be repeated"
SHORT_KEY_CHARS = 16


def diagnose(config: Config, machine: Machine | None = None) -> list[Finding]:
    """Every check, in a fixed order. Takes as long as the bus takes to answer, or its timeout."""
    machine = machine or this_machine()
    return [finding for check in CHECKS for finding in check(config, machine)]


def _python(config: Config, machine: Machine) -> Iterator[Finding]:
    version = ".".join(map(str, machine.python))
    if machine.python[:2] < OLDEST_PYTHON:
        yield Finding("python", "fail", version, "Python 3.11 is the oldest that works")
    else:
        yield Finding("python", "ok", version)


def _kernel(config: Config, machine: Machine) -> Iterator[Finding]:
    detail = f"{machine.system} {machine.kernel}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", machine.kernel)[:2])
    if machine.system != "Linux":
        yield Finding("kernel", "fail", detail, "the server needs epoll: run it on Linux")
    elif numbers < OLDEST_KERNEL:
        yield Finding("kernel", "fail", detail, "Linux 4.5 is the oldest that works")
    else:
        yield Finding("kernel", "ok", detail)


def _open_files(config: Config, machine: Machine) -> Iterator[Finding]:
    soft, hard = machine.files
    shards, wanted, room = _shards(config, machine), config.limits.connections, _room(machine)
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
        yield Finding("open files", "fail", detail, advice)
    elif not wanted and room < FEW_CONNECTIONS:
        yield Finding("open files", "warn" if room else "fail", detail, RAISE_FILES)
    else:
        yield Finding("open files", "ok", detail)


def _all_files(config: Config, machine: Machine) -> Iterator[Finding]:
    numbers = _numbers(machine, "/proc/sys/fs/file-nr")
    if len(numbers) < 3:
        return
    used, _, limit = numbers[:3]
    wanted = (config.limits.connections or _room(machine)) * _shards(config, machine)
    detail = f"{used:,} of {limit:,} in use, {wanted:,} more at full load"
    if used + wanted > limit:
        yield Finding("fs.file-max", "warn", detail, f"sysctl -w fs.file-max={used + 2 * wanted}")
    else:
        yield Finding("fs.file-max", "ok", detail)


def _accept_backlog(config: Config, machine: Machine) -> Iterator[Finding]:
    wanted = config.server.accept_backlog
    for limit in _numbers(machine, "/proc/sys/net/core/somaxconn")[:1]:
        if limit < wanted:
            advice = f"sysctl -w net.core.somaxconn={wanted}; {LISTEN_DROP}"
            detail = f"{limit:,} cuts server.accept_backlog = {wanted:,}"
            yield Finding("somaxconn", "warn", detail, advice)
        else:
            yield Finding("somaxconn", "ok", f"{limit:,}; server.accept_backlog is {wanted:,}")
    cookies = _numbers(machine, "/proc/sys/net/ipv4/tcp_syncookies")
    for limit in _numbers(machine, "/proc/sys/net/ipv4/tcp_max_syn_backlog")[:1]:
        # With SYN cookies (the kernel's default) this limit refuses nobody: tcp_conn_request()
        # looks at it only without them.
        if limit < wanted and cookies == [0]:
            advice = f"sysctl -w net.ipv4.tcp_max_syn_backlog={wanted}; {LISTEN_DROP}"
            yield Finding("tcp_max_syn_backlog", "warn", f"{limit:,}, no SYN cookies", advice)
        else:
            kind = "no SYN cookies" if cookies == [0] else "SYN cookies take over beyond it"
            yield Finding("tcp_max_syn_backlog", "ok", f"{limit:,}; {kind}")


def _local_ports(config: Config, machine: Machine) -> Iterator[Finding]:
    ports = _numbers(machine, "/proc/sys/net/ipv4/ip_local_port_range")
    if len(ports) < 2:
        return
    first, last = ports[:2]
    caught = [p for p in (config.server.port, config.api.port) if first <= p <= last]
    detail = (
        f"{first}-{last}: {last - first + 1:,} connections from one address to one listener, "
        "which binds a proxy or a load test on this machine"
    )
    if caught:
        advice = (
            f"port {caught[0]} lies within: an outgoing connection may hold it at a restart; add "
            "it to net.ipv4.ip_local_reserved_ports, or take another"
        )
        yield Finding("ip_local_port_range", "warn", detail, advice)
    else:
        yield Finding("ip_local_port_range", "ok", detail)


def _modules(config: Config, machine: Machine) -> Iterator[Finding]:
    for name, what, level, loss in MODULES:
        if machine.has(what):
            yield Finding(name, "ok", "present")
        else:
            package = what.partition(".")[0].partition(":")[0]
            advice = f"{loss}; pip install --force-reinstall {package}"
            yield Finding(name, level, "missing", advice)


def _fan_out(config: Config, machine: Machine) -> Iterator[Finding]:
    disabled = _numbers(machine, "/proc/sys/kernel/io_uring_disabled")
    if not machine.has("shard.ring:Ring"):
        advice = (
            "a delivery costs a tenth less through io_uring: install a C compiler and Python's "
            "headers (apt install gcc python3-dev), then install danmaku again"
        )
        yield Finding("fan-out", "warn", "by os.write: shard/ring.c was not built", advice)
    elif disabled and disabled[0]:
        advice = "sysctl -w kernel.io_uring_disabled=0; a delivery then costs a tenth less"
        yield Finding("fan-out", "warn", "by os.write: the kernel refuses io_uring", advice)
    else:
        yield Finding("fan-out", "ok", "by io_uring")


MODULES: list[tuple[str, str, Level, str]] = [
    ("uvloop", "uvloop", "fail", "the shards run on it"),
    (
        "websockets.speedups",
        "websockets.speedups:apply_mask",
        "warn",
        "every message from a client is unmasked in Python instead of C",
    ),
    ("hiredis", "hiredis", "warn", "every reply of the bus is parsed in Python instead of C"),
]


def _data_dir(config: Config, machine: Machine) -> Iterator[Finding]:
    data_dir = config.bus.data_dir
    if not data_dir:
        return
    if not machine.writable(data_dir):
        advice = "make it writable for the user the server runs as"
        yield Finding("bus.data_dir", "fail", f"{data_dir} is not writable", advice)
    elif _numbers(machine, "/proc/sys/vm/overcommit_memory") == [0]:
        advice = (
            "sysctl -w vm.overcommit_memory=1, or rewriting the append-only file may fail when "
            "half of the memory is in use"
        )
        yield Finding("bus.data_dir", "warn", f"{data_dir}; vm.overcommit_memory is 0", advice)
    else:
        yield Finding("bus.data_dir", "ok", data_dir)


def _run_dir(config: Config, machine: Machine) -> Iterator[Finding]:
    configured = config.node.run_dir
    found = [Path(configured)] if configured else list(places(config.server.port))
    for path in found:
        if machine.writable(str(path if configured else path.parent)):
            yield Finding("node.run_dir", "ok", str(path))
            return
    advice = "set it to a directory that can be written to, a small tmpfs will do"
    yield Finding("node.run_dir", "fail", f"not writable: {', '.join(map(str, found))}", advice)


def _ports(config: Config, machine: Machine) -> Iterator[Finding]:
    for name, host, port in (
        ("server.port", config.server.host, config.server.port),
        ("api.port", config.api.host, config.api.port),
    ):
        error = machine.bind(host, port)
        where = authority(host, port)
        if error is None:
            yield Finding(name, "ok", f"{where} is free")
        elif error.errno == errno.EADDRINUSE:
            advice = f"fine if it is this server, running; else see ss -ltnp 'sport = :{port}'"
            yield Finding(name, "warn", f"{where} is in use", advice)
        else:
            advice = (
                "take a port from 1024 up, or give the service CAP_NET_BIND_SERVICE"
                if error.errno in (errno.EACCES, errno.EPERM)
                else f"set {name.replace('port', 'host')} to an address of this machine"
            )
            yield Finding(name, "fail", f"{where}: {error.strerror or error}", advice)


def _addresses(config: Config, machine: Machine) -> Iterator[Finding]:
    limit, source = config.limits.connections_per_address, config.server.client_address
    if not limit:
        return
    name, shards = "limits.connections_per_address", count(_shards(config, machine), "shard")
    detail = f"{limit:,} on each of {shards}, by the address of: {source}"
    if source == "connection" and _is_loopback(config.server.host):
        advice = (
            "only a proxy on this machine can connect, so its address is every viewer's; set "
            'server.client_address to what it sends, "proxy-protocol" or "x-forwarded-for"'
        )
        yield Finding(name, "warn", detail, advice)
    else:
        yield Finding(name, "ok", detail)


def _tokens(config: Config, machine: Machine) -> Iterator[Finding]:
    guests = {"type": "may type", "read": "may only read", "refuse": "are refused"}
    policy = f"guests {guests[config.auth.guests]}"
    keys = [name for name in ("secret", "public_keys") if getattr(config.auth, name)]
    if keys:
        yield Finding("auth.secret", "ok", f"{' and '.join(keys)} set; {policy}")
    elif config.auth.guests == "type":
        advice = (
            "fine for a trial; in public set DANMAKU_AUTH_SECRET (openssl rand -base64 32) and "
            'auth.guests = "read"'
        )
        yield Finding("auth.secret", "warn", f"not set: everyone is a guest, and {policy}", advice)
    else:
        yield Finding("auth.secret", "ok", f"not set: everyone is a guest, and {policy}")


def _api_key(config: Config, machine: Machine) -> Iterator[Finding]:
    key, host = config.api.key, config.api.host
    if config.api.keys:  # none of them is short: those are refused
        names = ", ".join(one.name for one in config.api.keys)
        yield Finding("api.keys", "ok", f"set: {names}")
        if not key:
            return
    if not key and _is_loopback(host):
        yield Finding("api.key", "ok", "not set: only this machine is served")
    elif not key:
        advice = f"set DANMAKU_API_KEY, or there is no use in listening on {host}"
        yield Finding("api.key", "warn", "not set: only this machine is served", advice)
    elif len(key) < SHORT_KEY_CHARS:
        advice = "who guesses it speaks in every room; take 32 random characters"
        yield Finding("api.key", "warn", f"set, but shorter than {SHORT_KEY_CHARS}", advice)
    else:
        yield Finding("api.key", "ok", "set")


def _webhooks(config: Config, machine: Machine) -> Iterator[Finding]:
    webhooks = config.webhooks
    if not webhooks.url:
        return
    detail = f"{public_url(webhooks.url)} is told of: {', '.join(webhooks.events)}"
    if webhooks.secret:
        yield Finding("webhooks", "ok", detail)
    else:
        advice = (
            "anybody who finds the URL can pass for this server: set DANMAKU_WEBHOOKS_SECRET "
            "(openssl rand -base64 32), and have the receiver check the signature"
        )
        yield Finding("webhooks", "warn", f"{detail}; without webhooks.secret", advice)


Check = Callable[[Config, Machine], Iterator[Finding]]
CHECKS: list[Check] = [
    *(_python, _kernel, _open_files, _all_files, _accept_backlog, _local_ports, _modules, _fan_out),
    *(check_bus, _data_dir, _run_dir, _ports, _addresses, _tokens, _api_key),
    _webhooks,
]


def _shards(config: Config, machine: Machine) -> int:
    return config.server.shards or machine.cores


def _room(machine: Machine) -> int:
    """Connections one shard may hold, having raised its limit of open files."""
    hard = machine.files[1]
    return max(0, (MOST_ROWS if hard < 0 else min(hard, MOST_ROWS)) - RESERVED_DESCRIPTORS)


def _numbers(machine: Machine, path: str) -> list[int]:
    """The numbers of a file under /proc; none where it cannot be read."""
    return [int(number) for number in (machine.read(path) or "").split() if number.isdecimal()]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
