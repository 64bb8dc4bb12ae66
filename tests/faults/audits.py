"""The audit: a book and the readings of logs in, verdicts out.

Rules. Pure. What a viewer was told is the ledger's to read; here it is laid beside what producers
know.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile
from math import inf
from typing import Final

from tests.faults.books import NOTHING, Book, Joined, Log, Place, Stalled
from tests.faults.ledger import Reading, Word
from tests.faults.verdict import Breach, Verdict

GONE_S: Final = 3.0
"""How long after it was taken back a message may still be in a history: a shard may be late."""


def audit(
    book: Book, log: Log, resumes: bool, once: bool, held: Sequence[tuple[float, float]] = ()
) -> Verdict:
    """What one viewer's log in one room comes to; as `audited`."""
    reading = Reading(book, resumes, once)
    reading.read(log)
    return audited(book, log, reading, held)


def audited(
    book: Book,
    log: Log,
    reading: Reading,
    held: Sequence[tuple[float, float]] = (),
    timed: bool = True,
) -> Verdict:
    """What the reading of a log comes to.

    held   times at which nothing can have been published, from and to
    timed  the viewer says of what time its position is; else nobody can tell it that its numbers
           are other messages' now, of an epoch that a server was set back in
    """
    untold = set[str]() if timed else book.set_back
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
        if ack.place in reading.left_out:
            verdict.owed += 1
            verdict.shed += 1
            continue
        if reading.empty_at(ack.place) and any(book.takings_of(ack)):
            verdict.owed += 1
            verdict.taken += 1
            continue
        word = reading.word_for(ack)
        if word is None and ack.place.epoch in untold:
            word = Word.AWAY
        if word is Word.AWAY:
            verdict.away += 1
            continue
        verdict.owed += 1
        if word is Word.SAID:
            verdict.said += 1
        else:
            verdict.breach(Breach.SILENT, f"{ack.number} at {ack.place} never came")
    _check_gone(book, log, verdict)
    _check_places(book, reading.numbers, verdict)
    _check_refused(book, reading.numbers, verdict, held)
    return verdict


def _check_gone(book: Book, log: Log, verdict: Verdict) -> None:
    """What was taken back is in no history; but one that reads too slowly may be reading an old
    one."""
    gone = {ack.place: min((one.done for one in book.takings_of(ack)), default=inf)
            for ack in book.acks} if book.takings else {}  # fmt: skip
    prompt = takewhile(lambda item: not isinstance(item, Stalled), log)
    for joined in (item for item in prompt if isinstance(item, Joined)):
        for seq, number in joined.history:
            place = Place(joined.place.epoch, seq)
            if number != NOTHING and gone.get(place, inf) + GONE_S < joined.at:
                verdict.breach(Breach.WRONG, f"{number} at {place} was taken back, and is shown")


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
