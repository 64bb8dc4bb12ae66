"""Sound worlds for the ledger's tests: a room, its producers, and one viewer told the truth.

Rules. A World goes from step to step as a server would that does everything right, and writes book
and log. It knows nothing of the ledger but how to ask it.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.faults.audits import audit, audit_book
from tests.faults.books import (
    UNSPOKEN,
    Ack,
    Book,
    Cut,
    Gap,
    Hole,
    Joined,
    Live,
    Log,
    Place,
    Places,
    Shed,
    Stalled,
)
from tests.faults.verdict import Verdict


@dataclass
class World:
    """`resumes` says how the viewer comes back, `at` is its position, `unseen` what lies behind."""

    resumes: bool = True
    book: Book = field(default_factory=Book)
    log: Log = field(default_factory=list)
    epoch: str = UNSPOKEN
    seq: int = 0
    clock: float = 0.0
    history: Places = field(default_factory=list)
    at: Place | None = None
    lost: set[int] = field(default_factory=set)
    epochs: int = 0

    def now(self) -> float:
        self.clock += 1
        return self.clock

    def publish(self, count: int) -> None:
        """Messages that are acknowledged. The first of a room begins its epoch."""
        if count and self.epoch == UNSPOKEN:
            self.epoch, self.epochs = f"e{self.epochs}", self.epochs + 1
        for _ in range(count):
            self.seq += 1
            number = len(self.book.sent) + 1
            self.book.sent.add(number)
            place = Place(self.epoch, self.seq)
            self.book.acks.append(Ack(number, place, self.now(), self.now()))
            self.book.in_turn.setdefault("one", []).append(number)
            self.history.append((self.seq, number))

    @property
    def here(self) -> Place:
        return Place(self.epoch, self.seq)

    @property
    def unseen(self) -> Places:
        if self.at is None or self.at.epoch != self.epoch:
            return list(self.history)
        return [place for place in self.history if place[0] > self.at.seq]

    def join(self, newest: int) -> None:
        """Come in, or back without a position, and be shown the newest messages."""
        shown = self.history[-newest:] if newest else []
        self.log.append(Joined(self.now(), self.here, None, False, shown))
        self.at = self.here

    def live(self, count: int) -> None:
        """The next messages are published and come, in one batch."""
        self.publish(count)
        self.catch_up()

    def catch_up(self) -> None:
        self.frame(0)

    def frame(self, left_out: int) -> None:
        """What was not seen comes in a frame, but for so many of the first."""
        unseen = self.unseen
        if unseen:
            first, last = unseen[0][0], unseen[-1][0]
            self.log.append(Live(self.epoch, first, last, unseen[left_out:]))
            if self.book.crowded:
                self.log.append(Shed(self.now(), last if left_out else 0, left_out))
            self.at = self.here

    def crowd(self, left_out: int, more: int) -> None:
        """More is said than a room with a budget shows."""
        self.publish(left_out + more)
        self.frame(left_out if self.book.budget else 0)

    def gap(self, count: int) -> None:
        """Messages are lost to this viewer, and it is told how many."""
        self.publish(count)
        self.lose()
        self.log.append(Gap(self.now(), self.here, count))
        self.at = self.here

    def empty(self, count: int, more: int = 0) -> None:
        """The server loses everything, with messages this viewer has not seen, and more are lost
        before it is told."""
        self.publish(count)
        self.lose()
        self.renew()
        self.publish(more)
        self.lose()
        self.log.append(Gap(self.now(), self.here, 0))
        self.at = self.here

    def lose(self) -> None:
        """What was not seen is said to be lost, or is not owed to one who was away."""
        if self.resumes or not isinstance(self.log[-1], Cut):
            self.lost |= {number for _, number in self.unseen}

    @property
    def seen(self) -> set[int]:
        live = {number for item in self.log if isinstance(item, Live) for _, number in item.places}
        joined = [item.history for item in self.log if isinstance(item, Joined)]
        return live | {number for history in joined for _, number in history}

    def renew(self) -> None:
        self.epoch, self.seq, self.history = UNSPOKEN, 0, []

    def cut(self) -> None:
        self.log.append(Cut(self.now()))

    def come_back(self, missed: int, newest: int) -> None:
        """The connection ends, messages come meanwhile; then it is back."""
        self.cut()
        self.publish(missed)
        if not self.resumes:
            self.join(newest)
            return
        self.log.append(Joined(self.now(), self.here, self.at, True, self.unseen))
        self.at = self.here

    def come_back_late(self, missed: int, newest: int) -> None:
        """It is back after more was published than is kept."""
        self.cut()
        self.publish(missed)
        if not self.resumes:
            self.join(newest)
            return
        shown = self.history[-newest:]
        self.lose()
        self.log.append(Joined(self.now(), self.here, self.at, False, shown))
        self.at = self.here

    def come_back_to_another(self, missed: int, newest: int) -> None:
        """The server loses everything while it is away, twice, and something was said between."""
        self.cut()
        for _ in range(2):
            self.publish(missed)
            self.lose()
            self.renew()
        self.publish(newest)
        since = self.at if self.resumes else None
        self.log.append(Joined(self.now(), self.here, since, False, list(self.history)))
        self.at = self.here

    def late_shard(self, count: int) -> None:
        """It comes back to a shard that is behind by a batch it has seen: it comes once more."""
        self.live(count)
        if not self.resumes:
            return
        seen = self.history[-count:]
        self.cut()
        self.log.append(Joined(self.now(), self.here, self.at, True, []))
        self.log.append(Live(self.epoch, seen[0][0], seen[-1][0], seen))

    def slow(self, count: int) -> None:
        """It reads too slowly, misses some, asks, and is given them; and the newest once more."""
        if not self.resumes:
            return
        self.live(1)
        newest = self.history[-1]
        self.publish(count)
        self.log.append(Stalled(self.now()))
        self.log.append(Hole(self.now(), self.here))
        self.log.append(Joined(self.now(), self.here, self.at, True, self.unseen))
        self.log.append(Live(self.epoch, newest[0], newest[0], [newest]))
        self.at = self.here
        self.cut()
        self.come_back(0, 0)

    def verdict(self, *held: tuple[float, float]) -> Verdict:
        verdict = audit(self.book, self.log, self.resumes, False, held)
        verdict.add(audit_book(self.book))
        return verdict


small = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("live"), small),
    st.tuples(st.just("crowd"), small, st.integers(0, 2)),
    st.tuples(st.just("gap"), small),
    st.tuples(st.just("empty"), small, st.integers(0, 2)),
    st.tuples(st.just("late_shard"), small),
    st.tuples(st.just("slow"), small),
    st.tuples(st.just("come_back"), st.integers(0, 4), st.integers(0, 3)),
    st.tuples(st.just("come_back_late"), small, small),
    st.tuples(st.just("come_back_to_another"), small, small),
)


@st.composite
def worlds(draw: st.DrawFn, budget: bool = False) -> World:
    world = World(resumes=draw(st.booleans()))
    world.book.budget = budget
    world.publish(draw(st.integers(0, 6)))
    world.join(draw(st.integers(0, 4)))
    for step, *sizes in draw(st.lists(STEPS, max_size=8)):
        getattr(world, step)(*sizes)
    world.live(3)
    return world


def batches(world: World, least: int = 1) -> list[int]:
    """Where in the log batches are of messages that come for the first time."""
    seen: set[tuple[str, int]] = set()
    found = []
    for i, item in enumerate(world.log):
        if isinstance(item, Live):
            places = {(item.epoch, seq) for seq, _ in item.places}
            if len(places) >= least and not places & seen:
                found.append(i)
            seen |= places
        elif isinstance(item, Joined):
            seen |= {(item.place.epoch, seq) for seq, _ in item.history}
    return found
