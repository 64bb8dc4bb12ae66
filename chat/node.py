"""A node: the configuration becomes processes. Engine, shards and API, under one supervisor.

Rules. Everything that can fail for a reason a person can mend (a port in use, no engine) is tried
here, before the fork, and told in one sentence. What is made here is inherited: the listeners, the
scoreboard, and all that was imported.
"""

import asyncio
import errno
import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from functools import partial

from chat.api import server as api
from chat.api.metrics import API_FIELDS
from chat.bus.connect import StoreError
from chat.bus.names import new_shard
from chat.bus.publisher import Publisher
from chat.bus.reader import Reader
from chat.bus.store import Store, open_store
from chat.config.sections import Config, public_url
from chat.counters import FIELDS, ChatCount, clear_gauges
from chat.hub.acks import Acks
from chat.hub.hub import Hub
from chat.hub.notices import Notices
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.ops.buscheck import Unusable, check_bus
from chat.ops.engine import EmbeddedEngine, EngineError
from chat.ops.rundir import RunDirError, open_run_dir
from chat.policy.gate import CommandRate, Gate, membership, rights, text
from chat.policy.guestkeys import GuestKeys
from chat.rooms.members import Members
from chat.rooms.resume import Resume
from chat.rooms.rooms import Rooms
from chat.tasks import Tasks
from chat.wire.variants import Variants
from pool.scoreboard import Scoreboard
from shard import process
from shard.connections import Connections
from shard.listen import RESERVED_DESCRIPTORS, authority, listen, raise_descriptor_limit
from shard.settings import Settings
from shard.supervisor import Supervisor, Worker

log = logging.getLogger(__name__)

FIRST_S = 1.0
"""How long a start waits for the secret of guests' keys; without it guests are new ones."""
DRAIN_MARGIN_S = 3.0
"""Seconds for closing handshakes, beyond which connections are cut."""


class CannotServe(Exception):
    """The node cannot start; what is in its way, and what to do."""


def serve(config: Config) -> int:
    """Run a node until it is told to end; the exit status."""
    with ExitStack() as left_behind:
        try:
            supervisor, say_up = prepare(config, left_behind)
        except (CannotServe, RunDirError, EngineError, Unusable) as problem:
            print(f"danmaku: {problem}", file=sys.stderr)
            return 1
        supervisor.run(say_up)
    return 0


def prepare(config: Config, left_behind: ExitStack) -> tuple[Supervisor, Callable[[], None]]:
    """All that can fail for a reason a person can mend; the node, and what says that it is up.

    Raises CannotServe, RunDirError, EngineError, Unusable.
    """
    count = config.server.shards or len(os.sched_getaffinity(0))
    rows = descriptors(count)
    listeners = open_listeners(config, count)
    [api_listener] = open_api_listener(config)
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

    board, own = Scoreboard(FIELDS, count), Scoreboard(API_FIELDS, 1)
    settings, node = shard_settings(config, rows), new_shard()
    workers = [
        Worker(
            f"shard {i}",
            partial(run_shard, config, url, listener, settings, board.row(i), f"{node}-{i}", rows),
            partial(clear_gauges, board.row(i)),
        )
        for i, listener in enumerate(listeners)
    ]
    ws_port = listeners[0].getsockname()[1]
    workers.append(Worker("api", partial(api.run, config, url, api_listener, board, own, ws_port)))
    supervisor = Supervisor(workers, engines, DRAIN_MARGIN_S + 5.0)
    api_port = api_listener.getsockname()[1]
    return supervisor, lambda: announce(config, count, ws_port, api_port, away)


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


def open_listeners(config: Config, count: int) -> list[socket.socket]:
    """A listener for each shard. Raises CannotServe."""
    server, buffer = config.server, config.limits.send_buffer_bytes
    try:
        return listen(
            *(server.host, server.port, count, server.accept_backlog, buffer),
            dead_after_s(config),
        )
    except OSError as error:
        raise CannotServe(cannot_listen(error, "server", server.port)) from None


def open_api_listener(config: Config) -> list[socket.socket]:
    """The API's listener. Raises CannotServe."""
    try:
        return listen(config.api.host, config.api.port, 1, 128, 1 << 18)
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
    """Say where to look; and once that the bus was `away`, as nothing else here would show it."""
    bus = public_url(config.bus.url)
    page = f"http://{reachable(config.api.host, api_port)}"
    print(
        f"Danmaku is up: {shards} shard{'s' if shards != 1 else ''}, bus {bus!r}\n"
        f"  watch and type   {page}/\n"
        f"  API and docs     {page}/docs\n"
        f"  WebSocket        ws://{reachable(config.server.host, ws_port)}{config.server.path}"
        "?room=lobby",
        flush=True,
    )
    if away:
        print(
            f"  the bus does not answer ({away}): viewers may come, and what they type is refused "
            "until it does",
            flush=True,
        )


def reachable(host: str, port: int) -> str:
    """Where a client on this machine reaches what listens on `host`."""
    return authority("127.0.0.1" if host in ("0.0.0.0", "::") else host, port)


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


def shard_settings(config: Config, rows: int) -> Settings:
    """The connection group's part of the configuration."""
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
        client_address=config.server.client_address,
        trusted_proxies=config.server.trusted_proxies,
        connections_per_address=limits.connections_per_address,
        terms=Variants(config.server).terms,
    )


def run_shard(
    config: Config,
    url: str,
    listener: socket.socket,
    settings: Settings,
    counts: "memoryview[int]",
    place: str,
    rows: int,
    serving: Callable[[], None],
) -> None:
    """In a shard's process: serve until SIGTERM. `place` is what all lives of this shard share."""
    counts[ChatCount.STARTS] += 1

    def build(connections: Connections) -> Shard:
        store = open_store(config, url)
        return Shard(connections, config, store, new_shard(), counts, rows, place)

    process.run(listener, settings, counts, rows, build, DRAIN_MARGIN_S, serving)


class Shard:
    """All that serves one shard's viewers, put together.

    name   unlike any other shard's, living or dead
    place  the same for all lives of this shard, and unlike any other's
    clock  seconds, monotonic; wall seconds since 1970
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        store: Store,
        name: str,
        counts: "memoryview[int]",
        rows: int,
        place: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()
        limits, bus = config.limits, config.bus
        variants = Variants(config.server)
        self._tasks = Tasks("shard")
        self._agreed = asyncio.Event()
        self._counts = counts
        self._store = store
        self._reader = Reader(
            store,
            name,
            bus.flush_interval_ms / 1000,
            bus.read_count,
            lambda: connections.fanning_out,
            counts,
        )
        members = Members(connections, rows)
        replies = Replies(connections, variants, members)
        self._guest_keys = GuestKeys(config.auth.secret)
        users = Users(connections, config.auth, name, wall, self._guest_keys)
        self.rooms = Rooms(
            *(store, self._reader, config.rooms, place, len(variants), counts, replies.to_room),
            limits,
        )
        self._resume = Resume(
            *(connections, self.rooms, members, store, limits, counts, chance),
            tell=replies.tell,
        )
        self._publisher = Publisher(
            store,
            Acks(connections, replies, self.rooms.acked, counts).published,
            bus.timeout_ms / 1000,
            clock,
            lambda: int(wall() * 1000),
        )
        self._notices = Notices(connections, users, replies, counts)
        gate = Gate(
            membership(members.named),
            rights(config.auth),
            text(limits),
        )
        self.handler = Hub(
            *(connections, config, variants, users, self.rooms, members, self._resume, replies),
            *(CommandRate(rows, limits, clock), gate, self._publisher, counts, wall),
            chance,
        )

    async def start(self) -> None:
        await self._reader.start(self.rooms.deliver, self._notices.deliver, self._resync)
        if self._counts[ChatCount.STARTS] > 1:
            self.rooms.inherit()
        self._tasks.spawn(self._agree())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._agreed.wait(), FIRST_S)

    async def _agree(self) -> None:
        """Try until guests have keys."""
        while not self._guest_keys.known:
            with suppress(StoreError):
                await self._guest_keys.agree(self._store)
                break
            await asyncio.sleep(FIRST_S)
        self._agreed.set()

    async def _resync(self, streams: Collection[str]) -> None:
        """Redis was away, and may have come back empty."""
        try:
            await self._guest_keys.agree(self._store)
        except StoreError:
            if not self._store.servers.apart:  # else the master that has it may be another one
                raise
        await self.rooms.resync(streams)

    def drain(self) -> None:
        self.handler.drain()
        self.rooms.drain()

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._publisher.close()
        await self._reader.stop()
        await self._notices.stop()
        await self._resume.stop()
        await self.rooms.stop()
        await self._store.close()
