"""The bus as the doctor sees it: what answers at its URL, and how it is set up.

Rules. It only looks: nothing is written, and what may not be asked (ACL) counts as well set up. Of
several masters the worst value is told. Redis' errors are the caller's to catch.
"""

import statistics
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat.config.busurl import BusUrl, Kind, parse

PINGS = 5
SLOTS = 16384
MOST_MASTERS = 16
"""So many of a Cluster's are asked."""


class BusServer(msgspec.Struct, frozen=True):
    """A Redis or Valkey that answered, or all masters of a Cluster as one."""

    name: str  # "Valkey 9.1.2"
    version: tuple[int, ...]  # of Redis, as which Valkey counts too
    latency_ms: float  # of a PING, the median of several
    maxmemory: int = 0  # bytes; 0: no limit
    policy: str = "noeviction"
    kind: Kind = "single"
    role: str = "master"
    clustered: bool = False  # runs in cluster mode
    persistence: str = ""  # "append-only file", "snapshots", or "" for none
    masters: int = 1
    replicas: int = 0
    lag_s: int = 0  # since a replica was last heard of
    slots: int = SLOTS  # of a Cluster, covered
    sentinels: tuple[int, int] = (0, 0)  # that know the master, of all
    ahead_s: float = 0.0  # its clock, of ours


def look(url: str, timeout_s: float) -> BusServer:
    """What is at a URL. Raises what redis-py raises, OSError, and BadUrl, a ValueError."""
    parts = parse(url)
    match parts.kind:
        case "single":
            return _one(parts.single, timeout_s)
        case "sentinel":
            return _by_sentinels(parts, timeout_s)
        case "cluster":
            return _cluster(parts, timeout_s)


def _client(url: str, timeout_s: float) -> Any:
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),  # a server that needs a second try is what we are looking for
    )


def _one(url: str, timeout_s: float) -> BusServer:
    with _client(url, timeout_s) as client:
        client.ping()  # the first one pays for the connection
        facts: dict[str, Any] = {}
        for section in ("server", "memory", "replication", "persistence", "cluster"):
            facts |= client.info(section)
        return BusServer(
            name=_name(facts),
            version=tuple(int(part) for part in str(facts["redis_version"]).split(".")[:2]),
            latency_ms=statistics.median(_timed_ping(client) for _ in range(PINGS)),
            maxmemory=int(facts.get("maxmemory", 0)),
            policy=str(facts.get("maxmemory_policy", "noeviction")),
            role=str(facts.get("role", "master")).replace("slave", "replica"),
            clustered=bool(facts.get("cluster_enabled")),
            persistence=_persistence(client, facts),
            replicas=int(facts.get("connected_slaves", 0)),
            lag_s=max((int(one.get("lag", 0)) for one in _replicas(facts)), default=0),
            ahead_s=_ahead(client),
        )


def _by_sentinels(parts: BusUrl, timeout_s: float) -> BusServer:
    named: list[tuple[Any, int]] = []
    problem = ""
    for sentinel in parts.hosts:
        try:
            with _client(parts.sentinel_at(*sentinel), timeout_s) as client:
                address = client.sentinel_get_master_addr_by_name(parts.master)
        except (redis.RedisError, OSError) as error:
            problem = str(error)
        else:
            problem = ""
            named += [address] if address else []
    if not named:
        raise redis.RedisError(problem or "no Sentinel knows a master of this name")
    host, port = max(named, key=named.count)
    name = host.decode() if isinstance(host, bytes) else str(host)
    server = _one(parts.at(name, int(port)), timeout_s)
    known = (named.count((host, port)), len(parts.hosts))
    return msgspec.structs.replace(server, kind="sentinel", sentinels=known)


def _cluster(parts: BusUrl, timeout_s: float) -> BusServer:
    problem: Exception = redis.RedisError("nobody has a slot")
    for asked, port in parts.hosts:
        try:
            with _client(parts.at(asked, port), timeout_s) as client:
                ranges: list[Any] = client.execute_command("CLUSTER", "SLOTS")
        except (redis.RedisError, OSError) as error:
            problem = error
            continue
        if ranges:
            slots = sum(last - first + 1 for first, last, *_ in ranges)
            owners = sorted({(host or b"", port) for _, _, (host, port, *_), *_ in ranges})
            masters = [(host.decode() or asked, port) for host, port in owners]
            urls = [parts.at(*address) for address in masters[:MOST_MASTERS]]
            worst = _worst([_one(url, timeout_s) for url in urls])
            return msgspec.structs.replace(
                worst, kind="cluster", masters=len(masters), slots=slots, clustered=True
            )
    raise problem


def _worst(servers: list[BusServer]) -> BusServer:
    limits = [server.maxmemory for server in servers if server.maxmemory]
    evicting = [server.policy for server in servers if server.policy != "noeviction"]
    lasting = [server.persistence for server in servers]
    oldest = min(servers, key=lambda server: server.version)
    return msgspec.structs.replace(
        oldest,
        latency_ms=max(server.latency_ms for server in servers),
        maxmemory=min(limits, default=0),
        policy=evicting[0] if evicting else "noeviction",
        persistence=lasting[0] if all(lasting) else "",
        replicas=sum(server.replicas for server in servers),
        lag_s=max(server.lag_s for server in servers),
        ahead_s=max((server.ahead_s for server in servers), key=abs),
    )


def _replicas(facts: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (found for name, found in facts.items() if _is_replica(name, found))


def _is_replica(name: str, found: Any) -> bool:
    return name.startswith("slave") and name[5:].isdigit() and isinstance(found, dict)


def _persistence(client: Any, facts: dict[str, Any]) -> str:
    if facts.get("aof_enabled"):
        return "append-only file"
    try:
        return "snapshots" if client.config_get("save").get("save") else ""
    except redis.ResponseError:  # not everybody may ask
        return "unknown"


def _name(facts: dict[str, Any]) -> str:
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts['redis_version']}"


def _ahead(client: Any) -> float:
    """How far its clock is before ours, as if it answered in the middle of the question."""
    began = time.time()
    try:
        seconds, micros = client.time()
    except redis.ResponseError:  # not everybody may ask
        return 0.0
    return float(seconds + micros / 1e6 - (began + time.time()) / 2)


def _timed_ping(client: Any) -> float:
    began = time.perf_counter()
    client.ping()
    return (time.perf_counter() - began) * 1000
