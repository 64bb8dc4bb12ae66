"""The way into Redis: messages are collected for a turn and published in batches, in order.

Rules. One flush is under way at a time, so the messages of a room keep their order; what is
submitted meanwhile is the next flush. A flush is one round trip: a pipeline of a few script calls.
Where partitions are different servers', in a Cluster, each has flushes of its
own, so that those whose server is away hold up no others. Every message gets exactly one outcome: a
Receipt, or Unpublished with the seconds after which trying again may help, if it may.

A refused message stays refused: each call carries a deadline by its server's own clock, after
which the script does nothing. So a call that timed out here cannot publish later, unless its answer
was lost after it was done; the message id of a second try then finds the first.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from chat.bus.breaker import Breaker, Circuit
from chat.bus.connect import LimitedError, RefusedError, ReusedError, StoreError
from chat.bus.names import new_epoch
from chat.bus.store import Outgoing, Receipt, Store
from chat.tasks import begin

log = logging.getLogger(__name__)

MAX_BATCH: Final = 500
"""Messages per flush: about 10 ms of Redis' one thread."""
MAX_QUEUED: Final = 20_000
"""Messages waiting in a lane; more are refused at once."""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """The message was not published; trying again may help after `retry_after` seconds, or never.

    reason  "unavailable", "overloaded", "too late"; "id_reused": its id was given to another; or
            which of the room's limits: "slow_mode", "repeated", "room_busy"
    """

    retry_after: float | None
    reason: str


Outcome = Receipt | Unpublished
Tag = TypeVar("Tag")


Done = Callable[[Sequence[tuple[Tag, Outcome]]], None]
Whose = Callable[[Sequence[Tag]], dict[str, str]]


class Publisher(Generic[Tag]):
    """Batches for one process.

    done   called with (tag, outcome) pairs once per flush; tags are what `submit` was given
    clock  seconds, monotonic; wall_ms milliseconds since 1970
    tried  called once per flush with the seconds it took
    whose  what a line of the log about messages of these tags is about, as `shard.logids` names it
    """

    def __init__(
        self,
        store: Store,
        done: Done[Tag],
        timeout_s: float,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        tried: Callable[[float], None] = lambda seconds: None,
        whose: Whose[Tag] = lambda tags: {},
    ) -> None:
        self._lanes: defaultdict[int, _Lane[Tag]] = defaultdict(
            lambda: _Lane(store, done, timeout_s, clock, wall_ms, tried, whose)
        )
        self._lane_of = store.lane

    @property
    def closed_lanes(self) -> int:
        """Lanes whose breaker lets nothing through."""
        lanes = self._lanes.values()
        return len([lane for lane in lanes if lane.breaker.state is not Circuit.CLOSED])

    def submit(self, message: Outgoing, tag: Tag) -> None:
        """Queue a message for the next flush; `done` will name `tag`."""
        self._lanes[self._lane_of(message.room)].submit(message, tag)

    async def close(self) -> None:
        """Wait for what is queued."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))


class _Lane(Generic[Tag]):
    """What goes one way: one flush after the other, under one circuit breaker."""

    def __init__(
        self,
        store: Store,
        done: Done[Tag],
        timeout_s: float,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        tried: Callable[[float], None],
        whose: Whose[Tag],
    ) -> None:
        self.breaker = Breaker()
        self._store = store
        self._done = done
        self._timeout_s = timeout_s
        self._clock = clock
        self._wall_ms = wall_ms
        self._tried = tried
        self._whose = whose
        self._queue: list[tuple[Outgoing, Tag]] = []
        self._flushing: asyncio.Task[None] | None = None

    def submit(self, message: Outgoing, tag: Tag) -> None:
        now = self._clock()
        if not self._queue and self._flushing is None:
            if not self.breaker.allows(now):
                self._refuse([(message, tag)], self.breaker.retry_after(now), "unavailable")
                return
        elif len(self._queue) >= MAX_QUEUED:
            self._refuse([(message, tag)], 1.0, "overloaded")
            return
        self._queue.append((message, tag))
        if self._flushing is None:
            self._flushing = begin(self._flush_all())

    async def close(self) -> None:
        if self._flushing is not None:
            await self._flushing

    async def _flush_all(self) -> None:
        """Flush until the queue is empty."""
        try:
            while self._queue:
                batch = self._queue[:MAX_BATCH]
                del self._queue[:MAX_BATCH]
                await self._flush(batch)
                now = self._clock()
                if self._queue and not self.breaker.allows(now):
                    waiting, self._queue = self._queue, []
                    self._refuse(waiting, self.breaker.retry_after(now), "unavailable")
        finally:
            self._flushing = None

    async def _flush(self, batch: list[tuple[Outgoing, Tag]]) -> None:
        began = self._clock()
        outcomes = await self._publish(batch)
        self._tried(self._clock() - began)
        self._tell([(tag, outcome) for (_, tag), outcome in zip(batch, outcomes, strict=True)])

    async def _publish(self, batch: Sequence[tuple[Outgoing, Tag]]) -> Sequence[Outcome]:
        messages, tags = [message for message, _ in batch], [tag for _, tag in batch]
        try:
            found = await self._store.publish(
                messages, new_epoch(), self._wall_ms(), self._timeout_s
            )
        except Exception as error:
            # Also what is a fault of ours: every message gets an outcome, the breaker a verdict.
            return [self._failed(error, tags)] * len(tags)
        errors = [one for one in found if isinstance(one, StoreError)]
        if len(errors) == len(found) and not any(isinstance(one, RefusedError) for one in errors):
            return [self._failed(errors[0], tags)] * len(tags)
        self.breaker.succeeded()
        failed = [(tag, one) for tag, one in zip(tags, found, strict=True) if _is_trouble(one)]
        if failed:
            self._say(failed[0][1], [tag for tag, _ in failed])
        return [one if isinstance(one, Receipt) else _refused(one) for one in found]

    def _failed(self, error: Exception, tags: Sequence[Tag]) -> Unpublished:
        now = self._clock()
        self.breaker.failed(now)
        self._say(error, tags, None if isinstance(error, StoreError) else error)
        return Unpublished(max(0.5, self.breaker.retry_after(now)), "unavailable")

    def _say(self, error: object, tags: Sequence[Tag], ours: Exception | None = None) -> None:
        about = self._whose(tags)
        log.warning("%d messages not published: %s", len(tags), error, exc_info=ours, extra=about)

    def _refuse(self, items: list[tuple[Outgoing, Tag]], after: float, reason: str) -> None:
        self._tell([(tag, Unpublished(after, reason)) for _, tag in items])

    def _tell(self, results: list[tuple[Tag, Outcome]]) -> None:
        try:
            self._done(results)
        except Exception:
            log.exception("%d outcomes were not told", len(results))


def _is_trouble(outcome: Receipt | StoreError | None) -> bool:
    """Whether it is to be said: what its sender did, or a limit, is not."""
    return isinstance(outcome, StoreError) and not isinstance(outcome, ReusedError | LimitedError)


def _refused(error: StoreError | None) -> Unpublished:
    if isinstance(error, ReusedError):
        return Unpublished(None, "id_reused")
    if isinstance(error, LimitedError):
        return Unpublished(error.wait_s, error.limit)
    return Unpublished(0.5, "too late" if error is None else "unavailable")
