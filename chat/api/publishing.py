"""The API's counter: takes messages for rooms and answers when they are published.

Rules. A request waits for its own messages only; whatever comes at the same time shares a flush.
Batches are bounded, and the next is taken when the last is published: that is the back-pressure a
streaming client feels.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chat.api.incoming import Unfinished
from chat.api.models import MessageIn, PublishedOut
from chat.bus.entries import Said, pack
from chat.bus.publisher import Outcome, Publisher, Unpublished
from chat.bus.store import Outgoing, Receipt, RoomLimits, Store
from chat.bus.tracing import Tracer
from chat.policy.limits import backend_limits
from chat.policy.rates import told_s
from chat.wire.schema import CHAT_PRIORITY, KIND_PRIORITY
from shard.logids import REQUEST

BATCH: Final = 500
NAMED: Final = 8
"""Requests that a line of the log about messages of more of them names."""


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


ANSWERS: Final = {
    "unavailable": (503, "unavailable", "the bus does not answer now; try again"),
    "ending": (503, "unavailable", "the server is about to end; try again"),
    "overloaded": (503, "unavailable", "more is published than the bus takes; try again"),
    "id_reused": (409, "id_reused", "an id was given to another message; give each its own"),
    "room_busy": (429, "room_busy", "more is said in the room than its messages_per_s; try again"),
}
"""What is answered when a message was not published, by the outcome's reason: status, code, words.
A reason that is not here is answered like the first."""


class NotPublished(Unfinished):
    """A message was refused by the bus; `accepted` had been published before."""

    def __init__(self, reason: str, retry_after: float | None = 1.0, accepted: int = 0) -> None:
        status, code, words = ANSWERS.get(reason, ANSWERS["unavailable"])
        super().__init__(words, accepted)
        self.status, self.code = status, code
        self.retry_after = None if retry_after is None else told_s(retry_after)


@dataclass(slots=True, eq=False)
class _Batch:
    """Messages of one request that wait for their outcomes."""

    left: int
    request: str = field(default_factory=REQUEST.get)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Publishing:
    """Publishing with an answer; `count` is told how many messages were published.
    `messages_per_s` is the limit of a room that sets none; `tracer` keeps spans where they are
    sent."""

    def __init__(
        self,
        store: Store,
        timeout_s: float,
        count: Callable[[int], None] = lambda published: None,
        messages_per_s: int = 0,
        tracer: Tracer | None = None,
    ) -> None:
        self._count = count
        self.messages_per_s = messages_per_s
        self._tracer = tracer
        loop = asyncio.get_running_loop()
        self._publisher: Publisher[tuple[_Batch, int]] = Publisher(
            *(store, self._done, timeout_s, loop.time, wall_ms), whose=_whose
        )

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._publisher.close()

    async def publish(self, rooms: Sequence[str], messages: Sequence[MessageIn]) -> list[Receipt]:
        """Publish all messages in each room, in order; where they ended up, room by room.

        Raises NotPublished.
        """
        outcomes = await self.publish_each(rooms, messages)
        receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        for outcome in outcomes:
            if isinstance(outcome, Unpublished):
                raise NotPublished(outcome.reason, outcome.retry_after, len(receipts))
        return receipts

    async def publish_each(
        self, rooms: Sequence[str], messages: Sequence[MessageIn]
    ) -> list[Outcome]:
        """Likewise, but those that are refused by themselves, for good or because their room is
        busy, stand in their places, and the others are published.

        Raises NotPublished.
        """
        entries = [(message, packed(message)) for message in messages]
        copies = [
            Outgoing(room, message.uid, entry, message.id, limits=self._limits(message))
            for room in rooms
            for message, entry in entries
        ]
        found: list[Outcome] = []
        placed = 0
        for start in range(0, len(copies), BATCH):
            try:
                outcomes = await self._publish(copies[start : start + BATCH])
            except asyncio.CancelledError:  # only ever because the process does not wait longer
                raise NotPublished("ending", accepted=placed) from None
            receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
            self._count(sum(not receipt.duplicate for receipt in receipts))
            placed += len(receipts)
            for outcome in outcomes:
                if isinstance(outcome, Unpublished) and not _is_its_own(outcome):
                    raise NotPublished(outcome.reason, outcome.retry_after, placed)
            found += outcomes
        return found

    def _limits(self, message: MessageIn) -> RoomLimits:
        return backend_limits(priority_of(message), self.messages_per_s)

    async def _publish(self, part: Sequence[Outgoing]) -> list[Outcome]:
        if self._tracer is None:
            return await self._submit(part)
        with self._tracer.publishing(len(part)) as span:
            trace = self._tracer.context_of(span)
            for message in part:
                message.trace = trace
            outcomes = await self._submit(part)
            for outcome in outcomes:
                if isinstance(outcome, Unpublished):
                    self._tracer.fail(span, outcome.reason)
                    break
            return outcomes

    async def _submit(self, part: Sequence[Outgoing]) -> list[Outcome]:
        batch = _Batch(len(part))
        for i, message in enumerate(part):
            self._publisher.submit(message, (batch, i))
        await batch.done.wait()
        return [batch.outcomes[i] for i in range(len(part))]

    def _done(self, results: Sequence[tuple[tuple[_Batch, int], Outcome]]) -> None:
        for (batch, i), outcome in results:
            batch.outcomes[i] = outcome
            batch.left -= 1
            if not batch.left:
                batch.done.set()


def tally(published: PublishedOut, receipts: Sequence[Receipt]) -> None:
    """Add what was published to what a request is answered."""
    for receipt in receipts:
        if receipt.duplicate:
            published.duplicates += 1
        else:
            published.accepted += 1
        if published.epoch != receipt.epoch:
            published.epoch, published.first = receipt.epoch, receipt.seq
        published.last = receipt.seq


def _whose(tags: Sequence[tuple[_Batch, int]]) -> dict[str, str]:
    """Which requests messages are of, the first few of them."""
    requests = [*dict.fromkeys(batch.request for batch, _ in tags if batch.request)]
    more = [f"{len(requests) - NAMED} more"] if len(requests) > NAMED else []
    return {"request": ",".join(requests[:NAMED] + more)} if requests else {}


def _is_its_own(outcome: Unpublished) -> bool:
    """Whether it says nothing of other messages."""
    return outcome.retry_after is None or outcome.reason == "room_busy"


def priority_of(message: MessageIn) -> int | None:
    """How much a message matters, where that is said."""
    if message.priority is not None:
        return message.priority
    return None if message.kind is None else KIND_PRIORITY


def packed(message: MessageIn) -> bytes:
    """A backend's message as a stream entry."""
    now, priority = wall_ms(), priority_of(message)
    return pack(
        Said(
            *(message.uid, message.name, message.text, message.color, message.mode, message.size),
            now,
            message.kind,
            *(message.avatar, message.level, tuple(message.badges)),
            priority=CHAT_PRIORITY if priority is None else priority,
            until=0 if message.ttl_s is None else now + math.ceil(message.ttl_s * 1000),
            data=message.data,
        )
    )
