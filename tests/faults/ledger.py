"""The ledger: acknowledged = delivered + said to be lost; in order, none twice, none refused.

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
place that a batch spans and does not hold is SILENT, also when it is shown later.

Danger: a server that lost its newest messages may give a place out twice. The second message of a
place is accounted for only when the viewer was told of a new epoch afterwards, of a position before
that place, or that it cannot be recovered from its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
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
    Stalled,
)
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

    Afterwards `numbers` has where it saw which message, `passed` what its batches left out.
    """

    def __init__(self, book: Book, resumes: bool, once: bool) -> None:
        self.verdict = Verdict()
        self.numbers: dict[int, Place] = {}
        self.passed: set[Place] = set()
        self._book = book
        self._resumes = resumes
        self._once = once
        self._at: Place | None = None
        self._seen: dict[Place, int] = {}
        self._here: set[Place] = set()
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
                    self._stalled = False
                case Odd():
                    self.verdict.breach(Breach.WRONG, item.what)
        if log and isinstance(log[-1], Cut) and not self._resumes and self._at is not None:
            self._spans[self._at.epoch].append(_Span(self._at.seq + 1, inf, Word.AWAY))
            self._turns.append((inf, Word.AWAY))
            self._gone_at = log[-1].at

    # --- what came -----------------------------------------------------------------------------

    def _begin(self, epoch: str) -> None:
        """Somebody speaks in a room in which nobody had: this is its epoch."""
        if self._at is not None and self._at.epoch == UNSPOKEN != epoch:
            self._at = self._at.in_epoch(epoch)
            self._spans[epoch].append(_Span(-inf, self._at.seq, Word.AWAY))

    def _joined(self, joined: Joined) -> None:
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

    def _live(self, live: Live) -> None:
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
        elif self._seen.get(place, number) != number:
            self.verdict.breach(Breach.WRONG, f"{place} was {self._seen[place]}, is {number}")
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


def audit(
    book: Book, log: Log, resumes: bool, once: bool, held: Sequence[tuple[float, float]] = ()
) -> Verdict:
    """What one viewer's log in one room comes to.

    held  times at which nothing can have been published, from and to
    """
    reading = Reading(book, resumes, once)
    reading.read(log)
    verdict = reading.verdict
    for ack in book.acks:
        if ack.place in reading.passed:
            verdict.owed += 1
            verdict.breach(Breach.SILENT, f"{ack.number} at {ack.place} was passed over")
            continue
        if ack.number in reading.numbers:
            verdict.owed += 1
            verdict.delivered += 1
            continue
        word = reading.word_for(ack)
        if word is Word.AWAY:
            verdict.away += 1
            continue
        verdict.owed += 1
        if word is Word.SAID:
            verdict.said += 1
        else:
            verdict.breach(Breach.SILENT, f"{ack.number} at {ack.place} never came")
    _check_places(book, reading.numbers, verdict)
    _check_refused(book, reading.numbers, verdict, held)
    return verdict


def _check_places(book: Book, numbers: dict[int, Place], verdict: Verdict) -> None:
    """What was seen is where it was acknowledged to be, and was sent at all.

    In another epoch a number may stand where a new epoch took over its old seq, or again because
    its producer sent it again when the server had lost it.
    """
    acked: dict[int, list[Place]] = defaultdict(list)
    for ack in book.acks:
        acked[ack.number].append(ack.place)
    for number, place in numbers.items():
        if number == NOTHING:
            continue
        if number not in book.sent:
            verdict.breach(Breach.WRONG, f"nobody sent {number} at {place}")
        places = acked.get(number, [])
        if place in places:
            continue
        moved = [one for one in places if one.seq != place.seq]
        here = any(one.epoch == place.epoch for one in moved)
        if here or (moved == places != [] and number not in book.resent):
            verdict.breach(Breach.WRONG, f"{number} at {place} was acknowledged at {places}")


def _check_refused(
    book: Book,
    numbers: dict[int, Place],
    verdict: Verdict,
    held: Sequence[tuple[float, float]],
) -> None:
    """A refused message may be seen only if its answer was lost. Then it was published between its
    sending and its refusal: nothing that was sent after that stands before it, and there was a
    moment at which it can have been."""
    for number, refusal in book.refused.items():
        place = numbers.get(number)
        if place is None:
            continue
        if any(low <= refusal.sent and refusal.at <= high for low, high in held):
            verdict.breach(Breach.GHOST, f"{number} at {place}, when nothing could be published")
        for ack in book.acks:
            behind = ack.place.epoch == place.epoch and ack.place.seq < place.seq
            if behind and ack.sent > refusal.at:
                note = f"{number} at {place} behind {ack.number}, sent after its refusal"
                verdict.breach(Breach.GHOST, note)
                break


def audit_book(book: Book) -> Verdict:
    """What the producers' book of one room says by itself: one place a message, and in turn.

    Where a place was given out twice the server was set back, and its numbers say nothing.
    """
    verdict = Verdict()
    first: dict[int, dict[str, int]] = defaultdict(dict)
    given: dict[Place, int] = {}
    set_back: set[str] = set()
    for ack in book.acks:
        if given.setdefault(ack.place, ack.number) != ack.number:
            set_back.add(ack.place.epoch)
    for ack in book.acks:
        seq = first[ack.number].setdefault(ack.place.epoch, ack.place.seq)
        if seq != ack.place.seq and ack.place.epoch not in set_back:
            verdict.breach(Breach.TWICE, f"{ack.number} acknowledged at {seq} and {ack.place}")
    for producer, numbers in book.in_turn.items():
        _check_turns(producer, numbers, first, set_back, verdict)
    return verdict


def _check_turns(
    producer: str,
    numbers: Iterable[int],
    first: dict[int, dict[str, int]],
    set_back: set[str],
    verdict: Verdict,
) -> None:
    """What one producer sent in turn stands in turn, in every epoch that only counts forward."""
    last: dict[str, int] = {}
    for number in numbers:
        for epoch, seq in first.get(number, {}).items():
            if epoch not in set_back and seq <= last.get(epoch, 0):
                verdict.breach(Breach.DISORDER, f"{producer}'s {number} at {seq} in {epoch}")
            last[epoch] = seq
