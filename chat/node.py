"""A node: the configuration becomes processes. Engine, shards and API, under one supervisor.

Rules. Everything that can fail for a reason a person can mend (a port in use, no engine) is tried
here, before the fork, and told in one sentence. What is made here is inherited: the listeners, the
scoreboard, and all that was imported.
"""

import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from chat.api import server as api
from chat.bus.names import new_shard
from chat.bus.publisher import Publisher
from chat.bus.reader import Reader
from chat.bus.store import Store, open_store
from chat.config.sections import Config, public_url
from chat.counters import FIELDS
from chat.hub.acks import Acks
from chat.hub.hub import Hub
from chat.hub.notices import Notices
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.ops.engine import EmbeddedEngine, EngineError
from chat.policy.gate import CommandRate, Gate, membership, rights, text
from chat.rooms.members import Members
from chat.rooms.resume import Resume
from chat.rooms.rooms import Rooms
from chat.wire.variants import Variants
from pool.scoreboard import Scoreboard
from shard import process
from shard.connections import Connections
from shard.listen import RESERVED_DESCRIPTORS, listen, raise_descriptor_limit
from shard.settings import Settings
from shard.supervisor import Supervisor, Worker

log = logging.getLogger(__name__)

DRAIN_MARGIN_S = 3.0
"""Seconds for closing handshakes, beyond which connections are cut."""


def serve(config: Config) -> int:
    """Run a node until it is told to end; the exit status."""
    rows = raise_descriptor_limit()
    count = config.server.shards or len(os.sched_getaffinity(0))
    server, limits = config.server, config.limits
    try:
        listeners = listen(
            *(server.host, server.port, count, server.accept_backlog, limits.send_buffer_bytes),
            dead_after_s(config),
        )
        [api_listener] = listen(config.api.host, config.api.port, 1, 128, 1 << 18)
    except OSError as error:
        print(f"danmaku: cannot listen: {error}; is another node running?", file=sys.stderr)
        return 1
    engines: list[EmbeddedEngine] = []
    url = config.bus.url
    if url == "embedded":
        engine = EmbeddedEngine(config.bus.data_dir)
        try:
            engine.start()
        except EngineError as error:
            print(f"danmaku: {error}", file=sys.stderr)
            return 1
        engines.append(engine)
        url = engine.url

    board = Scoreboard(FIELDS, count)
    settings = shard_settings(config, rows)
    workers = [
        Worker(f"shard {i}", partial(run_shard, config, url, listener, settings, board, i, rows))
        for i, listener in enumerate(listeners)
    ]
    ws_port = listeners[0].getsockname()[1]
    workers.append(Worker("api", partial(api.run, config, url, api_listener, board, ws_port)))
    grace_s = DRAIN_MARGIN_S + 5.0
    Supervisor(workers, engines, grace_s).run(
        lambda: announce(config, count, ws_port, api_listener.getsockname()[1])
    )
    return 0


def dead_after_s(config: Config) -> int:
    """When a peer that acknowledges nothing is dead. Not before a slow reader is given up, because
    the kernel counts a full receive buffer, too."""
    heartbeat = config.heartbeat
    return max(heartbeat.ping_s + heartbeat.timeout_s, config.limits.stall_s + heartbeat.close_s)


def announce(config: Config, shards: int, ws_port: int, api_port: int) -> None:
    """Say where to look."""
    bus = public_url(config.bus.url)
    host = "127.0.0.1" if config.server.host in ("0.0.0.0", "::") else config.server.host
    print(
        f"Danmaku is up: {shards} shard{'s' if shards != 1 else ''}, bus {bus!r}\n"
        f"  watch and type   http://{config.api.host}:{api_port}/\n"
        f"  API and docs     http://{config.api.host}:{api_port}/docs\n"
        f"  WebSocket        ws://{host}:{ws_port}{config.server.path}?room=lobby",
        flush=True,
    )


def shard_settings(config: Config, rows: int) -> Settings:
    """The connection group's part of the configuration."""
    limits, heartbeat = config.limits, config.heartbeat
    return Settings(
        capacity=limits.connections or rows - RESERVED_DESCRIPTORS,
        handshake_bytes=limits.handshake_bytes,
        message_bytes=limits.message_bytes,
        backlog_soft_bytes=limits.backlog_soft_bytes,
        backlog_hard_bytes=limits.backlog_hard_bytes,
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
    board: Scoreboard,
    index: int,
    rows: int,
    serving: Callable[[], None],
) -> None:
    """In a shard's process: serve until SIGTERM."""
    counts = board.row(index)

    def build(connections: Connections) -> Shard:
        return Shard(connections, config, open_store(config, url), new_shard(), counts, rows)

    process.run(listener, settings, counts, rows, build, DRAIN_MARGIN_S, serving)


class Shard:
    """All that serves one shard's viewers, put together.

    name   unlike any other shard's, living or dead
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
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()
        limits, bus = config.limits, config.bus
        variants = Variants(config.server)
        self._counts = counts
        self._store = store
        self._reader = Reader(
            store,
            name,
            bus.flush_interval_ms / 1000,
            bus.read_count,
            lambda: connections.fanning_out,
        )
        members = Members(connections, rows)
        replies = Replies(connections, variants, members)
        users = Users(connections, config.auth, name, wall)
        self.rooms = Rooms(
            store, self._reader, config.rooms, name, len(variants), counts, replies.to_room
        )
        self._resume = Resume(
            *(connections, self.rooms, members, store, limits, counts, chance),
            tell=lambda fd, event: replies.send(fd, [event]),
        )
        self._publisher = Publisher(
            store,
            Acks(connections, replies, counts).published,
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
        await self._reader.start(self.rooms.deliver, self._notices.deliver, self.rooms.resync)

    def drain(self) -> None:
        self.handler.drain()

    async def stop(self) -> None:
        await self._publisher.close()
        await self._reader.stop()
        await self._resume.stop()
        await self.rooms.stop()
        await self._store.close()
