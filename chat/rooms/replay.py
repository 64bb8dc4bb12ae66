"""What those who come back to a room have missed: read once, written once, cut anywhere.

A Replay is a room's places behind some seq, as one read of the history has them, and as the room
goes on from there. Whoever comes back at a place between gets a Stretch of it: a crowd that is
behind by different numbers shares the read, and the writing of each message.

    pieces of 64 places    |--------|--------|--------|---|
    who missed these            |~~~|========|========|===|     ~ its own, = everybody's

Rules. Pure: a room, a position, what was read. An answer is never a guess: what was missed is all
places behind a position, or None. A position is (epoch, seq, ts), as the client says it; where it
says a ts, what stands at that place has to vouch for it.

Danger: what was read may be taken back later. A Replay is of no use any more from the moment the
room has heard that anything was; `follow` says so.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from chat.bus.store import RoomState
from chat.rooms.position import UNSPOKEN, vouch
from chat.rooms.room import Room
from chat.wire.batch import shorten
from chat.wire.commands import Since
from chat.wire.dialects.dialect import Dialect
from chat.wire.redaction import redacted
from chat.wire.schema import LeftOut, Msg, Sequenced, Shadowed
from shard.wires.wire import Part

PIECE: Final = 64
"""Places written together. What is before the first whole piece is written for each place that
somebody comes from: less is more pieces to join, more is more to write and to compress for each."""
HEADS: Final = 512
"""Beginnings that are kept, half a piece each on average: one for each place of a history."""


class Replay:
    """Places of a room, all that are known behind seq `after`.

    epoch, seq  how far they go, as far as is known here
    lapses      whether some are messages with a time after which they are not shown
    """

    def __init__(self, room: Room, state: RoomState, after: int) -> None:
        here = room.position
        self.after, self.epoch, self.seq = after, state.epoch, state.seq
        known = [place for place in state.places if place.seq <= here.seq]
        last = known[-1].seq if known else 0
        heard = [place for place in room.recent if place.seq > last]
        ahead = state.places[len(known) :]
        # What was read may have been taken back since.
        self._places = redacted([*known, *heard, *ahead])
        self.lapses = _lapse(self._places)
        self._seqs = [place.seq for place in self._places]
        self._holes = [i for i, one in enumerate(self._places) if type(one) is Shadowed]
        self._redacted_at = room.redacted_at
        self._end = max(state.seq, here.seq)
        self._at = here.epoch, here.seq
        first = room.recent[0].seq if room.recent else here.seq + 1
        self._whole = state.epoch != here.epoch or first <= state.seq + 1
        self._writings: dict[Dialect, Writing] = {}

    def follow(self, room: Room) -> bool:  # hot: once per viewer who comes back
        """Whether it holds for the room as it is now; it takes what the room has heard since."""
        here = room.position
        if room.redacted_at != self._redacted_at or not self._whole:
            return False
        if self._at == (here.epoch, here.seq):
            return True
        if here.epoch != self.epoch or here.seq < self._at[1]:
            return False
        if here.seq > self._end:
            if not room.recent or room.recent[0].seq > self._end + 1:
                return False  # the room has gone on by more than it remembers
            self._take([place for place in room.recent if place.seq > self._end])
            self._end = self.seq = here.seq
        self._at = here.epoch, here.seq
        return True

    def _take(self, heard: Sequence[Sequenced]) -> None:
        at = len(self._places)
        self._places += heard
        self.lapses = self.lapses or _lapse(heard)
        self._seqs += [place.seq for place in heard]
        self._holes += [at + i for i, one in enumerate(heard) if type(one) is Shadowed]

    def covers(self, since: Since) -> bool:
        """Whether no other read would know more of a position: of what follows it, and where it has
        a ts, of the place that vouches for that."""
        return self.after + bool(since.ts) <= since.seq <= self.seq

    def is_behind(self, room: Room, since: Since) -> bool:
        """Whether this shard has not read yet what a client has, and Redis has, too."""
        here = room.position
        return (
            room.epoch_of(since) in (UNSPOKEN, self.epoch)
            and here.epoch in (UNSPOKEN, self.epoch)
            and here.seq < since.seq <= self.seq
        )

    def missed(self, room: Room, since: Since) -> "Stretch | None":
        """The places after `since`; None when they are not all there, or nothing is there to vouch
        for it.

        What was read may be ahead of this shard, or behind it by now. And a position that not even
        Redis has reached was reached before it was set back.
        """
        here, after = room.position, since.seq
        low, high = bisect_right(self._seqs, after), bisect_right(self._seqs, here.seq)
        of = room.epoch_of(since)
        epochs = {of, here.epoch, self.epoch} - {UNSPOKEN}
        whole = (
            len(epochs) <= 1
            and (of == UNSPOKEN or self.epoch != UNSPOKEN)
            and after <= self.seq
            and max(0, high - low) == max(0, here.seq - after)
            and (not since.ts or self._vouches(room, low, since))
        )
        return Stretch(self, low, max(low, high)) if whole else None

    def _vouches(self, room: Room, low: int, since: Since) -> bool:
        there = self._places[max(0, low - 1) : low]
        return bool(vouch((*there, *room.recent), since.seq, since.ts))

    def places(self, low: int, high: int) -> list[Sequenced]:
        """Those from one index to before another."""
        return self._places[low:high]

    def count(self, low: int, high: int) -> int:
        """How many of these are shown: all but those that are shadowed."""
        holes = self._holes
        if not holes:
            return high - low
        return high - low - bisect_left(holes, high) + bisect_left(holes, low)

    def written(self, dialect: Dialect, low: int, high: int) -> list[Part]:
        """These as they are written, in order, to be sent one behind the other."""
        writing = self._writings.get(dialect)
        if writing is None:
            writing = self._writings[dialect] = Writing(dialect, self._places)
        return writing.parts(low, high)


def _lapse(places: Sequence[Sequenced]) -> bool:
    return any(type(place) is Msg and place.until is not UNSET for place in places)


@dataclass(slots=True, frozen=True)
class Stretch:
    """Places of a replay from one index to before another."""

    replay: Replay
    low: int
    high: int

    @property
    def places(self) -> list[Sequenced]:
        return self.replay.places(self.low, self.high)

    def __len__(self) -> int:
        """How many of its places are written."""
        return self.replay.count(self.low, self.high)

    def parts(self, dialect: Dialect) -> list[Part]:
        """It as a `joined` has it, to stand between what `Dialect.around` gives."""
        return self.replay.written(dialect, self.low, self.high)


class Writing:
    """The places of a replay in one dialect. They may become more; none of them changes."""

    def __init__(self, dialect: Dialect, places: Sequence[Sequenced]) -> None:
        self._dialect = dialect
        self._places = places
        self._written: list[bytes] = []
        self._last: int | None = None
        self._pieces: dict[int, Part] = {}
        self._heads: dict[tuple[int, int], Part] = {}
        self._tail: tuple[int, int, Part] | None = None

    def parts(self, low: int, high: int) -> list[Part]:
        """Places `low` to before `high`: the first with its number, whatever stands before it."""
        self._write(high)
        while low < high and not self._written[low]:
            low += 1  # it is hidden, or there is no word for it
        if low == high:
            return []
        end = min(high, (low // PIECE + 1) * PIECE)
        parts = [self._head(low, end)]
        while end + PIECE <= high:
            parts.append(self._piece(end))
            end += PIECE
        if end < high:
            parts.append(self._rest(end, high))
        return parts

    def _write(self, high: int) -> None:
        """Write what is not written yet; of a hidden place, nothing."""
        for place in self._places[len(self._written) : high]:
            if type(place) is Shadowed or type(place) is LeftOut:
                self._written.append(b"")
                continue
            [short] = shorten((place,), self._last)
            self._written.append(self._dialect.place(short, place))
            self._last = place.seq

    def _head(self, low: int, end: int) -> Part:
        """A place with its number, and those behind it to the end of its piece."""
        head = self._heads.get((low, end))
        if head is None:
            place = self._places[low]
            assert not isinstance(place, Shadowed | LeftOut), "it is written"
            [short] = shorten((place,), None)
            head = Part(self._dialect.place(short, place) + self._joined(low + 1, end))
            if len(self._heads) >= HEADS:
                self._heads.clear()
            self._heads[low, end] = head
        return head

    def _piece(self, start: int) -> Part:
        if start not in self._pieces:
            self._pieces[start] = Part(self._joined(start, start + PIECE))
        return self._pieces[start]

    def _rest(self, start: int, high: int) -> Part:
        """What is behind the last whole piece: the same for all until the room goes on."""
        if self._tail is None or self._tail[:2] != (start, high):
            self._tail = start, high, Part(self._joined(start, high))
        return self._tail[2]

    def _joined(self, low: int, high: int) -> bytes:
        between = self._dialect.between
        return b"".join([between + one for one in self._written[low:high] if one])
