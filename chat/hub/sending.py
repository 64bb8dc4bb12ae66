"""Between the gate and the publisher: asking others whether a message may be said.

    gate -> (no stages: `direct`) -> publisher
         -> stage -> stage --------> publisher, or an error

Rules. Without stages there is nothing here to do, and nothing is done. A stage is asked about the
messages of a turn in batches, of one or of many. Several of its batches are under way at once, but
never two with messages of the same connection, so each connection's keep their order. Every message
gets one answer: it goes on to the publisher, which has its own, or it is refused. How many wait is
bounded, and for how long.

Danger: a connection may be over when its message has passed. It was said, so it is published;
nobody is told.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
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

UNDER_WAY: Final = 8
"""Batches of many at once: 200 each, of a service that takes 100 ms, are 16,000 a second."""
ONE_BY_ONE: Final = 256
"""Batches of one at once."""
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


class _Lane:
    """The messages that a stage is asked about, or is to be.

    lines      of each connection that has any here, those not in a batch yet
    ready      connections with a line and none in a batch, in turn
    under_way  batches
    """

    def __init__(self, stage: Stage, batch: int) -> None:
        self.stage = stage
        self.lines: dict[Handle, list[_Waiting]] = {}
        self.ready: deque[Handle] = deque()
        self.under_way: list[list[_Waiting]] = []
        self.launching = False
        self._batch = batch
        self._most = UNDER_WAY if batch > 1 else ONE_BY_ONE

    def put(self, one: _Waiting) -> None:
        """A message comes."""
        handle = one.sender.handle
        if handle in self.lines:
            self.lines[handle].append(one)
        else:
            self.lines[handle] = [one]
            self.ready.append(handle)

    def take(self) -> Iterator[list[_Waiting]]:
        """The batches that may begin now."""
        while self.ready and len(self.under_way) < self._most:
            batch: list[_Waiting] = []
            while self.ready and len(batch) < self._batch:
                handle = self.ready.popleft()
                line, most = self.lines[handle], self._batch - len(batch)
                batch += line[:most]
                self.lines[handle] = line[most:]
            self.under_way.append(batch)
            yield batch

    def finish(self, batch: list[_Waiting]) -> None:
        """A batch is through: what the same connections have said since is next."""
        self.under_way.remove(batch)
        for handle in dict.fromkeys(one.sender.handle for one in batch):
            if self.lines[handle]:
                self.ready.append(handle)
            else:
                del self.lines[handle]

    def clear(self) -> list[_Waiting]:
        """Nobody is asked any more: all that is still here."""
        left = [one for batch in self.under_way for one in batch]
        left += [one for line in self.lines.values() for one in line]
        self.lines.clear()
        self.ready.clear()
        self.under_way.clear()
        return left


class Sending:
    """The messages of one shard's viewers.

    refused  tells senders why their messages are not published
    stages   are asked in this order, each about so many at once at most; those that one refuses the
             next ones do not see
    clock    seconds, monotonic
    idle     whether the first stage is not to be asked until `wake`

    direct   without stages that are asked, what takes a message instead of `submit`
    """

    def __init__(
        self,
        publisher: Publisher[Sender],
        refused: Callable[[Sequence[tuple[Sender, Refusal]]], None],
        stages: Sequence[tuple[Stage, int]],
        counts: "memoryview[int]",
        clock: Callable[[], float],
        idle: bool = False,
    ) -> None:
        self._first = int(idle)
        self.direct = None if stages[self._first :] else publisher.submit
        self._publisher = publisher
        self._refused = refused
        self._lanes = [_Lane(stage, batch) for stage, batch in stages]
        self._counts = counts
        self._clock = clock
        self._waiting = 0
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
        self._enter(self._first, [_Waiting(attempt, said, outgoing, sender, self._clock())])

    def wake(self) -> None:
        """The first stage is asked from now on. Not the other way round: who is in it might be
        overtaken by what the same connection says next."""
        self._first, self.direct = 0, None

    async def close(self) -> None:
        """Wait for what is under way, for a moment; what is not through by then is refused."""
        if self._waiting:
            self._through.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._through.wait()
        self._closed = True
        await self._tasks.stop()
        for lane in self._lanes:
            self._refuse(lane.clear(), UNCHECKED)

    # --- batches -------------------------------------------------------------------------------

    def _enter(self, number: int, messages: Sequence[_Waiting]) -> None:
        """Messages come to a stage, or behind the last of them."""
        if number == len(self._lanes):
            self._answered(len(messages))
            for one in messages:
                self._publisher.submit(one.result(), one.sender)
            return
        for one in messages:
            self._lanes[number].put(one)
        self._launch_soon(number)

    def _launch_soon(self, number: int) -> None:
        lane = self._lanes[number]
        if lane.ready and not lane.launching:
            lane.launching = True
            asyncio.get_running_loop().call_soon(self._launch, number)

    def _launch(self, number: int) -> None:
        """The turn is over: batches begin, as far as there may be more."""
        lane = self._lanes[number]
        lane.launching = False
        if not self._closed:
            for batch in lane.take():
                self._tasks.spawn(self._pass(number, batch))

    async def _pass(self, number: int, batch: list[_Waiting]) -> None:
        """A stage is asked about a batch; whom it lets through goes on."""
        lane = self._lanes[number]
        left = self._in_time(batch)
        try:
            if left:
                passed = self._judged(left, await self._ask(lane.stage, left))
                self._enter(number + 1, passed)
        except asyncio.CancelledError:
            self._refuse(left, UNCHECKED)
            raise
        finally:
            lane.finish(batch)
            self._launch_soon(number)

    def _in_time(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Those that have not waited too long."""
        oldest = self._clock() - WAIT_S
        late = [one for one in batch if one.since < oldest]
        self._refuse(late, BUSY)
        return [one for one in batch if one.since >= oldest] if late else batch

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
            self._answered(len(refused))
        return [one for one, verdict in both if verdict is None]

    def _refuse(self, left: Sequence[_Waiting], refusal: Refusal) -> None:
        if left:
            self._counts[ChatCount.REFUSED_UNAVAILABLE] += len(left)
            self._refused([(one.sender, refusal) for one in left])
            self._answered(len(left))

    def _answered(self, messages: int) -> None:
        self._waiting -= messages
        if not self._waiting:
            self._through.set()
