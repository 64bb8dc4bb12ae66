"""What one viewer is shown of its rooms, held against what it may expect.

Rules. Pure: events go in, what they came to comes out; no sockets, no Locust. A Watch outlives
connections: who comes back with its positions has one, who comes as somebody new has another.

A room is *deaf* from when its viewer lost its connection or was told of a jump until the next
`joined`: what comes meanwhile is covered by that. So it is with one it is sent out of. A lenient
viewer reads too slowly, and knows: a jump, a `gap` and a `joined` that is not recovered are its
being told; to all others they are failures.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import UNSET

from chat.wire.batch import expand
from chat.wire.commands import Since
from chat.wire.schema import (
    Ack,
    Clear,
    Delete,
    Gap,
    Joined,
    Left,
    Message,
    Msg,
    Msgs,
    Notice,
    Paged,
    Removed,
    Sequenced,
    ServerEvent,
    Shed,
    State,
)
from locustfiles.books import Books, Heard, read_stamp
from locustfiles.order import Position

WHOLE = "told: resumed whole"
BEHIND = "told: something is missing"
LOST = "told: something is lost"
OUT = "told: sent out"
TAKEN = "told: taken back"
PLACEHOLDER = "told: nothing stands here any more"


@dataclass
class Seen:
    """What a frame came to.

    problems  what the server must not do, in words
    told      of what the viewer was told that it may have to act on
    rejoin    rooms to join again, with their positions
    oldest    when the oldest of its stamped messages was typed, by the monotonic clock
    """

    problems: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    rejoin: list[str] = field(default_factory=list)
    oldest: float | None = None


class Watch:
    """The rooms of one viewer. `positions` are how far it has come in each."""

    def __init__(self, books: Books, lenient: bool = False) -> None:
        self.positions: dict[str, Position] = {}
        self.deaf: set[str] = set()
        self.out: set[str] = set()
        self._books, self._lenient = books, lenient
        self._heard = Heard()
        self._holes: Counter[str] = Counter()
        self._pages: dict[object, int] = {}
        self._seen = Seen()

    # ---- what the viewer does ----

    def since(self, room: str) -> Since | None:
        """The position to join with; None for who was never in the room."""
        known = self.positions.get(room)
        if known is None:
            return None
        known.come_back()
        return Since(known.epoch, known.seq, known.ts)

    def cut_off(self) -> None:
        """Its connection is gone; it knows of nothing until it has joined again, and of notices in
        between never."""
        self.deaf.update(self.positions)
        self._heard.forget("")

    def paging(self, room: str, ref: object) -> None:
        """It asks for a page of the history: what it knows is taken back may not be in it."""
        known = self.positions.get(room)
        self._pages[ref] = known.seq if known else 0

    def acked(self, ack: Ack, text: str) -> Seen:
        """Its text stands at a place: it is owed it, and so is everybody in the room."""
        self._seen = Seen()
        epoch = ack.id.rpartition("-")[0]
        self._books.ledger.reached(ack.room, epoch, ack.seq)
        self._say(self._books.ledger.said(ack.room, epoch, ack.seq, hash(text)))
        return self._seen

    def goals(self) -> dict[str, int]:
        """Of its rooms: the newest place anybody was told of. It is owed those, too."""
        newest = self._books.ledger.newest
        return {room: newest(room, at.epoch) for room, at in self.positions.items()}

    def missing(self, goals: dict[str, int]) -> dict[str, int]:
        """Of those rooms: how many places it still has to come, 0 where it has to join first."""
        rooms = (goals.keys() & self.positions.keys()) - self.out
        behind = {room: goals[room] - self.positions[room].seq for room in rooms}
        joining = dict.fromkeys(rooms & self.deaf, 0)
        return {room: n for room, n in behind.items() if n > 0} | joining

    # ---- what comes ----

    def take(self, events: Iterable[ServerEvent]) -> Seen:
        """One frame."""
        self._seen = Seen()
        for event in events:
            match event:
                case Msgs():
                    self._batch(event)
                case Delete() | Clear() | State():
                    self._event(event)
                case Shed():
                    self._holes[event.room] -= event.count
                case Joined():
                    self._joined(event)
                case Paged():
                    by = self._pages.pop(event.ref, 0)
                    self._places(event.room, event.epoch, _expand(event), by, news=False)
                case Gap():
                    self._gap(event)
                case Left(reason=str()):
                    self.out.add(event.room)
                    self._seen.told.append(OUT)
                case Left():
                    self._left(event.room)
                case Notice():
                    self._text("", event.text)
        if self._holes:
            self._say_holes()
        return self._seen

    def _say(self, problem: str | None) -> None:
        if problem:
            self._seen.problems.append(problem)

    def _say_holes(self) -> None:
        """What a batch covers and does not show has to be told in its frame."""
        for count in (+self._holes).values():
            self._say(f"{count} left out of a batch, which nobody told of")
        self._holes.clear()

    def _batch(self, batch: Msgs) -> None:
        room, position = batch.room, self.positions.get(batch.room)
        if self._covered(room) or self._jumped(room, batch.epoch, batch.seq):
            return
        if self._lenient and position and batch.to <= position.seq:
            return  # the newest once more, to who has caught up
        places = list(expand(room, batch.epoch, batch.m, batch.seq))
        after = max(position.seq, position.again) if position else 0
        before, ts = batch.seq - 1, 0
        for place in places:
            if not before < place.seq <= batch.to:
                self._say("a message that its batch does not cover")
            before, ts = place.seq, place.ts
        if holes := batch.to - batch.seq + 1 - len(places):
            self._holes[room] += holes
            self._heard.forget(room)
        self._places(room, batch.epoch, (one for one in places if one.seq > after))
        self._span(room, batch.epoch, batch.seq, batch.to, ts if before == batch.to else 0)

    def _event(self, event: Delete | Clear | State) -> None:
        """A place that is an event of its own; it names no epoch."""
        position = self.positions.get(event.room)
        epoch = position.epoch if position else ""
        if self._covered(event.room) or self._jumped(event.room, epoch, event.seq):
            return
        self._note(epoch, event)
        self._span(event.room, epoch, event.seq, event.seq, event.ts)

    def _left(self, room: str) -> None:
        """As it asked to: nothing may come any more, and it comes back as if for the first time."""
        self.positions.pop(room, None)
        self.deaf.discard(room)
        self.out.discard(room)
        self._heard.forget(room)

    def _covered(self, room: str) -> bool:
        """Whether the next `joined` covers whatever comes."""
        return room in self.deaf or room in self.out

    def _jumped(self, room: str, epoch: str, seq: int) -> bool:
        """Whether a slow reader is told here that it misses something."""
        position = self.positions.get(room)
        if not self._lenient or position is None or not position.jumps(epoch, seq):
            return False
        self._seen.told.append(BEHIND)
        self._lose_touch(room)
        return True

    def _lose_touch(self, room: str) -> None:
        self.deaf.add(room)
        self._heard.forget(room)
        self._seen.rejoin.append(room)

    def _span(self, room: str, epoch: str, first: int, last: int, ts: int) -> None:
        """Move over places; `ts` is of the last, 0 where that is not known."""
        position = self.positions.get(room)
        if position is None:
            self._say("a message of a room never joined")
            return
        problem = position.see(epoch, first, last)
        self._say(problem)
        if position.seq == last:
            position.ts = ts
            self._books.ledger.reached(room, position.epoch, last)
        if problem and epoch != position.epoch:
            self._lose_touch(room)

    def _gap(self, gap: Gap) -> None:
        self.positions[gap.room] = Position(gap.epoch, gap.seq)
        self._heard.forget(gap.room)
        if self._lenient:
            self._seen.told.append(LOST)
        else:
            self._say(f"the server lost {gap.lost}")

    def _joined(self, event: Joined) -> None:
        room, known = event.room, self.positions.get(event.room)
        here = Position(event.epoch, event.seq, ts=event.ts or 0)
        places = _expand(event)
        self.deaf.discard(room)
        self.out.discard(room)
        if known is None:
            self._heard.forget(room)
            self._places(room, event.epoch, places, event.seq)
            self.positions[room] = here
        elif not event.recovered:
            self._not_recovered()
            self._heard.forget(room)
            self._places(room, event.epoch, places, event.seq)
            self.positions[room] = here
        else:
            self._recovered(known, event, places)
        self._books.ledger.reached(room, event.epoch, event.seq)

    def _not_recovered(self) -> None:
        if self._lenient:
            self._seen.told.append(LOST)
        else:
            self._say("not recovered after coming back")

    def _recovered(self, known: Position, event: Joined, places: list[Sequenced]) -> None:
        """All that was missed is in the history: no place is left out, none is beyond."""
        self._seen.told.append(WHOLE)
        if any(place.seq > event.seq for place in places) or event.seq < known.seq:
            self._say("resumed at another position than the room's")
            return
        missed = [place for place in places if place.seq > known.seq]
        if holes := event.seq - known.seq - len(missed):
            self._say(f"{holes} missing of what was missed")
        self._places(event.room, event.epoch, missed, event.seq)
        if event.seq > known.seq:
            self._span(event.room, event.epoch, known.seq + 1, event.seq, event.ts or 0)

    # ---- single places ----

    def _places(
        self,
        room: str,
        epoch: str,
        places: Iterable[Sequenced],
        by: int = 0,
        news: bool = True,
    ) -> None:
        """Look at places in their order, as one who stands at `by` is shown them: in a history, or
        with 0 live. A page of the history is no news."""
        before = 0
        for place in places:
            if place.seq <= before:
                self._say("a history out of order")
            before = place.seq
            if isinstance(place, Msg):
                self._message(epoch, place, by, news)
            else:
                self._note(epoch, place)

    def _message(self, epoch: str, msg: Msg, by: int, news: bool) -> None:
        self._say(self._books.ledger.said(msg.room, epoch, msg.seq, hash(msg.text)))
        if self._books.taken.covers(msg.room, epoch, msg.seq, msg.uid, by):
            self._say("a message that was taken back")
        if msg.text in self._books.refused:
            self._say("a message that was refused")
        if news:
            self._text(msg.room, msg.text, live=not by)

    def _text(self, room: str, text: str, live: bool = True) -> None:
        stamp = read_stamp(text)
        if stamp is None:
            return
        self._say(self._heard.hear(room, stamp))
        if live:
            self._seen.oldest = self._seen.oldest or stamp.when

    def _note(self, epoch: str, place: Sequenced) -> None:
        match place:
            case Delete():
                self._books.taken.delete(place.room, epoch, place.target, place.seq)
                self._seen.told.append(TAKEN)
            case Clear():
                uid = None if place.uid is UNSET else place.uid
                self._books.taken.clear(place.room, epoch, uid, place.seq)
                self._seen.told.append(TAKEN)
            case Removed():
                self._heard.forget(place.room)
                if PLACEHOLDER not in self._seen.told:
                    self._seen.told.append(PLACEHOLDER)


def _expand(event: Joined | Paged) -> list[Sequenced]:
    history: list[Message] = event.history
    return list(expand(event.room, event.epoch, history))
