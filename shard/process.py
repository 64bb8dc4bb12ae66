"""A shard process: a uvloop loop that runs one connection group and one service.

Rules. The group's epoll descriptor is one reader of the loop (a nested epoll), so connections live
outside asyncio while Redis and timers live inside. Signals, the second's tick and the way down are
here; what the shard is for is the service's.
"""

import asyncio
import gc
import logging
import random
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

import uvloop

from pool.histogram import Histogram
from shard.accepting import Share
from shard.counters import LOOP_LAG_US, TURN_US
from shard.group import ConnectionGroup
from shard.handler import Service
from shard.levels import Levels
from shard.settings import Settings

log = logging.getLogger(__name__)

DRAIN_POLL_S: Final = 0.05


def run(
    listener: socket.socket,
    settings: Settings,
    counts: "memoryview[int]",
    rows: int,
    build: Callable[[ConnectionGroup], Service],
    close_s: float = 5.0,
    serving: Callable[[], None] = lambda: None,
    levels: Levels | None = None,
    shard: int = 0,
) -> None:
    """Serve until SIGTERM, then until the service has drained, and for at most `close_s` seconds
    more until all connections are closed. `serving` is called when the first connection can be
    answered. It is the `shard`th of `levels`, if others have the listener, too."""
    # Normal traffic makes no cycles (a test holds that), so looking for them is kept rare.
    gc.set_threshold(50_000, 20, 1_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            _serve(
                listener,
                settings,
                counts,
                rows,
                build,
                close_s,
                serving,
                levels or Levels(1),
                shard,
            )
        )


async def _serve(
    listener: socket.socket,
    settings: Settings,
    counts: "memoryview[int]",
    rows: int,
    build: Callable[[ConnectionGroup], Service],
    close_s: float,
    serving: Callable[[], None],
    levels: Levels,
    shard: int,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    group = ConnectionGroup(
        listener,
        settings,
        counts,
        wake=lambda: loop.call_soon(turn),
        chance=random.Random(),
        rows=rows,
        share=Share(levels, shard, loop.call_later),
    )
    turn = timed(group.turn, Histogram(TURN_US, counts))
    service = build(group)
    await service.start()
    group.start(service.handler, int(loop.time()))
    loop.add_reader(group.fileno(), turn)
    serving()
    ticking = loop.create_task(_tick(group, Histogram(LOOP_LAG_US, counts)))
    try:
        await stop.wait()
        group.turn_newcomers_away()
        await service.drain()
        await _drained(group, loop.time() + close_s)
    finally:
        ticking.cancel()
        loop.remove_reader(group.fileno())
        await service.stop()
        group.shut()


def timed(turn: Callable[[], None], lengths: Histogram) -> Callable[[], None]:
    """A turn that is measured, in microseconds."""
    clock, observe = time.perf_counter_ns, lengths.observe

    def timed_turn() -> None:  # hot: once a turn
        began = clock()
        turn()
        observe((clock() - began) // 1000)

    return timed_turn


async def _tick(group: ConnectionGroup, lags: Histogram) -> None:
    """Advance the group at every whole second of the loop's clock."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() // 1.0 + 1.0
        await asyncio.sleep(due - loop.time())
        lags.observe(int(1e6 * (loop.time() - due)))
        try:
            group.advance(int(loop.time() + 0.001))
        except Exception:
            log.exception("a tick failed")


async def _drained(group: ConnectionGroup, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    while group.connections and loop.time() < deadline:  # noqa: ASYNC110 - no event to await
        await asyncio.sleep(DRAIN_POLL_S)
