"""A message on its way into Redis: what the publish script is asked of it, and what it says.

Rules. The only file that knows how the script's arguments and answers are laid out. What limits
there are and for whom they hold is the caller's; a message without any costs nothing for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from chat.bus.connect import LimitedError, RefusedError, ReusedError, StoreError
from chat.bus.entries import digest, likeness
from chat.bus.keys import Keys
from chat.wire.schema import CHAT_PRIORITY

PUBLISHED, DUPLICATE, REFUSED, REUSED = range(4)
"""What the publish script says of a message; above these it is one of `LIMITS`."""
LIMITS: Final = {4: "slow_mode", 5: "repeated", 6: "room_busy"}


class RoomLimits(Struct, frozen=True, gc=False):
    """What a room bounds for whoever says something there; 0: it does not.

    slow_s          seconds between two messages of one uid
    no_repeats_s    seconds for which a uid may not say the same again
    messages_per_s  of all together, as many at once after a pause; `by_rules`: what the room's
                    rules say, and this where they say nothing
    priority        0 to 9. What is more than chat counts for the last one, and is not refused by
                    it; what is less is, when half of the burst is used up
    """

    slow_s: float = 0
    no_repeats_s: float = 0
    messages_per_s: float = 0
    priority: int = CHAT_PRIORITY
    by_rules: bool = False


class Outgoing(Struct, gc=False):
    """A message for the publish script. `message_id` guards against publishing it twice.

    An entry that has one must be readable. `asked` is what the client sent, where `entry` was made
    of it meanwhile: that is what the id is for. `limits` are those that hold for its sender.
    `trace` is the traceparent of who publishes it, where that is traced.
    """

    room: str
    uid: str
    entry: bytes
    message_id: str | None = None
    asked: bytes = b""
    limits: RoomLimits | None = None
    trace: str = ""


@dataclass(slots=True)
class Receipt:
    """Where a message ended up. `ts` is when it was first published."""

    epoch: str
    seq: int
    ts: int
    duplicate: bool


def arguments(
    keys: Keys, part: Sequence[Outgoing], settings: Sequence[Any]
) -> tuple[list[str], list[Any]]:
    """The script's keys and arguments for messages of a server, without the deadline.

    settings  history, fanout entries, seconds a room and an id are kept, epoch, time of publishing
    """
    names: list[str] = []
    args: list[Any] = [*settings, len(part)]
    limited: dict[RoomLimits, list[int]] = {}
    traced: list[Any] = []
    for number, message in enumerate(part, 1):
        fanout, room, history = keys.published_in(message.room)
        dup, content = room, ""
        if message.message_id is not None:
            dup = keys.dup(message.room, message.uid, message.message_id)
            content = digest(message.asked or message.entry)
        names += (fanout, room, history, dup)
        args += (message.room, message.entry, content)
        if message.limits is not None:
            limited.setdefault(message.limits, []).append(number)
        if message.trace:
            traced += (number, message.trace)
    if limited or traced:
        _limit(keys, part, limited, names, args)
        args += traced
    return names, args


def _limit(
    keys: Keys,
    part: Sequence[Outgoing],
    limited: Mapping[RoomLimits, Sequence[int]],
    names: list[str],
    args: list[Any],
) -> None:
    """Add the limits, each with its messages by their numbers; then what some of these need."""
    args.append(len(limited))
    needing: list[tuple[int, RoomLimits]] = []
    for limits, numbers in limited.items():
        slow_ms = -1 if limits.by_rules else int(limits.slow_s * 1000)
        args += (slow_ms, int(limits.no_repeats_s * 1000), limits.messages_per_s, limits.priority)
        args.append(" ".join(map(str, numbers)))
        if slow_ms or limits.no_repeats_s:
            needing += [(number, limits) for number in numbers]
    for number, limits in needing:
        message = part[number - 1]
        room = message.room
        names.append(keys.rules(room) if limits.by_rules else keys.spoken(room, message.uid))
        args += (number, likeness(message.entry) if limits.no_repeats_s else "")


def outcomes_of(places: Sequence[Any]) -> list[Receipt | StoreError]:
    """What became of each message, by the script's four values of each."""
    return [
        Receipt(first.decode(), seq, ts, outcome == DUPLICATE)
        if outcome in (PUBLISHED, DUPLICATE)
        else _refusal(outcome, first.decode(), seq)
        for first, seq, ts, outcome in zip(*[iter(places)] * 4, strict=True)
    ]


def _refusal(outcome: int, why: str, wait_ms: int) -> RefusedError:
    if outcome in LIMITS:
        return LimitedError(LIMITS[outcome], wait_ms / 1000)
    return ReusedError() if outcome == REUSED else RefusedError(why)
