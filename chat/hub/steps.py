"""What a room's events are to its members, step by step: messages in batches, the rest as it is.

Rules. Pure. A batch covers all numbers of its places, also those of messages that are hidden from
who gets it: they are holes. To their sender they are shown, among all the rest. What that costs is
what is shown, for each who is due something else; not all that is hidden.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from chat.rooms.position import written as place_of
from chat.rooms.room import Room
from chat.wire.batch import batches
from chat.wire.schema import (
    Aside,
    Clear,
    Delete,
    Gap,
    Joins,
    LeftOut,
    Likes,
    Msg,
    Msgs,
    Online,
    Removed,
    Sequenced,
    ServerEvent,
    Shadowed,
    State,
)

Hidden = Shadowed | LeftOut
BATCHED: Final = (Msg, Removed, Shadowed, LeftOut)
SHOWN: Final = (Msg, Removed)
_seq: Final = attrgetter("seq")


class Step(NamedTuple):
    """An event and the room's position behind it, as text ("" where it has none) and as seq (0);
    and how many messages up to there the display budget left out."""

    event: ServerEvent
    place: str = ""
    seq: int = 0
    left_out: int = 0


class Span(Struct, gc=False):
    """Places in a row, `first` to `to`, that go out in batches. `ts` is that of the last one,
    `left_out` has the seqs of what the display budget hides."""

    first: int
    to: int
    ts: int
    shown: list[Msg | Removed]
    left_out: list[int]


class Flush:
    """Events of a room, in order.

    hidden  those that only their senders see, by uid
    shows   whether there are others
    """

    def __init__(self, room: Room, events: Sequence[Sequenced | Gap | Aside]) -> None:
        self._room = room
        self._epoch = room.position.epoch
        self._parts: list[Span | Step] = []
        self.hidden: dict[str, list[Hidden]] = {}
        self.shows = False
        span: Span | None = None
        for event in events:
            if not isinstance(event, BATCHED):
                self._parts.append(self._alone(event))
                self.shows = True
                span = None
                continue
            if span is None:
                span = Span(event.seq, event.seq, event.ts, [], [])
                self._parts.append(span)
            span.to, span.ts = event.seq, event.ts
            if isinstance(event, SHOWN):
                span.shown.append(event)
                self.shows = True
                continue
            self.hidden.setdefault(event.msg.uid, []).append(event)
            if type(event) is LeftOut:
                span.left_out.append(event.seq)

    def steps(self, uid: str = "") -> list[Step]:
        """What members get; or what those of `uid` get, who are shown what of it is hidden."""
        own = self.hidden.get(uid, ())
        steps: list[Step] = []
        for part in self._parts:
            if isinstance(part, Step):
                steps.append(part)
            else:
                steps += self._batched(part, own)
        return steps

    def _batched(self, span: Span, own: Sequence[Hidden]) -> list[Step]:
        shown, shed = span.shown, []
        if own and (theirs := [one for one in own if span.first <= one.seq <= span.to]):
            shown = sorted([*shown, *(one.msg for one in theirs)], key=_seq)
            shed = [one.seq for one in theirs if type(one) is LeftOut]
        found = []
        for batch in batches(self._room.name, self._epoch, shown, span.first, span.to):
            left_out = _within(batch, span.left_out) - _within(batch, shed) if span.left_out else 0
            place = place_of(self._epoch, batch.to, _time_at(span, shown, batch.to))
            found.append(Step(batch, place, batch.to, left_out))
        return found

    def _alone(self, event: Delete | Clear | State | Gap | Aside) -> Step:
        """Nobody knows what stood where something is lost."""
        match event:
            case Online() | Likes() | Joins():
                return Step(event)
            case Gap():
                return Step(event, place_of(event.epoch, event.seq, UNSET), event.seq)
            case _:
                return Step(event, place_of(self._epoch, event.seq, event.ts), event.seq)


def _within(batch: Msgs, seqs: Sequence[int]) -> int:
    """How many of the numbers, in order, a batch covers."""
    return bisect_right(seqs, batch.to) - bisect_left(seqs, batch.seq)


def _time_at(span: Span, shown: Sequence[Msg | Removed], seq: int) -> int | UnsetType:
    """When what stands at the end of a batch was published."""
    return span.ts if seq == span.to else next(one.ts for one in shown if one.seq == seq)
