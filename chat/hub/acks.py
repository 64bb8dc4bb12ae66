"""What senders are told when their messages are published, or are not.

Rules. Every message gets one answer; those of one flush go to a sender in one frame.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from chat.bus.publisher import Outcome, Unpublished
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.policy.gate import Refusal
from chat.policy.rates import told_s
from chat.wire.schema import Ack, Error, ErrorCode, Ref, ServerEvent
from pool.handle import Handle
from shard.connections import Connections
from shard.logids import about


class Sender(Struct, frozen=True, gc=False):
    """Who waits for a message to be published, and what for."""

    handle: Handle
    room: str
    ref: Ref | UnsetType


def whose(senders: Sequence[Sender]) -> dict[str, str]:
    """What a line of the log about these messages is about: their room and connection, where there
    is one only."""
    rooms, handles = {one.room for one in senders}, {one.handle for one in senders}
    room = rooms.pop() if len(rooms) == 1 else None
    if len(handles) > 1 or not handles:
        return about(room)
    handle = handles.pop()
    return about(room, f"{handle.generation:x}-{handle.fd:x}")


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

    def refused(self, refusals: Sequence[tuple[Sender, Refusal]]) -> None:
        """Messages that passed the gate, and are not published all the same."""
        answers: dict[int, list[ServerEvent]] = defaultdict(list)
        for sender, refusal in refusals:
            if self._connections.alive(sender.handle):
                answers[sender.handle.fd].append(error(refusal, sender.ref))
        for fd, events in answers.items():
            self._replies.send(fd, events)

    def published(self, results: Sequence[tuple[Sender, Outcome]]) -> None:
        """A flush is done."""
        answers: dict[int, list[ServerEvent]] = defaultdict(list)
        for sender, outcome in results:
            if isinstance(outcome, Unpublished):
                _, count, _ = _REFUSALS.get(outcome.reason, _UNAVAILABLE)
                self._counts[count] += 1
            elif outcome.duplicate:
                self._counts[ChatCount.DUPLICATES_PUBLISHED] += 1
            else:
                self._counts[ChatCount.PUBLISHED] += 1
                self._acked(sender.room, outcome.epoch, outcome.seq)
            if self._connections.alive(sender.handle):
                answers[sender.handle.fd].append(_answer(sender, outcome))
        for fd, events in answers.items():
            self._replies.send(fd, events)


def error(refusal: Refusal, ref: Ref | UnsetType) -> Error:
    """What a command is answered that is refused."""
    after = UNSET if refusal.retry_after is None else refusal.retry_after
    return Error(refusal.code, refusal.message, ref, after)


_UNAVAILABLE: Final = (
    ErrorCode.UNAVAILABLE,
    ChatCount.REFUSED_UNAVAILABLE,
    "the message was not published; send it again with the same id",
)
_REFUSALS: Final = {
    "id_reused": (
        ErrorCode.ID_REUSED,
        ChatCount.REFUSED_ID_REUSED,
        "the id was given to another message; give this one its own",
    ),
    "slow_mode": (
        ErrorCode.SLOW_MODE,
        ChatCount.REFUSED_SLOW_MODE,
        "slow mode: wait before you say something again",
    ),
    "repeated": (
        ErrorCode.REPEATED,
        ChatCount.REFUSED_REPEATED,
        "you have said this here lately; say something else",
    ),
    "room_busy": (
        ErrorCode.ROOM_BUSY,
        ChatCount.REFUSED_ROOM_BUSY,
        "more is said in this room than it may take; send it again",
    ),
}
"""What an outcome's reason is told and counted as; any other is `_UNAVAILABLE`."""


def _answer(sender: Sender, outcome: Outcome) -> ServerEvent:
    if isinstance(outcome, Unpublished):
        code, _, message = _REFUSALS.get(outcome.reason, _UNAVAILABLE)
        after = outcome.retry_after
        return Error(code, message, sender.ref, UNSET if after is None else told_s(after))
    place = f"{outcome.epoch}-{outcome.seq}"
    return Ack(sender.room, outcome.seq, place, outcome.ts, sender.ref)
