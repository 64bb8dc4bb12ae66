"""The ledger of who has no position: in order, none twice, nothing missing while connected.

Rules. Pure, as the ledger. A viewer of goim's framing is told neither where a room is nor that
something is lost, and begins anew with each connection. So its connections are judged one by one:
what was said in the room between the first and the last message of one is owed, and what was said
after it was let in. Of that only may be missing what other viewers were told is lost, what a
crowded room leaves out, and all behind the moment at which it began to read too slowly. Where a
server was set back and gave places out twice, those who were away are not owed the first ones.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf
from typing import Final

from tests.faults.books import Ack, Book, Cut, Joined, Live, Log, Odd, Place, Stalled
from tests.faults.ledger import Reading, Word
from tests.faults.verdict import Breach, Verdict

SURE_S: Final = 3.0
"""A message that was acknowledged so long before another came has come before it, if at all."""


@dataclass
class Stay:
    """One connection: when it was let in, and what it was sent, (when, seq, number)."""

    since: float
    sent: list[tuple[float, int, int]] = field(default_factory=list)
    slow_at: float = inf


def lost_to(book: Book, reading: Reading) -> set[Place]:
    """What a viewer that has a position was told it has lost."""
    return {
        ack.place
        for ack in book.acks
        if ack.number not in reading.numbers and reading.word_for(ack) is Word.SAID
    }


def audit_watcher(book: Book, log: Log, lost: Collection[Place]) -> Verdict:
    """What the log of one viewer without a position comes to; `lost` is what others were told."""
    verdict = Verdict()
    stays: list[Stay] = []
    slow = False
    for item in log:
        match item:
            case Joined():
                stays.append(Stay(item.at, slow_at=item.at if slow else inf))
            case Live() if stays:
                stays[-1].sent.append((item.at, *item.places[0]))
            case Stalled():
                slow = True
                if stays:
                    stays[-1].slow_at = min(stays[-1].slow_at, item.at)
            case Cut():
                slow = False
            case Odd():
                verdict.breach(Breach.WRONG, item.what)
    for stay in stays:
        _judge(book, stay, lost, verdict)
    return verdict


def _judge(book: Book, stay: Stay, lost: Collection[Place], verdict: Verdict) -> None:
    acks: dict[int, list[Place]] = defaultdict(list)
    for ack in book.acks:
        acks[ack.number].append(ack.place)
    set_back = book.set_back
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    seen: dict[int, int] = {}
    for _, seq, number in stay.sent:
        places = acks[number]
        if number not in book.sent:
            verdict.breach(Breach.WRONG, f"nobody sent {number} at {seq}")
        if number in seen and (seen[number] == seq or number not in book.resent):
            verdict.breach(Breach.TWICE, f"{number} at {seen[number]} and at {seq}")
        seen[number] = seq
        place = next((one for one in places if one.seq == seq), None)
        if place is None:
            if places and number not in book.resent:
                verdict.breach(Breach.WRONG, f"{number} at {seq} was acknowledged at {places}")
            continue
        if seq <= last.get(place.epoch, 0) and place.epoch not in set_back:
            verdict.breach(Breach.DISORDER, f"{number} at {place} behind {last[place.epoch]}")
        first.setdefault(place.epoch, seq)
        last[place.epoch] = max(seq, last.get(place.epoch, 0))
    until = stay.sent[-1][0] if stay.sent else 0.0
    for ack in book.acks:
        if ack.number in seen:
            verdict.owed += 1
            verdict.delivered += 1
        elif not _is_owed(ack, stay, first, last, until, ack.place.epoch in set_back):
            verdict.away += 1
        else:
            verdict.owed += 1
            _account(book, ack, lost, verdict)


def _is_owed(
    ack: Ack, stay: Stay, first: dict[str, int], last: dict[str, int], until: float, set_back: bool
) -> bool:
    """Whether a message should have come; `set_back`: its number may be another's by now."""
    epoch, seq = ack.place
    if ack.at > stay.slow_at or ack.sent > until:
        return False
    if set_back and ack.sent < stay.since:
        return False
    if epoch in last:
        return seq < last[epoch] and (seq > first[epoch] or ack.sent > stay.since)
    return ack.sent > stay.since and ack.at + SURE_S < until


def _account(book: Book, ack: Ack, lost: Collection[Place], verdict: Verdict) -> None:
    line = book.lines.get(ack.number)
    if ack.place in lost:
        verdict.said += 1
    elif any(book.takings_of(ack)):
        verdict.taken += 1
    elif book.crowded and not (line and line.above):
        verdict.shed += 1
    else:
        verdict.breach(Breach.SILENT, f"{ack.number} at {ack.place} never came")
