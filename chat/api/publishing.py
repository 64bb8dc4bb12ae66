"""The API's counter: takes messages for rooms and answers when they are published.

Rules. A request waits for its own messages only; whatever comes at the same time shares a flush.
Batches are bounded, and the next is taken when the last is published: that is the back-pressure a
streaming client feels.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chat.api.models import MessageIn
from chat.bus.entries import Said, pack
from chat.bus.publisher import Outcome, Publisher, Unpublished
from chat.bus.store import Outgoing, Receipt, Store

BATCH: Final = 500


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Unavailable(Exception):
    """Redis does not answer; `accepted` messages had been published before."""

    def __init__(self, retry_after: float, accepted: int) -> None:
        super().__init__("the bus does not answer now; try again")
        self.retry_after = retry_after
        self.accepted = accepted


@dataclass(slots=True, eq=False)
class _Batch:
    """Messages of one request that wait for their outcomes."""

    left: int
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Publishing:
    """Publishing with an answer."""

    def __init__(self, store: Store, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._publisher: Publisher[tuple[_Batch, int]] = Publisher(
            store, self._done, timeout_s, loop.time, wall_ms
        )

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._publisher.close()

    async def publish(self, rooms: Sequence[str], messages: Sequence[MessageIn]) -> list[Receipt]:
        """Publish all messages in each room, in order; where they ended up, room by room.

        Raises Unavailable.
        """
        entries = [(message, packed(message)) for message in messages]
        copies = [
            Outgoing(room, message.uid, entry, message.id)
            for room in rooms
            for message, entry in entries
        ]
        receipts: list[Receipt] = []
        for start in range(0, len(copies), BATCH):
            outcomes = await self._publish(copies[start : start + BATCH])
            receipts += [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
            for outcome in outcomes:
                if isinstance(outcome, Unpublished):
                    raise Unavailable(outcome.retry_after, len(receipts))
        return receipts

    async def _publish(self, part: Sequence[Outgoing]) -> list[Outcome]:
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


def packed(message: MessageIn) -> bytes:
    """A backend's message as a stream entry."""
    return pack(
        Said(
            *(message.uid, message.name, message.text, message.color, message.mode, message.size),
            wall_ms(),
            message.kind,
        )
    )
