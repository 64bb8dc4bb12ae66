"""What is wrong with places, ports and keys: what may be written to, and who gets in.

Rules. As in `doctor.py`.
"""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chat.config.sections import Config, public_url
from chat.ops.findings import Finding, count
from chat.ops.machine import Machine, is_loopback, shards_of
from chat.ops.rundir import places
from shard.listen import authority

SHORT_KEY_CHARS: Final = 16


def check_data_dir(config: Config, machine: Machine) -> Iterator[Finding]:
    data_dir = config.bus.data_dir
    if not data_dir:
        return
    if not machine.writable(data_dir):
        advice = "make it writable for the user the server runs as"
        yield Finding("bus.data_dir", "problem", f"{data_dir} is not writable", advice)
    elif machine.numbers("/proc/sys/vm/overcommit_memory") == [0]:
        advice = (
            "sysctl -w vm.overcommit_memory=1, or rewriting the append-only file may fail when "
            "half of the memory is in use"
        )
        yield Finding("bus.data_dir", "note", f"{data_dir}; vm.overcommit_memory is 0", advice)
    else:
        yield Finding("bus.data_dir", "ok", data_dir)


def check_run_dir(config: Config, machine: Machine) -> Iterator[Finding]:
    configured = config.node.run_dir
    found = [Path(configured)] if configured else list(places(config.server.port))
    for path in found:
        if machine.writable(str(path if configured else path.parent)):
            yield Finding("node.run_dir", "ok", str(path))
            return
    advice = "set it to a directory that can be written to, a small tmpfs will do"
    yield Finding("node.run_dir", "problem", f"not writable: {', '.join(map(str, found))}", advice)


def check_ports(config: Config, machine: Machine) -> Iterator[Finding]:
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
            yield Finding(name, "note", f"{where} is in use", advice)
        else:
            advice = (
                "take a port from 1024 up, or give the service CAP_NET_BIND_SERVICE"
                if error.errno in (errno.EACCES, errno.EPERM)
                else f"set {name.replace('port', 'host')} to an address of this machine"
            )
            yield Finding(name, "problem", f"{where}: {error.strerror or error}", advice)


def check_addresses(config: Config, machine: Machine) -> Iterator[Finding]:
    limit, source = config.limits.connections_per_address, config.server.client_address
    if not limit:
        return
    name, shards = "limits.connections_per_address", count(shards_of(config, machine), "shard")
    detail = f"{limit:,} on each of {shards}, by the address of: {source}"
    if source == "connection" and is_loopback(config.server.host):
        advice = (
            "only a proxy on this machine can connect, so its address is every viewer's; set "
            'server.client_address to what it sends, "proxy-protocol" or "x-forwarded-for"'
        )
        yield Finding(name, "note", detail, advice)
    else:
        yield Finding(name, "ok", detail)


def check_tokens(config: Config, machine: Machine) -> Iterator[Finding]:
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
        yield Finding("auth.secret", "note", f"not set: everyone is a guest, and {policy}", advice)
    else:
        yield Finding("auth.secret", "ok", f"not set: everyone is a guest, and {policy}")


def check_api_key(config: Config, machine: Machine) -> Iterator[Finding]:
    key, host = config.api.key, config.api.host
    if config.api.keys:  # none of them is short: those are refused
        names = ", ".join(one.name for one in config.api.keys)
        yield Finding("api.keys", "ok", f"set: {names}")
        if not key:
            return
    if not key and is_loopback(host):
        yield Finding("api.key", "ok", "not set: only this machine is served")
    elif not key:
        advice = f"set DANMAKU_API_KEY, or there is no use in listening on {host}"
        yield Finding("api.key", "note", "not set: only this machine is served", advice)
    elif len(key) < SHORT_KEY_CHARS:
        advice = "who guesses it speaks in every room; take 32 random characters"
        yield Finding("api.key", "note", f"set, but shorter than {SHORT_KEY_CHARS}", advice)
    else:
        yield Finding("api.key", "ok", "set")


def check_webhooks(config: Config, machine: Machine) -> Iterator[Finding]:
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
        yield Finding("webhooks", "note", f"{detail}; without webhooks.secret", advice)
