"""Messages that are taken back while rooms are followed: nobody who comes later is shown them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from chat.bus.entries import Said, pack
from chat.bus.redaction import NeverPublished, NoMessage, Redaction
from chat.bus.store import Outgoing, Receipt
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.rooms.answers import joined, resumed
from chat.rooms.position import UNSPOKEN
from chat.rooms.replay import Replay
from chat.rooms.room import Room
from chat.wire.batch import expand
from chat.wire.commands import Since
from chat.wire.schema import Clear, Delete, Gap, Joined, Msg, Removed, Sequenced
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import new_prefix, publish, until

Step = tuple[str, int]
UIDS = ("u0", "u1")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say"] * 6 + ["delete"] * 3 + ["clear", "clear all"] + ["look"] * 4),
        st.integers(0, 50),
    ),
    min_size=4,
    max_size=25,
)


async def in_step(desk: Desk, room: Room) -> None:
    """The shard has all there is."""
    known = await desk.store.peek_room(room.name) or (UNSPOKEN, 0)
    await until(lambda: room.live and (room.position.epoch, room.position.seq) == known, "the step")


class TestShards:
    async def test_each_forgets_what_was_removed(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Desk(valkey.url, prefix) as here, Desk(valkey.url, prefix, "s2") as there:
            rooms = [await desk.open() for desk in (here, there)]
            await publish(here.store, ROOM, "fine", "vile")
            await until(lambda: all(room.position.seq == 2 for room in rooms))
            for room in rooms:
                assert [one.text for one in joined(room).history] == ["fine", "vile"]
            await Redaction(here.store, lambda: 5.0).remove(ROOM, 2)
            await until(lambda: all(room.position.seq == 3 for room in rooms))
            for room in rooms:
                assert [one.removed for one in joined(room).history][1] is True
                assert "vile" not in repr(joined(room))
                since = Since("e00001", 1)
                assert "vile" not in repr(resumed(room, since, room.missed(since)))

    async def test_one_that_is_late_fills_the_hole(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as desk:
            room = await desk.open()
            await desk.stop_reading()
            await publish(desk.store, ROOM, "fine", "vile", "well")
            await Redaction(desk.store, lambda: 5.0).remove(ROOM, 2)
            await desk.feed()
            await in_step(desk, room)
            told = [event for _, event in desk.emitted if isinstance(event, Msg | Gap | Removed)]
            assert [type(one) for one in told] == [Msg, Removed, Msg]
            assert desk.count(ChatCount.GAPS) == desk.count(ChatCount.REWINDS) == 0
            assert desk.count(ChatCount.GAP_MESSAGES_LOST) == 0

    async def test_a_removed_place_is_no_room_set_back(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as desk:
            await publish(desk.store, ROOM, "a", "vile")
            room = await desk.open()
            await desk.stop_reading()
            await Redaction(desk.store, lambda: 5.0).remove(ROOM, 2)
            await desk.rooms.resync()
            await in_step(desk, room)
            assert desk.count(ChatCount.REWINDS) == 0
            assert room.position.epoch == "e00001"
            assert "vile" not in repr(joined(room))

    async def test_a_number_given_out_again_is_seen_though_its_message_was_removed(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Desk(valkey.url, prefix) as desk:
            await publish(desk.store, ROOM, "a", "b")
            room = await desk.open()
            await desk.stop_reading()
            await desk.set_back(1)
            await publish(desk.store, ROOM, "vile")
            await Redaction(desk.store, lambda: 5.0).remove(ROOM, 2)
            await desk.rooms.resync()
            await until(lambda: room.live and room.position.seq == 3)
            assert desk.count(ChatCount.REWINDS) == 1
            assert room.position.epoch != "e00001"
            assert "vile" not in repr(desk.emitted)


@dataclass
class Model:
    """What a room holds, and when it was taken back: the seq of what told of it."""

    said: dict[int, str] = field(default_factory=dict)
    uids: dict[int, str] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    seq: int = 0

    def say(self, seq: int, text: str, uid: str) -> None:
        self.said[seq], self.uids[seq], self.seq = text, uid, seq

    def take_back(self, at: int, seqs: Sequence[int]) -> None:
        self.seq = at
        for seq in seqs:
            self.gone.setdefault(seq, at)

    def check(self, first: int, upto: int, places: Sequence[Sequenced]) -> None:
        """`places` are all from `first` to `upto`, as who comes then is to be shown them."""
        assert [place.seq for place in places] == list(range(first, upto + 1))
        for place in places:
            seq = place.seq
            if isinstance(place, Msg):
                assert place.text == self.said[seq]
                assert self.gone.get(seq, upto + 1) > upto, f"{seq} was taken back"
            elif isinstance(place, Removed):
                assert seq in self.gone
            else:
                assert seq not in self.said


def shown(answer: Joined) -> list[Sequenced]:
    return list(expand(answer.room, answer.epoch, answer.history))


class World:
    """Two shards on one Valkey, what is done to their room, and what it should hold."""

    def __init__(self, here: Desk, there: Desk) -> None:
        self.desks = here, there
        self.model = Model()
        self.redaction = Redaction(here.store, lambda: 5.0)
        self.store = here.store
        self.replays: list[tuple[Room, Replay]] = []

    async def do(self, step: str, n: int, rooms: Sequence[Room]) -> None:
        match step:
            case "say":
                await self.say(n)
            case "delete":
                await self.delete(1 + n % (self.model.seq + 2))
            case "clear":
                await self.clear(UIDS[n % 2])
            case "clear all":
                await self.clear(None)
            case "look":
                await self.look(self.desks[n % 2], rooms[n % 2], n)

    async def say(self, n: int) -> None:
        uid, text = UIDS[n % 2], f"text-{self.model.seq + 1}"
        entry = pack(Said(uid, "n", text, 1, "scroll", 25, 1_000 + self.model.seq))
        [receipt] = await self.store.publish([Outgoing(ROOM, uid, entry)], "e1", 1, 0)
        assert isinstance(receipt, Receipt)
        self.model.say(receipt.seq, text, uid)

    async def delete(self, seq: int) -> None:
        model = self.model
        try:
            done = await self.redaction.remove(ROOM, seq)
        except NeverPublished:
            assert seq > model.seq
        except NoMessage:
            assert seq not in model.said
        else:
            assert seq in model.said
            assert (done.seq == 0) is (seq in model.gone)
            if done.seq:
                model.take_back(done.seq, [seq])

    async def clear(self, uid: str | None) -> None:
        model = self.model
        done = await self.redaction.clear(ROOM, uid)
        going = [seq for seq, whose in model.uids.items() if uid in (None, whose)]
        assert done.count == len([seq for seq in going if seq not in model.gone])
        if done.seq:
            model.take_back(done.seq, going)

    async def look(self, desk: Desk, room: Room, n: int) -> None:
        """Join, resume and page: at whatever the shard has come to by now."""
        if n % 3 == 0:
            await in_step(desk, room)
        if not room.live:
            return
        here = room.position
        newest = shown(joined(room))
        self.model.check(here.seq - len(newest) + 1, here.seq, newest)
        after = n % (here.seq + 1)
        missed = room.missed(Since(here.epoch, after))
        if missed is not None:
            self.model.check(after + 1, here.seq, missed)
        state = await desk.store.open_room(ROOM, after=after, of=here.epoch)
        if room.live:
            self.replays.append((room, Replay(room, state, after - 1)))
        self.check_replays()
        self.model.check(after + 1, state.seq, state.places)
        page = await desk.store.page_before(ROOM, after + 1, 5)
        self.model.check(max(1, after - 4), after, page.places)

    def check_replays(self) -> None:
        """What was read is what those who resume are shown, as long as it holds."""
        self.replays = [(room, one) for room, one in self.replays if one.follow(room)]
        for room, replay in self.replays:
            since = Since(replay.epoch, replay.after + 1)
            stretch = replay.missed(room, since) if room.live else None
            if stretch is not None:
                self.model.check(since.seq + 1, room.position.seq, stretch.places)


class TestAnyOrder:
    @settings(max_examples=40, deadline=None)
    @given(STEPS)
    def test_nobody_who_comes_later_gets_what_was_taken_back(
        self, valkey: EmbeddedEngine, steps: list[Step]
    ) -> None:
        """And positions stay without holes, on a shard that is late, too."""
        asyncio.run(self._play(valkey.url, steps))

    async def _play(self, url: str, steps: list[Step]) -> None:
        prefix = new_prefix()
        async with Desk(url, prefix) as here, Desk(url, prefix, "s2") as there:
            rooms = [await desk.open() for desk in (here, there)]
            world = World(here, there)
            for step, n in steps:
                await world.do(step, n, rooms)
            for desk, room in zip(world.desks, rooms, strict=True):
                await in_step(desk, room)
                told = [event for _, event in desk.emitted if isinstance(event, Sequenced)]
                assert [event.seq for event in told] == list(range(1, world.model.seq + 1))
                assert not [event for _, event in desk.emitted if isinstance(event, Gap)]
                again = {one.target for one in told if isinstance(one, Delete)}
                cleared = [one for one in told if isinstance(one, Clear)]
                for seq, at in world.model.gone.items():
                    assert seq in again or any(one.seq == at for one in cleared)
