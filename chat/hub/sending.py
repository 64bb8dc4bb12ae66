"""Between the gate and the publisher: asking others whether a message may be said.

    gate -> (no stages: `direct`) ---------------> publisher
         -> the turn's batch -> stage -> stage -> publisher, or an error

Rules. Without stages there is nothing here to do, and nothing is done. With them the messages of a
turn are a batch. Several batches are under way at once, but never two with messages of the same
connection, so each connection's keep their order. Every message gets one answer: it goes on to the
publisher, which has its own, or it is refused. How many wait is bounded, and for how long.

Danger: a connection may be over when its message has passed. It was said, so it is published;
nobody is told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from chat.bus.entries import Said, pack
from chat.bus.publisher import Publisher
from chat.bus.store import Outgoing
from chat.counters import ChatCount
from chat.hub.acks import Sender
from chat.policy.gate import Attempt, Refusal, Verdict
from chat.tasks import Tasks
from chat.wire.schema import ErrorCode
from pool.handle import Handle

log = logging.getLogger(__name__)

MAX_BATCH: Final = 200
"""Messages that are asked about together: some 50 KB of a request to a moderation service."""
UNDER_WAY: Final = 8
"""Batches at once: of a service that takes 100 ms, 16,000 messages a second."""
MAX_WAITING: Final = 10_000
"""Messages of a shard that are asked about, or are to be; one more is refused."""
WAIT_S: Final = 5.0
"""How long a message may wait until its batch begins."""
STAGE_S: Final = 10.0
"""How long a stage may take: each has a budget of its own, and this is for who does not keep it."""
CLOSE_S: Final = 2.0
"""How long the end waits for what is under way."""

BUSY: Final = Refusal(ErrorCode.UNAVAILABLE, "too many messages wait to be checked; try again", 1.0)
UNCHECKED: Final = Refusal(
    ErrorCode.UNAVAILABLE, "the message could not be checked; send it again", 1.0
)

Stage = Callable[[Sequence[Attempt]], Awaitable[Sequence[Verdict]]]
"""Asks about a batch: a verdict for each attempt. It may change what an attempt says, and counts
what it refuses."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A message that is asked about, or is to be, since when."""

    attempt: Attempt
    said: Said
    outgoing: Outgoing
    sender: Sender
    since: float

    def result(self) -> Outgoing:
        """What is to be published; its id stands for what the client sent."""
        now = self.attempt
        said = structs.replace(
            self.said,
            text=now.text,
            color=now.color,
            mode=now.mode,
            size=now.size,
            shadowed=now.shadowed,
        )
        if said == self.said:
            return self.outgoing
        return structs.replace(self.outgoing, entry=pack(said), asked=self.outgoing.entry)


class Sending:
    """The messages of one shard's viewers.

    refused  tells senders why their messages are not published
    stages   are asked in this order; those that one refuses the next ones do not see
    clock    seconds, monotonic

    direct   without stages, what takes a message instead of `submit`
    """

    def __init__(
        self,
        publisher: Publisher[Sender],
        refused: Callable[[Sequence[tuple[Sender, Refusal]]], None],
        stages: Sequence[Stage],
        counts: "memoryview[int]",
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._refused = refused
        self._stages = tuple(stages)
        self.direct = None if stages else publisher.submit
        self._counts = counts
        self._clock = clock
        self._next: list[_Waiting] = []
        self._behind: dict[Handle, list[_Waiting]] = {}
        self._under_way: list[list[_Waiting]] = []
        self._waiting = 0
        self._launching = False
        self._tasks = Tasks("messages")
        self._through = asyncio.Event()
        self._closed = False

    def submit(self, attempt: Attempt, said: Said, outgoing: Outgoing, sender: Sender) -> None:
        """A message has passed the gate: `attempt` as it was looked at, `said` as `outgoing` has it
        packed."""
        if self._waiting >= MAX_WAITING or self._closed:
            self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
            self._refused([(sender, BUSY)])
            return
        attempt.color, attempt.mode, attempt.size = said.color, said.mode, said.size
        attempt.id = outgoing.message_id or ""
        self._waiting += 1
        waiting = _Waiting(attempt, said, outgoing, sender, self._clock())
        if sender.handle in self._behind:
            self._behind[sender.handle].append(waiting)
        else:
            self._next.append(waiting)
            self._launch_soon()

    async def close(self) -> None:
        """Wait for what is under way, for a moment; what is not through by then is refused."""
        if self._waiting:
            self._through.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._through.wait()
        self._closed = True
        await self._tasks.stop()
        for batch in list(self._under_way):  # which had not even begun
            self._refuse(batch, UNCHECKED)
            self._finish(batch)
        self._refuse(self._next, UNCHECKED)
        self._waiting -= len(self._next)
        self._next = []

    # --- batches -------------------------------------------------------------------------------

    def _launch_soon(self) -> None:
        if not self._launching:
            self._launching = True
            asyncio.get_running_loop().call_soon(self._launch)

    def _launch(self) -> None:
        """The turn is over: batches begin, as far as there may be more."""
        self._launching = False
        while self._next and len(self._under_way) < UNDER_WAY and not self._closed:
            batch, rest = self._next[:MAX_BATCH], self._next[MAX_BATCH:]
            self._behind |= {one.sender.handle: [] for one in batch}
            self._next = [one for one in rest if one.sender.handle not in self._behind]
            for one in rest:
                if one.sender.handle in self._behind:
                    self._behind[one.sender.handle].append(one)
            self._under_way.append(batch)
            self._tasks.spawn(self._pass(batch))

    async def _pass(self, batch: list[_Waiting]) -> None:
        """A batch goes through all stages; who is left goes on to the publisher."""
        standing = self._in_time(batch)
        try:
            for stage in self._stages:
                if standing:
                    standing = self._judged(standing, await self._ask(stage, standing))
            for one in standing:
                self._publisher.submit(one.result(), one.sender)
        except asyncio.CancelledError:
            self._refuse(standing, UNCHECKED)
            raise
        finally:
            self._finish(batch)

    def _in_time(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Those that have not waited too long."""
        oldest = self._clock() - WAIT_S
        late = [one for one in batch if one.since < oldest]
        if not late:
            return batch
        self._refuse(late, BUSY)
        return [one for one in batch if one.since >= oldest]

    async def _ask(self, stage: Stage, batch: list[_Waiting]) -> Sequence[Verdict]:
        """A verdict for each, whatever becomes of the stage."""
        try:
            async with asyncio.timeout(STAGE_S):
                verdicts = await stage([one.attempt for one in batch])
            if len(verdicts) == len(batch):
                return verdicts
            log.error("%d verdicts on %d messages", len(verdicts), len(batch))
        except Exception:
            log.exception("%d messages could not be checked", len(batch))
        self._counts[ChatCount.REFUSED_UNAVAILABLE] += len(batch)
        return [UNCHECKED] * len(batch)

    def _judged(self, batch: list[_Waiting], verdicts: Sequence[Verdict]) -> list[_Waiting]:
        """Those that pass; the others are told."""
        both = list(zip(batch, verdicts, strict=True))
        refused = [(one.sender, verdict) for one, verdict in both if verdict is not None]
        if refused:
            self._refused(refused)
        return [one for one, verdict in both if verdict is None]

    def _refuse(self, left: Sequence[_Waiting], refusal: Refusal) -> None:
        if left:
            self._counts[ChatCount.REFUSED_UNAVAILABLE] += len(left)
            self._refused([(one.sender, refusal) for one in left])

    def _finish(self, batch: list[_Waiting]) -> None:
        """A batch is through: what the same connections have said since is next."""
        for one in batch:
            self._next += self._behind.pop(one.sender.handle, ())
        self._under_way.remove(batch)
        self._waiting -= len(batch)
        if not self._waiting:
            self._through.set()
        if self._next:
            self._launch_soon()
