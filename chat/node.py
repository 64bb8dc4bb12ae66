"""A node: the configuration becomes processes. Engine, shards and API, under one supervisor.

Rules. Everything that can fail for a reason a person can mend (a port in use, no engine) is tried
here, before the fork, and told in one sentence. What is made here is inherited: the listener, the
scoreboard, and all that was imported.
"""

import errno
import logging
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from chat.api import server as api
from chat.api.guard import is_loopback
from chat.bus import tracing
from chat.bus.names import new_shard
from chat.bus.store import open_store
from chat.config.live import Live
from chat.config.sections import Config, Server, public_url
from chat.counters import FIELDS, NODE_FIELDS, ChatCount, NodeCount, clear_gauges
from chat.hub.shard import Shard
from chat.ops import logs
from chat.ops.buscheck import Unusable, check_bus
from chat.ops.cores import usable_cores
from chat.ops.engine import EmbeddedEngine, EngineError
from chat.ops.reloading import Reloading, answer_with
from chat.ops.rundir import CONTROL, PASSED, RunDirError, open_run_dir
from chat.ops.servicemanager import READY, STOPPING, tell
from chat.policy.hooks import BadHooks
from chat.policy.outsiders import check_outsiders
from chat.wire.variants import Variants
from pool.scoreboard import Scoreboard
from shard import process
from shard.channel import Life
from shard.group import ConnectionGroup
from shard.levels import Levels
from shard.listen import (
    RESERVED_DESCRIPTORS,
    authority,
    listen,
    own_address,
    raise_descriptor_limit,
)
from shard.settings import Settings
from shard.supervisor import COMPANION_S, Supervisor, Worker

log = logging.getLogger(__name__)

FIRST_S = 1.0
"""How long a start waits for the secret of guests' keys, without which guests are new ones, and for
the rules of everywhere, without which nobody is banned."""
DRAIN_MARGIN_S = 3.0
"""Seconds for closing handshakes when all were let go, beyond which connections are cut."""
END_MARGIN_S = 5.0
"""Seconds for what a worker does before and after that, beyond which it is killed."""


class CannotServe(Exception):
    """The node cannot start; what is in its way, and what to do."""


def serve(config: Config, read: Callable[[], Config] | None = None, file: str = "") -> int:
    """Run a node until it is told to end; the exit status. A reload `read`s the configuration
    again, from what is called `file`."""
    logs.name("supervisor", f"{socket.gethostname()}:{config.server.port}")
    with ExitStack() as left_behind:
        try:
            supervisor, say_up = prepare(config, left_behind, read, file)
        except (CannotServe, RunDirError, EngineError, Unusable) as problem:
            if config.log.format == "json":
                log.critical("cannot start: %s", problem)
            else:
                print(f"danmaku: {problem}", file=sys.stderr)
            return 1
        log.info("starting, configured by %s", file or "the defaults")
        supervisor.run(say_up, partial(say_ending, config))
        log.info("the node has ended")
    return 0


def say_ending(config: Config, why: str) -> None:
    """The node begins to end. A service manager is told how long that may take, so that a long
    drain is not cut short by its own patience."""
    log.info("ending, because of %s", why)
    most_s = workers_end_s(config) + COMPANION_S + END_MARGIN_S
    tell(STOPPING, f"EXTEND_TIMEOUT_USEC={int(most_s * 1_000_000)}")


def workers_end_s(config: Config) -> float:
    """How long workers may take to end; a reload may have changed it."""
    return config.server.drain_s + DRAIN_MARGIN_S + END_MARGIN_S


def prepare(
    config: Config,
    left_behind: ExitStack,
    read: Callable[[], Config] | None = None,
    file: str = "",
) -> tuple[Supervisor, Callable[[], None]]:
    """All that can fail for a reason a person can mend; the node, and what says that it is up.

    Raises CannotServe, RunDirError, EngineError, Unusable.
    """
    live = Live(config, partial(logs.set_up, config.log))
    try:
        check_outsiders(config)
    except BadHooks as bad:
        raise CannotServe(f"rooms.hooks: {bad}") from None
    count = config.server.shards or usable_cores()
    rows = descriptors(count)
    listener = open_listener(config)
    api_listener = open_api_listener(config)
    run_dir = open_run_dir(config.node.run_dir, config.server.port)
    left_behind.callback(run_dir.close)
    engines, url, away = [], config.bus.url, ""
    if url == "embedded":
        engine = EmbeddedEngine(config.bus.data_dir, run_dir=run_dir)
        engine.start(loaded=False)
        engines.append(engine)
        url = engine.url
    else:
        away = check_bus(url, config.bus.timeout_ms / 1000)

    board, own = Scoreboard(FIELDS, count), Scoreboard(NODE_FIELDS, 1)
    levels = Levels(count)
    left_behind.callback(levels.close)
    passed = run_dir.path / PASSED
    settings, node = shard_settings(config, rows, passed), new_shard()
    run = partial(run_shard, live, url, listener, settings, rows, levels)
    workers = [
        Worker(
            f"shard {i}",
            partial(run, board.row(i), f"{node}-{i}", i),
            partial(forget_shard, board.row(i), levels, i),
        )
        for i in range(count)
    ]
    ws_port = listener.getsockname()[1]
    serve_api = partial(run_api, live, url, api_listener, board, own, ws_port, passed)
    workers.append(Worker("api", serve_api))
    if config.webhooks.url:
        import chat.workers.webhooks  # noqa: F401 - before the fork, as is all that is shared

        row = own.row(0)
        workers.append(
            Worker(
                "webhooks",
                partial(run_webhooks, live, url, row, node),
                partial(row.__setitem__, NodeCount.WEBHOOK_WAITING, 0),
            )
        )
    reloading = Reloading(live, read or (lambda: config), run_dir.path / CONTROL, file)
    supervisor = Supervisor(workers, engines, partial(workers_end_s, config), operator=reloading)
    api_port = api_listener.getsockname()[1]

    def say_up() -> None:
        announce(config, count, ws_port, api_port, away)
        reloading.up = True

    return supervisor, say_up


def descriptors(shards: int) -> int:
    """How many files a process may have open, the limit raised. Raises CannotServe."""
    limit = raise_descriptor_limit()
    least = RESERVED_DESCRIPTORS + shards + 1
    if limit < least:
        raise CannotServe(
            f"a process may have {limit} files open, and a shard of {shards} needs {least} to hold "
            "one viewer, and one more for each further: raise the hard limit (ulimit -n 4096, or "
            "LimitNOFILE= in systemd)"
        )
    return limit


def open_listener(config: Config) -> socket.socket:
    """The listener of all shards. Raises CannotServe."""
    server, buffer = config.server, config.limits.send_buffer_bytes
    try:
        return listen(server.host, server.port, server.accept_backlog, buffer, dead_after_s(config))
    except OSError as error:
        raise CannotServe(cannot_listen(error, "server", server.port)) from None


def open_api_listener(config: Config) -> socket.socket:
    """The API's listener. Raises CannotServe."""
    try:
        return listen(config.api.host, config.api.port, 128, 1 << 18)
    except OSError as error:
        raise CannotServe(cannot_listen(error, "api", config.api.port)) from None


def cannot_listen(error: OSError, section: str, port: int) -> str:
    """Why there is no listener, and what to do; `section` is where its address is configured."""
    advice = {
        errno.EADDRINUSE: f"is another node running? ss -ltnp 'sport = :{port}' tells who has it",
        errno.EACCES: "take a port from 1024 up, or give the service CAP_NET_BIND_SERVICE",
        errno.EMFILE: "raise the limit of open files (ulimit -n), or use fewer shards",
    }
    other = f"set {section}.host to an address of this machine"
    return f"cannot listen: {error.strerror}; {advice.get(error.errno or 0, other)}"


def dead_after_s(config: Config) -> int:
    """When a peer that acknowledges nothing is dead. Not before a slow reader is given up, because
    the kernel counts a full receive buffer, too."""
    heartbeat = config.heartbeat
    return max(heartbeat.ping_s + heartbeat.timeout_s, config.limits.stall_s + heartbeat.close_s)


def announce(config: Config, shards: int, ws_port: int, api_port: int, away: str = "") -> None:
    """Say where to look, and to the service manager that we are there; and once that the bus was
    `away`, as nothing else here would show it."""
    bus = public_url(config.bus.url)
    up = f"Danmaku is up: {shards} shard{'s' if shards != 1 else ''}, bus {bus!r}"
    here = reachable(config.server.host, ws_port)
    # Where the page's path is the WebSocket's, it is the API's only.
    page = here if config.server.path != "/" else reachable(config.api.host, api_port)
    places = {
        "watch and type": f"http://{page}/",
        "from elsewhere": elsewhere(config.server, ws_port),
        "console": f"http://{reachable(config.api.host, api_port)}/console",
        "API and docs": f"http://{reachable(config.api.host, api_port)}/docs",
        "WebSocket": f"ws://{here}{config.server.path}?room=lobby",
    }
    trouble = (
        f"the bus does not answer ({away}): viewers may come, and what they type is refused until "
        "it does"
    )
    if config.log.format == "json":
        log.info("%s; %s", up, "; ".join(f"{what}: {where}" for what, where in places.items()))
        if away:
            log.warning("%s", trouble)
    else:
        print(up, *(f"  {what:16} {where}" for what, where in places.items()), sep="\n", flush=True)
        if away:
            print(f"  {trouble}", flush=True)
    tell(READY, f"STATUS={shards} shards, bus {bus}{' (away)' if away else ''}")


def reachable(host: str, port: int) -> str:
    """Where a client on this machine reaches what listens on `host`."""
    return authority("127.0.0.1" if host in ("0.0.0.0", "::") else host, port)


def elsewhere(server: Server, port: int) -> str:
    """Where other machines find the page, or why they do not."""
    if server.public_url:
        return server.public_url.rstrip("/") + "/"
    if is_loopback(server.host):
        return f"nowhere: server.host is {server.host}, which only this machine reaches"
    if server.host not in ("0.0.0.0", "::"):
        return f"http://{authority(server.host, port)}/"
    own = own_address()
    return f"http://{authority(own or 'ADDRESS-OF-THIS-MACHINE', port)}/"


def capacity(wanted: int, rows: int) -> int:
    """Connections of one shard: as many as are wanted, if descriptors have room for so many."""
    room = rows - RESERVED_DESCRIPTORS
    if wanted > room:
        log.warning(
            "limits.connections is %d, but a limit of %d open files has room for %d in a shard: "
            "raise that (ulimit -Hn, or LimitNOFILE= in systemd) or use more shards",
            *(wanted, rows, room),
        )
    return min(wanted or room, room)


def shard_settings(config: Config, rows: int, passed: Path | None = None) -> Settings:
    """The connection group's part of the configuration; `passed` is where the API takes what is
    its own, if it does."""
    limits, heartbeat = config.limits, config.heartbeat
    return Settings(
        capacity=capacity(limits.connections, rows),
        handshake_bytes=limits.handshake_bytes,
        message_bytes=limits.message_bytes,
        controls_per_tick=limits.control_frames_per_s,
        backlog_soft_bytes=limits.backlog_soft_bytes,
        backlog_hard_bytes=limits.backlog_hard_bytes,
        backlog_total_bytes=limits.backlog_total_bytes,
        handshake_ticks=heartbeat.handshake_s,
        ping_ticks=heartbeat.ping_s,
        timeout_ticks=heartbeat.timeout_s,
        close_ticks=heartbeat.close_s,
        stall_ticks=limits.stall_s,
        trust_tcp=heartbeat.trust_tcp and config.server.client_address == "connection",
        client_address=config.server.client_address,
        trusted_proxies=config.server.trusted_proxies,
        connections_per_address=limits.connections_per_address,
        pass_to=str(passed or ""),
        terms=Variants(config.server).terms,
    )


def run_shard(
    live: Live,
    url: str,
    listener: socket.socket,
    settings: Settings,
    rows: int,
    levels: Levels,
    counts: "memoryview[int]",
    place: str,
    shard: int,
    life: Life,
) -> None:
    """In a shard's process: serve until SIGTERM. It is the `shard`th of `levels`; `place` is what
    all its lives share."""
    counts[ChatCount.STARTS] += 1
    config = live.config  # what a reload has changed meanwhile is in it
    name = new_shard()
    logs.name(f"shard {shard}", shard=name)
    settings = replace(settings, terms=Variants(config.server).terms)

    def build(group: ConnectionGroup) -> Shard:
        store = open_store(config, url)
        traces = tracing.set_up("shard")
        made = Shard(*(group, config, store, name, counts, rows, place), tracer=traces)
        live.owners += [lambda: group.allow_origins(config.server.origins), made.apply]
        life.channel.listen(answer_with(live))
        return made

    process.run(
        listener, settings, counts, rows, build, DRAIN_MARGIN_S, life.serving, levels, shard
    )


def run_api(
    live: Live,
    url: str,
    listener: socket.socket,
    board: Scoreboard,
    own: Scoreboard,
    ws_port: int,
    passed: Path,
    life: Life,
) -> None:
    """In the API's process: serve until SIGTERM."""

    logs.name("api")

    def serving() -> None:
        life.channel.listen(answer_with(live))
        life.serving()

    api.run(live.config, url, listener, board, own, ws_port, passed, serving, live.owners)


def run_webhooks(live: Live, url: str, counts: "memoryview[int]", name: str, life: Life) -> None:
    """In the webhooks' process: tell the service until SIGTERM."""
    from chat.workers import webhooks

    logs.name("webhooks")
    begun = partial(life.channel.listen, answer_with(live))
    webhooks.run(live.config, url, counts, name, life.serving, begun)


def forget_shard(counts: "memoryview[int]", levels: Levels, shard: int) -> None:
    """In the supervisor: a shard is dead. It has nobody, and others take who would be its own."""
    clear_gauges(counts)
    levels.vacate(shard, int(time.monotonic()))
