"""What frames leave out of a crowded room, and whether they say so.

Rules. Pure, as the ledger. A frame's batches have holes. Of a room with a display budget the
frame's `shed` counts them, of one that merges what many say alike each `times` counts all but one.
Both together are exactly the holes. To a sender its own lines are no holes, though merged they are
counted. Never left out are one's own lines, what is more than chat, and what is no message.

What a budget shows is the same on all shards. A shard that has begun to follow a room may choose
otherwise for a window, and hold what it chose for a second: for that long after a viewer has joined
its choices prove nothing. Where what many say is merged, batches decide: each shard has its own.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from math import inf
from typing import Final

from tests.faults.books import NOTHING, Book, Line, Live, Place, Shed
from tests.faults.verdict import Breach, Verdict

SURE_S: Final = 4.0
MOST_TOLD: Final = 3
NOBODY: Final = Line("")


class Frames:
    """Those of one viewer's log in one room.

    uid       who the viewer is, "" a guest that says nothing
    controls  places of what takes messages back

    choices  which places it was shown live, and which not
    """

    def __init__(self, book: Book, uid: str, controls: Collection[Place], verdict: Verdict) -> None:
        self.choices: dict[Place, bool] = {}
        self._book = book
        self._uid = uid
        self._controls = controls
        self._verdict = verdict
        self._batches: list[Live] = []
        self._sure_at = inf
        self._lines: dict[Place, Line] = {
            ack.place: book.lines.get(ack.number, NOBODY) for ack in book.acks
        }

    def joined(self, at: float) -> None:
        """The viewer is in, perhaps on a shard that has just begun to follow the room."""
        self._sure_at = at + SURE_S

    def batch(self, live: Live) -> None:
        """A batch of the frame under way."""
        self._batches.append(live)

    def end(self, shed: Shed) -> set[Place]:
        """The frame is over: the places it leaves out and accounts for."""
        batches, self._batches = self._batches, []
        if not batches:
            return set()
        holes = {
            Place(live.epoch, seq)
            for live in batches
            for seq in set(range(live.seq, live.to + 1)) - {seq for seq, _ in live.places}
        }
        here = f"a frame up to {batches[-1].to}"
        if shed.left_out and shed.seq != batches[-1].to:
            self._verdict.breach(Breach.WRONG, f"shed up to {shed.seq} in {here}")
        merged, own = self._merged(batches, holes)
        over = (shed.left_out if self._book.budget else 0) + merged - len(holes)
        if not 0 <= over <= own:
            said = f"{shed.left_out} shed and {merged} merged"
            self._verdict.breach(Breach.SILENT, f"{len(holes)} left out of {here}, {said}")
            return set()
        self._verdict.merged += merged
        for place in holes:
            if why := self._must_be_shown(place):
                self._verdict.breach(Breach.SILENT, f"{place} was left out, {why}")
        self._choose(batches, holes, shed.at)
        return holes

    def _merged(self, batches: list[Live], holes: Collection[Place]) -> tuple[int, int]:
        """How many messages were merged into others, and how many of them may be shown all the
        same, to who said them."""
        alike: dict[str, int] = defaultdict(int)
        shown = [(live.epoch, seq) for live in batches for seq, _ in live.places]
        for place in (*(Place(*one) for one in shown), *holes):
            alike[self._lines.get(place, NOBODY).chant] += 1
        unknown = sum(place not in self._lines for place in holes)
        standing = {Place(live.epoch, seq): times for live in batches for seq, times in live.merged}
        for place, times in standing.items():
            chant = self._lines.get(place, NOBODY).chant
            if not self._book.merges or (place in self._lines and not chant):
                self._verdict.breach(Breach.WRONG, f"{place} is merged, and is like no other")
            elif chant and times > alike[chant] + unknown:
                self._verdict.breach(Breach.WRONG, f"{place} stands for {times}: too many")
        own = [
            line.uid == self._uid != "" and line.chant != "" and place not in standing
            for place in (Place(*one) for one in shown)
            if (line := self._lines.get(place)) is not None
        ]
        return sum(times - 1 for times in standing.values()), sum(own)

    def _must_be_shown(self, place: Place) -> str:
        """Why a place may not be left out; "" and it may."""
        line = self._lines.get(place, NOBODY)
        if place in self._controls:
            return "which is no message"
        if line.above:
            return "which is more than chat"
        return "which is its own" if line.uid == self._uid != "" else ""

    def _choose(self, batches: list[Live], holes: Collection[Place], at: float) -> None:
        if self._book.merges or at < self._sure_at:
            return
        self.choices.update(dict.fromkeys(holes, False))
        for live in batches:
            for seq, number in live.places:
                place = Place(live.epoch, seq)
                own = self._lines.get(place, NOBODY).uid == self._uid != ""
                if number != NOTHING and not own:
                    self.choices[place] = True


def disagreements(choices: Mapping[str, Mapping[Place, bool]]) -> list[str]:
    """Places that some viewers, by name, were shown and others not, in words."""
    first: dict[Place, tuple[str, bool]] = {}
    found = []
    for viewer, chosen in choices.items():
        for place, shown in chosen.items():
            other, was = first.setdefault(place, (viewer, shown))
            if was is not shown:
                yes, no = (other, viewer) if was else (viewer, other)
                found.append(f"{place} was shown to {yes}, not to {no}")
    return found[:MOST_TOLD]
