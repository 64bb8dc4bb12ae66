"""A room's position against a Redis that publishes, forgets, loses and repeats as it likes.

Invariant: for any interleaving, loss, repetition and disorder of a room's messages, with a history
of limited length, new epochs and failovers in between, members get every message at most once and
in order; whatever they did not get, a Gap before it says so, also when all that this shard knew of
it is that it was acknowledged. The first epoch of a room that nobody had spoken in is no gap.
"""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chat.bus.entries import Said, id_order, pack, read
from chat.rooms.position import UNSPOKEN, Arrival, Sync, Taken, in_order
from chat.rooms.room import Room
from chat.wire.commands import Since
from chat.wire.schema import Gap, Msg, Sequenced


@dataclass(frozen=True)
class State:
    """What one read of the room gives."""

    epoch: str
    seq: int
    base: int
    mark: bytes
    history: tuple[Arrival, ...]


class World(RuleBasedStateMachine):
    """`redis` is the truth, `stream` what may still be read, `told` what members heard."""

    @initialize(keep=st.integers(0, 4), history=st.integers(4, 7), early=st.integers(0, 3))
    def begin(self, keep: int, history: int, early: int) -> None:
        self.room = Room("r", 0, 1, keep)
        self.history_length = history
        self.redis = State("", 0, 0, b"0-0", ())
        self.epochs = 0
        self.set_back: set[str] = set()
        self.texts = 0
        self.clock = self.cursor = 0
        self.stream: list[Arrival] = []
        self.told: list[Sequenced | Gap] = []
        self.acked: list[tuple[Arrival, int]] = []
        self.owed: list[tuple[str, int]] = []
        self.read: State | None = None
        self.asked_to_renew = False
        self.start: tuple[str, int] | None = None
        self.publish(early)
        self.ask()
        self.publish(early)
        self.read_on(early)
        self.answer()

    # --- Redis ---------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4), heard=st.booleans())
    def publish(self, count: int, heard: bool = False) -> None:
        for _ in range(count):
            self.texts += 1
            self.clock += 1
            entry = pack(Said("u", "n", str(self.texts), 1, "scroll", 25, self.clock))
            at = b"%d-0" % self.clock
            if not self.redis.epoch:
                self.redis = replace(self.redis, epoch=self.new_epoch())
            new = Arrival(self.redis.epoch, self.redis.seq + 1, entry, at)
            history = (*self.redis.history, new)[-self.history_length :]
            self.redis = replace(self.redis, seq=new.seq, mark=at, history=history)
            self.stream.append(new)
        if heard:
            self.read_on(99)

    @rule()
    def publish_from_here(self) -> None:
        """The acknowledgement comes before the message does."""
        self.publish(1)
        new, position = self.stream[-1], self.room.position
        if self.room.live and position.epoch in (UNSPOKEN, new.epoch):
            self.acked.append((new, len(self.told)))
        if position.acked(new.epoch, new.seq):
            self.asked_to_renew = True

    @precondition(lambda self: self.room.live)
    @rule(lost=st.integers(1, 2))
    def publish_from_here_and_lose_it(self, lost: int) -> None:
        self.publish_from_here()
        self.fail_over(lost, 0, noticed=True)

    @precondition(lambda self: self.room.live)
    @rule()
    def publish_from_here_and_lose_it_for_another(self) -> None:
        """The next one is acknowledged at the number of one that is lost and was never read."""
        epoch = self.room.position.known
        self.publish_from_here()
        lost = self.stream[-1]
        self.set_back_by(1)
        self.set_back.add(lost.epoch)
        self.publish_from_here()
        if self.stream[-1].epoch == lost.epoch and epoch in (UNSPOKEN, lost.epoch):
            assert not self.room.live
            self.owed.append((f"{lost.epoch}-{lost.seq}", len(self.told)))

    def owe_a_gap(self) -> None:
        """Positions are compared while the place of what was acknowledged is nobody's."""
        here = self.room.position
        for new, since in self.acked:
            told = any(isinstance(event, Gap) for event in self.told[since:])
            unread = new.seq > here.seq and here.epoch in (UNSPOKEN, new.epoch)
            gone = self.redis.epoch == UNSPOKEN or self.redis.seq < new.seq
            if unread and gone and not told:
                self.owed.append((f"{new.epoch}-{new.seq}", len(self.told)))

    @rule()
    def lose_the_room(self) -> None:
        """Its keys expired or were deleted; the stream is still there."""
        self.redis = State("", 0, 0, self.redis.mark, ())

    @precondition(lambda self: self.room.live)
    @rule(lost=st.integers(1, 3), since=st.integers(0, 3), noticed=st.booleans())
    def fail_over(self, lost: int, since: int, noticed: bool) -> None:
        """A replica takes over that lacks the newest entries.

        The reader compares positions, or else it reads on and finds what came since.
        """
        epoch = self.redis.epoch
        self.set_back_by(lost)
        self.publish(since)
        self.set_back.add(epoch)
        if noticed or not since:
            self.owe_a_gap()
            self.resync()
        else:
            self.read_on(99)

    def set_back_by(self, lost: int) -> None:
        seq = max(self.redis.base, self.redis.seq - lost)
        epoch = self.redis.epoch
        self.stream = [old for old in self.stream if old.epoch != epoch or old.seq <= seq]
        mark = self.stream[-1].at if self.stream else b"0-0"
        history = tuple(old for old in self.redis.history if old.seq <= seq)
        # A replica without any of the room's entries does not know the room.
        known = epoch if seq else UNSPOKEN
        self.redis = replace(self.redis, epoch=known, seq=seq, mark=mark, history=history)

    def renew(self, old: str) -> None:
        assert old in self.set_back, "an epoch was given up that was sound"
        if self.redis.epoch == old:
            self.redis = replace(self.redis, epoch=self.new_epoch(), base=self.redis.seq)

    def new_epoch(self) -> str:
        self.epochs += 1
        return f"e{self.epochs}"

    # --- the shard -----------------------------------------------------------------------------

    @precondition(lambda self: not self.room.live)
    @rule()
    def ask(self) -> None:
        """The read is done in Redis; its answer is on its way."""
        if self.asked_to_renew:
            self.renew(self.room.position.known)
            self.asked_to_renew = False
        self.read = self.redis

    @precondition(lambda self: not self.room.live)
    @rule()
    def answer(self) -> None:
        if self.read is None:
            self.ask()
        state, self.read = self.read, None
        assert state is not None
        history = [read(e.entry, "r", state.epoch, e.seq) for e in state.history]
        position = self.room.position
        self.room.remember_only(history)
        if position.sync is Sync.LOADING:
            self.start = state.epoch, state.seq
            self.give(position.load(state.epoch, state.seq, state.mark))
            return
        if position.set_back(state.epoch, state.seq):
            self.renew(state.epoch)
            state = self.redis
            history = [read(e.entry, "r", state.epoch, e.seq) for e in state.history]
            self.room.remember_only(history)
        filled, taken = position.fill(state.epoch, state.seq, history, state.mark, state.base)
        events = in_order("r", filled)
        assert filled.lost == sum(event.lost for event in events if isinstance(event, Gap))
        self.told += events
        self.give(taken)

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Anything that is in the stream, in any order, any number of times."""
        if self.stream:
            newest = self.stream[-12:]
            self.give(
                self.room.position.take(data.draw(st.lists(st.sampled_from(newest), max_size=6)))
            )

    @rule(count=st.integers(1, 12))
    def go_back(self, count: int) -> None:
        """What a reader does whose cursor was set a little behind."""
        self.cursor = 0
        self.read_on(99, skip=max(0, len(self.stream) - count))

    @rule(count=st.integers(1, 8))
    def read_on(self, count: int, skip: int = 0) -> None:
        """What a reader does."""
        unread = [new for new in self.stream if id_order(new.at)[0] > self.cursor][skip:]
        for new in unread[:count]:
            self.cursor = id_order(new.at)[0]
        self.give(self.room.position.take(unread[:count]))

    def give(self, taken: Taken) -> None:
        for new in taken.ready:
            message = read(new.entry, "r", new.epoch, new.seq)
            self.room.recent.append(message)
            self.told.append(message)
        if taken.gap:
            self.asked_to_renew = taken.rewound

    @precondition(lambda self: self.room.live)
    @rule()
    def resync(self) -> None:
        position = self.room.position
        known = self.room.recent[-1] if self.room.recent else None
        there = [e for e in self.redis.history if e.seq == position.seq]
        found = read(there[0].entry, "r", self.redis.epoch, position.seq) if there else None
        self.asked_to_renew = bool(
            position.confirm(self.redis.epoch, self.redis.seq, self.redis.mark, known, found)
        )

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def members_are_told_in_order_and_of_every_gap(self) -> None:
        if not getattr(self, "start", None):
            return
        assert self.start is not None
        epoch, seq = self.start
        for event in self.told:
            if isinstance(event, Gap):
                if event.epoch == epoch != UNSPOKEN or (not epoch and event.lost):
                    assert event.lost == event.seq - seq > 0
                epoch, seq = event.epoch, event.seq
            else:
                assert isinstance(event, Msg)
                if not epoch:  # the first one goes on from there, and from nowhere else
                    assert event.seq == 1
                    epoch, _, _ = event.id.partition("-")
                assert event.id == f"{epoch}-{seq + 1}"
                seq += 1
        assert f"{epoch}-{seq}" == str(self.room.position)

    @invariant()
    def nothing_is_told_twice(self) -> None:
        texts = [event.text for event in getattr(self, "told", []) if isinstance(event, Msg)]
        assert len(texts) == len(set(texts))

    @invariant()
    def what_is_remembered_is_the_rooms_own(self) -> None:
        room = getattr(self, "room", None)
        if room is None or not room.live:
            return
        seqs = [message.seq for message in room.recent]
        assert seqs == sorted(set(seqs))
        here = room.position
        for since in range(max(0, here.seq - 6), here.seq + 2):
            missed = room.missed(Since(here.epoch, since))
            if missed is not None:
                assert [place.seq for place in missed] == [*range(since + 1, here.seq + 1)]

    def teardown(self) -> None:
        """When Redis is quiet at last, the room is where Redis is, and says the same."""
        if not hasattr(self, "room"):
            return
        for _ in range(5):
            while not self.room.live:
                self.answer()
                self.members_are_told_in_order_and_of_every_gap()
            self.resync()
        assert self.room.live
        assert str(self.room.position) == f"{self.redis.epoch}-{self.redis.seq}"
        told = {message.id: message.text for message in self.told if isinstance(message, Msg)}
        for entry in self.redis.history:
            assert told.get(f"{self.redis.epoch}-{entry.seq}", text(entry)) == text(entry)
        assert id_order(self.room.position.mark) <= id_order(self.redis.mark)
        for place, since in self.owed:
            later = self.told[since:]
            # Before it was read how far Redis is, the number may have been another's.
            again = any(isinstance(one, Msg) and one.id == place for one in later)
            assert again or isinstance(later[0], Gap)


def text(arrival: Arrival) -> str:
    message = read(arrival.entry, "r", arrival.epoch, arrival.seq)
    assert isinstance(message, Msg)
    return message.text


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
