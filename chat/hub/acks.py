"""What senders are told when their messages are published, or are not.

Rules. Every message gets one answer; those of one flush go to a sender in one frame.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct, UnsetType

from chat.bus.publisher import Outcome, Unpublished
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.wire.schema import Ack, Error, ErrorCode, Ref, ServerEvent
from pool.handle import Handle
from shard.connections import Connections


class Sender(Struct, frozen=True, gc=False):
    """Who waits for a message to be published, and what for."""

    handle: Handle
    room: str
    ref: Ref | UnsetType


class Acks:
    """Those for one shard's connections. `acked(room, epoch, seq)` is told
    where each new message is."""

    def __init__(
        self,
        connections: Connections,
        replies: Replies,
        acked: Callable[[str, str, int], None],
        counts: "memoryview[int]",
    ) -> None:
        self._connections = connections
        self._replies = replies
        self._acked = acked
        self._counts = counts

    def published(self, results: Sequence[tuple[Sender, Outcome]]) -> None:
        """A flush is done."""
        answers: dict[int, list[ServerEvent]] = defaultdict(list)
        for sender, outcome in results:
            if isinstance(outcome, Unpublished):
                self._counts[_reason(outcome)] += 1
            elif outcome.duplicate:
                self._counts[ChatCount.DUPLICATES_PUBLISHED] += 1
            else:
                self._counts[ChatCount.PUBLISHED] += 1
                self._acked(sender.room, outcome.epoch, outcome.seq)
            if self._connections.alive(sender.handle):
                answers[sender.handle.fd].append(_answer(sender, outcome))
        for fd, events in answers.items():
            self._replies.send(fd, events)


def _reason(outcome: Unpublished) -> ChatCount:
    if outcome.reason == "id_reused":
        return ChatCount.REFUSED_ID_REUSED
    return ChatCount.REFUSED_UNAVAILABLE


def _answer(sender: Sender, outcome: Outcome) -> ServerEvent:
    if isinstance(outcome, Unpublished):
        if outcome.retry_after is None:
            message = "the id was given to another message; give this one its own"
            return Error(ErrorCode.ID_REUSED, message, sender.ref)
        message = "the message was not published; send it again with the same id"
        return Error(ErrorCode.UNAVAILABLE, message, sender.ref, round(outcome.retry_after, 2))
    place = f"{outcome.epoch}-{outcome.seq}"
    return Ack(sender.room, outcome.seq, place, outcome.ts, sender.ref)
