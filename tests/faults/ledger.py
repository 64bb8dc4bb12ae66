"""The ledger: acknowledged = delivered + said to be lost + said to be left out + taken back; in
order, none twice, none refused.

Rules. Pure: a book and a log in, a verdict out; no clock, no socket. It believes nobody: what the
server could have known it does not use, only what producers and the viewer were told.

What is owed to a viewer. Everything acknowledged in a room, from the first place it was shown
there. A viewer that does not resume is owed only the time it was in the room: what lies between its
last place and the first it is shown after coming back it was *away* for.

What accounts for a place (docs/wire.md):

    gap {epoch, seq}, same epoch      the places between the viewer's position and `seq`
    gap {epoch, seq}, another epoch   the old epoch beyond the position, the new one up to `seq`
    joined, recovered: false          the same, up to the first place of its history; and what was
                                      sent before it under numbers of what the viewer is shown,
                                      or under such as are never reached again
    joined, recovered: true           nothing: all that was missed is in its history, or follows
    either, with another epoch        also whole epochs that came and went since, unseen: what was
                                      sent before it was told

The first epoch of a room that nobody had spoken in is no other one: it goes on from seq 0 of "".

Nothing else does. A place beyond the position that came without a word before it is a HOLE, also
when the viewer then asked and was given what was missing; only who read too slowly may see one. A
place that a batch spans and does not hold is SILENT, also when it is shown later; unless its frame
says truly that it was left out (`leftout`). What was taken back has a place without a message.

Danger: a server that lost its newest messages may give a place out twice. The second message of a
place is accounted for only when the viewer was told of a new epoch afterwards, of a position before
that place, or that it cannot be recovered from its own.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from tests.faults.books import (
    NOTHING,
    UNSPOKEN,
    Ack,
    Book,
    Cut,
    Gap,
    Hole,
    Joined,
    Live,
    Log,
    Odd,
    Place,
    Places,
    Shed,
    Stalled,
)
from tests.faults.leftout import Frames
from tests.faults.verdict import Breach, Verdict


class Word(StrEnum):
    """What accounts for a message that was not delivered."""

    SAID = "said"
    AWAY = "away"


@dataclass(frozen=True)
class _Span:
    """Places `low` to `high` of an epoch that are accounted for."""

    low: float
    high: float
    word: Word


class Reading:
    """One viewer's log in one room, read from its beginning to its end.

    resumes  it comes back with its position
    once     it may not be sent any place twice, not even one it would know (an event stream)
    uid      who it is; controls: where it is said that messages are taken back

    Afterwards `numbers` has where it saw which message, `left_out` what its frames said they left
    out, `passed` what its batches did without a word.
    """

    def __init__(
        self,
        book: Book,
        resumes: bool,
        once: bool,
        uid: str = "",
        controls: Collection[Place] = (),
    ) -> None:
        self.verdict = Verdict()
        self.numbers: dict[int, Place] = {}
        self.passed: set[Place] = set()
        self.left_out: set[Place] = set()
        self.frames = Frames(book, uid, controls, self.verdict)
        self._book = book
        self._resumes = resumes
        self._once = once
        self._at: Place | None = None
        self._seen: dict[Place, int] = {}
        self._here: set[Place] = set()
        self._left_here: set[Place] = set()
        self._stalled = False
        self._spans: dict[str, list[_Span]] = defaultdict(list)
        self._turns: list[tuple[float, Word]] = []
        self._retold: list[tuple[float, str, Word]] = []
        self._left: set[str] = set()
        self._gone_at = inf

    def read(self, log: Log) -> None:
        """Take all of a log."""
        for item in log:
            match item:
                case Live():
                    self._live(item)
                case Shed():
                    self._frame_ends(item)
                case Joined():
                    self._joined(item)
                case Gap():
                    self._gap(item)
                case Hole():
                    self._hole(item.place)
                case Stalled():
                    self._stalled = True
                case Cut():
                    self._here.clear()
                    self._left_here.clear()
                    self._stalled = False
                case Odd():
                    self.verdict.breach(Breach.WRONG, item.what)
        if log and isinstance(log[-1], Cut) and not self._resumes and self._at is not None:
            self._spans[self._at.epoch].append(_Span(self._at.seq + 1, inf, Word.AWAY))
            self._turns.append((inf, Word.AWAY))
            self._gone_at = log[-1].at

    def empty_at(self, place: Place) -> bool:
        """Whether it was shown that a place has no message."""
        return self._seen.get(place) == NOTHING

    # --- what came -----------------------------------------------------------------------------

    def _begin(self, epoch: str) -> None:
        """Somebody speaks in a room in which nobody had: this is its epoch."""
        if self._at is not None and self._at.epoch == UNSPOKEN != epoch:
            self._at = self._at.in_epoch(epoch)
            self._spans[epoch].append(_Span(-inf, self._at.seq, Word.AWAY))

    def _joined(self, joined: Joined) -> None:
        self.frames.joined(joined.at)
        if joined.recovered:
            self._begin(joined.place.epoch)
        first = joined.history[0][0] if joined.history else joined.place.seq + 1
        self._check_run(joined.history, joined.place)
        if joined.since is not None and joined.recovered:
            self._resumed(joined, joined.since, first)
        else:
            word = Word.AWAY if joined.since is None else Word.SAID
            if self._at is not None and self._at.epoch == joined.place.epoch:
                self._retold.append((joined.at, self._at.epoch, word))
            self._account(word, joined.at, Place(joined.place.epoch, first - 1))
            self._forget_beyond(joined.place)
        new = joined.recovered and joined.since is not None
        for seq, number in joined.history:
            self._take(Place(joined.place.epoch, seq), number, new)
        self._at = joined.place

    def _resumed(self, joined: Joined, since: Place, first: int) -> None:
        place = joined.place
        since = since.in_epoch(place.epoch)
        if place.epoch != since.epoch or place.seq < since.seq:
            self.verdict.breach(Breach.WRONG, f"recovered at {place} who was at {since}")
        elif first <= since.seq:
            self.verdict.breach(Breach.TWICE, f"recovered from {first}, who was at {since}")
        elif first > since.seq + 1:
            self.verdict.breach(Breach.HOLE, f"recovered from {first}, who was at {since}")

    def _check_run(self, history: Places, place: Place) -> None:
        """A history has no hole and ends at the position."""
        if history and [seq for seq, _ in history] != list(range(history[0][0], place.seq + 1)):
            self.verdict.breach(Breach.HOLE, f"the history before {place} is not whole")

    def _gap(self, gap: Gap) -> None:
        at = self._at
        if at is not None and gap.place.epoch == at.epoch:
            if at.epoch == UNSPOKEN:
                self._turns.append((gap.at, Word.SAID))  # it was spoken in meanwhile, and lost
            if gap.place.seq <= at.seq:
                return  # of places this viewer has
            if gap.lost not in (0, gap.place.seq - at.seq):
                self.verdict.breach(Breach.WRONG, f"a gap of {gap.lost} from {at} to {gap.place}")
        self._account(Word.SAID, gap.at, gap.place)
        self._at = gap.place

    def _frame_ends(self, shed: Shed) -> None:
        if not self._book.crowded:
            if shed.left_out:
                self.verdict.breach(Breach.WRONG, f"{shed.left_out} shed in a room that shows all")
            return
        left_out = self.frames.end(shed) & self.passed
        self.passed -= left_out
        self.left_out |= left_out
        self._left_here |= left_out

    def _live(self, live: Live) -> None:
        if self._book.crowded:
            self.frames.batch(live)
        self._begin(live.epoch)
        at = self._at
        if at is None or live.epoch != at.epoch or live.seq > at.seq + 1:
            self._hole(Place(live.epoch, live.seq))
            at = Place(live.epoch, live.seq - 1)
        last = live.seq - 1
        for seq, number in live.places:
            if seq <= last or seq > live.to:
                self.verdict.breach(Breach.DISORDER, f"{seq} in a batch behind {last}")
            last = seq
            place = Place(live.epoch, seq)
            if seq <= at.seq:
                self._again(place, number)
            else:
                self._take(place, number, new=True)
        self.passed |= {
            place
            for place in (Place(live.epoch, seq) for seq in range(at.seq + 1, live.to + 1))
            if place not in self._here
        }
        self._at = Place(live.epoch, max(at.seq, live.to))

    def _again(self, place: Place, number: int) -> None:
        """A place that is not beyond the position."""
        if self._once or (place in self._here and not self._stalled):
            self.verdict.breach(Breach.TWICE, f"{number} at {place}")
        elif number == NOTHING and self._book.takings:
            self.verdict.repeats += 1
        elif self._seen.get(place, number) != number:
            self.verdict.breach(Breach.WRONG, f"{place} was {self._seen[place]}, is {number}")
        elif place in self.left_out and (self._stalled or place not in self._left_here):
            self.verdict.repeats += 1  # by a shard that began in the middle of a window
        elif place not in self._seen:
            self.verdict.breach(Breach.DISORDER, f"{number} at {place} behind {self._at}")
        else:
            self.verdict.repeats += 1

    def _take(self, place: Place, number: int, new: bool) -> None:
        """A place as the viewer shows it; `new` is one that it may not have been shown before."""
        before = self.numbers.get(number)
        if new and number != NOTHING and before is not None:
            if before == place:
                if place in self._here:
                    self.verdict.breach(Breach.TWICE, f"{number} at {place}")
            elif before.epoch == place.epoch or number not in self._book.resent:
                self.verdict.breach(Breach.TWICE, f"{number} at {before} and at {place}")
            else:
                self.verdict.resent += 1
        self._seen[place] = number
        self._here.add(place)
        self.numbers[number] = place

    def _hole(self, place: Place) -> None:
        if not self._stalled:
            self.verdict.breach(Breach.HOLE, f"{place} came behind {self._at}")

    # --- what accounts for what did not come ---------------------------------------------------

    def _account(self, word: Word, at: float, upto: Place) -> None:
        """The viewer goes on behind `upto`: what lies between there and its position is known."""
        here = self._at
        if here is not None and here.epoch == upto.epoch and upto.seq >= 0:
            self._spans[here.epoch].append(_Span(here.seq + 1, upto.seq, word))
            return
        if here is not None:
            self._spans[here.epoch].append(_Span(here.seq + 1, inf, word))
            self._left.add(here.epoch)
        self._turns.append((at, word))
        if upto.seq >= 0:
            # It may have been here before: what it left open then ends here.
            spans = self._spans[upto.epoch]
            spans[:] = [_Span(s.low, min(s.high, upto.seq), s.word) for s in spans]
            spans.append(_Span(-inf, upto.seq, word))

    def _forget_beyond(self, place: Place) -> None:
        """What this epoch had behind `place` is to come again, as something else perhaps."""
        here = self._at
        if here is not None and here.epoch == place.epoch and place.seq < here.seq:
            for seq in range(place.seq + 1, here.seq + 1):
                self._seen.pop(Place(place.epoch, seq), None)
                self._here.discard(Place(place.epoch, seq))

    def word_for(self, ack: Ack) -> Word | None:
        """What accounts for a message that was not delivered."""
        if not self._turns:
            return Word.AWAY  # it was never in the room
        epoch, seq = ack.place
        for span in self._spans.get(epoch, ()):
            if span.low <= seq <= span.high:
                return span.word
        if epoch not in self._spans:
            turns = [(at, word) for at, word in self._turns if ack.sent < at]
            stayed = turns[:1] == [(inf, Word.AWAY)] and ack.sent < self._gone_at
            return turns[0][1] if turns and not stayed else None
        twice = self._seen.get(ack.place) is not None
        if epoch in self._left and twice:
            return Word.SAID
        if twice or self._is_beyond(ack.place):
            told = [word for at, of, word in self._retold if ack.sent < at and of == epoch]
            return told[0] if told else None
        return None

    def _is_beyond(self, place: Place) -> bool:
        """Whether the viewer ended before a place."""
        return self._at is not None and self._at.epoch == place.epoch and self._at.seq < place.seq
