"""A room as one client follows it, over as many connections as that takes.

Rules. Pure: the server's events and the time go in, what the viewer should see comes out; no
socket, no clock, no task. Who holds a Follower sends its joins when they are due.
An epoch names one numbering of a room's messages: within it seq goes up by one per message, and
across two epochs seqs do not compare.

While a join is unanswered no live message is taken: the answer's history and position cover it.
That one rule serves the first join, the one after a reconnect, and the one that fills a jump.

A batch is taken as a whole: what of it was seen is dropped, and its end is the position. Its epoch
is compared, too: seqs of an epoch nobody has told of are no duplicates, however small. A room that
nobody has spoken in is at seq 0 of the epoch "", and the first real one goes on from there.

The position has the ts of what stands there, where that was told: by it the server, and we, see
that the number was given to something else since, by a server that had lost its newest.
"""

from enum import Enum, auto
from math import inf
from typing import Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from chat.wire.batch import expand
from chat.wire.commands import Join, Since
from chat.wire.schema import (
    Clear,
    Delete,
    Error,
    ErrorCode,
    Gap,
    Joined,
    Left,
    Msg,
    Msgs,
    Ref,
    Sequenced,
    ServerEvent,
    Shed,
    State,
)


class JoinRefused(Error, tag="error"):
    """Why `room` cannot be joined, now or at all."""

    room: str = ""


RoomEvent = Msgs | Delete | Clear | State | Gap | Shed | Joined
"""What concerns one room's position."""
News = ServerEvent | Sequenced
"""What a viewer is given: a batch as its messages, everything else as it came."""

UNSPOKEN: Final = ""
RESYNC_SPACING_S: Final = 1.0
"""Between two joins of one room, so that one we cannot follow does not become a loop of joins."""


class Stage(Enum):
    """DOWN -> WANTED -> ASKED -> LIVE; a jump leads from LIVE back to WANTED.

    A refusal leads from ASKED to WANTED where trying again helps, else to REFUSED. The end of a
    connection leads to DOWN from everywhere, the next one's welcome from there to WANTED; but not
    from OUT, where a moderator has put us: there we stay until the room is asked for again.
    """

    DOWN = auto()
    WANTED = auto()
    ASKED = auto()
    LIVE = auto()
    REFUSED = auto()
    OUT = auto()


def position(message: Msg) -> Since:
    """Where a message stands: what to keep, and to join with later, to go on behind it."""
    return Since(message.id.rpartition("-")[0], message.seq, message.ts)


class Follower:
    """One room, from a position or from now on. `join_at` is when its join is due, while WANTED."""

    def __init__(self, room: str, since: Since | None = None) -> None:
        self.room = room
        self.stage = Stage.DOWN
        self.join_at = inf
        self._refusal: Error | None = None
        self._epoch: str | None = None
        self._seq = 0
        self._ts = 0
        if since is not None:
            self._move(since.epoch, since.seq, since.ts)
        self._ref: Ref = 0
        self._asked_at = -inf

    @property
    def since(self) -> Since | None:
        """The last message seen; None before the first join was answered."""
        return None if self._epoch is None else Since(self._epoch, self._seq, self._ts)

    def welcomed(self, now: float) -> None:
        """There is a new connection."""
        if self.stage is not Stage.OUT:
            self._want(now)

    def ask(self, now: float, up: bool) -> None:
        """Its owner wants in, whatever stood in the way: now, if there is a connection."""
        self._want(now)
        if not up:
            self.stage = Stage.DOWN

    def lost(self) -> None:
        """There is no connection any more."""
        if self.stage is not Stage.OUT:
            self.stage = Stage.DOWN

    def join(self, ref: Ref, now: float) -> Join:
        """The join to send now; `ref` will tell its answer."""
        self.stage = Stage.ASKED
        self._ref, self._asked_at = ref, now
        return Join(self.room, self.since, ref)

    def asked(self, ref: Ref | UnsetType) -> bool:
        """Whether `ref` is the join that is unanswered."""
        return self.stage is Stage.ASKED and ref == self._ref

    def refuse(self, error: Error, now: float) -> None:
        """The join was answered with an error. Who is banned comes in when the owner says so."""
        if error.code == ErrorCode.BANNED:
            self.stage, self._refusal = Stage.OUT, error
        elif error.retry_after is UNSET:
            self.stage, self._refusal = Stage.REFUSED, error
        else:
            self._want(now + error.retry_after)
            self._refusal = error

    def sent_out(self, left: Left) -> None:
        """A moderator has sent us out of the room."""
        banned = str(left.reason).startswith("banned")
        code = ErrorCode.BANNED if banned else ErrorCode.FORBIDDEN
        self.stage, self._refusal = Stage.OUT, Error(code, f"sent out: {left.reason}")

    def refusal(self, until: float) -> Error | None:
        """Why the room was refused; None where it was not, or is asked for again by then."""
        far = self.stage is Stage.WANTED and self.join_at > until
        return self._refusal if far or self.stage in (Stage.REFUSED, Stage.OUT) else None

    def take(self, event: RoomEvent, now: float) -> list[News]:
        """What is new to the viewer in an event of this room, gaps included."""
        match event:
            case Joined():
                return self._joined(event) if event.ref is UNSET or self.asked(event.ref) else []
            case _ if self.stage is not Stage.LIVE:
                return []
            case Gap() if event.epoch == self._epoch and event.seq - event.lost > self._seq:
                self._resync(now)  # the answer tells of all that is missing, also of what is lost
                return []
            case Gap():
                self._move(event.epoch, event.seq, 0)
                return [event]
            case Shed():
                if event.seq > self._seq and self._epoch is not None:
                    self._move(self._epoch, event.seq, 0)
                return [event]
            case Msgs():
                places = expand(event.room, event.epoch, event.m, event.seq)
                return self._span(event.epoch, event.seq, event.to, list(places), now)
            case _:  # it takes a place of its own
                return self._span(self._epoch or UNSPOKEN, event.seq, event.seq, [event], now)

    def _move(self, epoch: str, seq: int, ts: int) -> None:
        self._epoch, self._seq, self._ts = epoch, seq, ts

    def _want(self, at: float) -> None:
        self.stage, self.join_at, self._refusal = Stage.WANTED, at, None

    def _resync(self, now: float) -> None:
        self._want(max(now, self._asked_at + RESYNC_SPACING_S))

    def _span(
        self, epoch: str, first: int, last: int, places: list[Sequenced], now: float
    ) -> list[News]:
        """Places `first` to `last`: those not seen yet, or none and a re-join if some are missing
        before them, or their epoch is not known, which brings these again."""
        if self._goes_on(epoch) and last <= self._seq:
            return []
        if not self._goes_on(epoch) or first > self._seq + 1 or epoch == UNSPOKEN:
            self._resync(now)
            return []
        new: list[News] = [place for place in places if place.seq > self._seq]
        self._move(epoch, last, _time_at(places, last))
        return new

    def _goes_on(self, epoch: str) -> bool:
        """Whether seqs of `epoch` go on from ours."""
        return self._epoch in (epoch, UNSPOKEN)

    def _joined(self, joined: Joined) -> list[News]:
        """The answer without its history, after a Gap if something is missing; then what of the
        history was not seen before."""
        known = self._epoch is not None
        history = list(expand(joined.room, joined.epoch, joined.history))
        vouched = self._is_vouched_for(joined, history)
        same = self._goes_on(joined.epoch) and vouched is not False
        seen = self._seq if same else 0
        new = [place for place in history if place.seq > seen]
        resumed_at = new[0].seq - 1 if new else joined.seq
        # In another numbering nobody knows how much was missed: a Gap says so with 0. Nor where
        # nothing vouches for our place: it may be more than what lies behind that.
        lost = max(0, resumed_at - seen) if same else 0
        missed = bool(lost) or not same or (vouched is None and self._ts > 0)
        self._move(joined.epoch, joined.seq, joined.ts or 0)
        self.stage, self._refusal = Stage.LIVE, None
        answer = replace(joined, history=[])
        if known and not joined.recovered and missed:
            return [Gap(self.room, joined.epoch, resumed_at, lost), answer, *new]
        return [answer, *new]

    def _is_vouched_for(self, joined: Joined, history: list[Sequenced]) -> bool | None:
        """Whether what stands at our place is what stood there when we saw it. It is not when the
        server was set back: the number was given out again, or is about to be. None: it is not
        told."""
        if joined.recovered:
            return True
        if joined.seq < self._seq:
            return False
        at_end = joined.seq == self._seq and joined.ts is not UNSET
        there = joined.ts if at_end else _time_at(history, self._seq)
        return there == self._ts if there and self._ts else None


def _time_at(places: list[Sequenced], seq: int) -> int:
    """When what stands at `seq` was published; 0 where it is not among them."""
    return next((place.ts for place in reversed(places) if place.seq == seq), 0)
