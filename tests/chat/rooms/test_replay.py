"""What was missed: exactly that or nothing, as the room goes on; and written in parts."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from chat.bus.store import RoomState
from chat.config.sections import Server
from chat.rooms import replay as module
from chat.rooms.replay import Replay
from chat.rooms.room import Room
from chat.wire.batch import shorten
from chat.wire.commands import Since
from chat.wire.dialects.dialect import Dialect
from chat.wire.dialects.eventstream import EVENT_STREAM
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.schema import Delete, Joined, Msg, Removed, Sequenced, Shadowed
from chat.wire.variants import Variants
from tests.chat.rooms.test_position import message
from tests.chat.wire.test_batch import places

DIALECTS: tuple[Dialect, ...] = (JSON, MSGPACK, EVENT_STREAM)


def a_room(epoch: str, seq: int, remembers: int = 3) -> Room:
    room = Room("r", 0, 1, 3, lambda partition: "now")
    room.position.load(epoch, seq, b"0-0")
    room.recent.extend(message(n, epoch) for n in range(max(1, seq - remembers + 1), seq + 1))
    return room


def a_read(epoch: str, seq: int, first: int = 1) -> RoomState:
    places = [message(n, epoch) for n in range(first, seq + 1)]
    return RoomState(epoch, seq, 0, b"0-0", places)


def go_on(room: Room, *heard: Sequenced) -> None:
    """The room's next places have come."""
    room.recent.extend(heard)
    room.position.seq += len(heard)


def missed_since(room: Room, since: Since, state: RoomState) -> list[Sequenced] | None:
    stretch = Replay(room, state, since.seq - 1).missed(room, since)
    return None if stretch is None else stretch.places


class TestMissed:
    @given(
        *(st.integers(0, 12), st.integers(0, 12), st.integers(1, 12), st.integers(0, 12)),
        *(st.integers(0, 3), st.sets(st.integers(1, 12), max_size=2)),
    )
    def test_it_is_whole_or_it_is_nothing(
        self, here: int, redis: int, first: int, after: int, remembers: int, holes: set[int]
    ) -> None:
        """However far this shard, Redis and the client have come, and whatever is left of it."""
        room = a_room("e", here, remembers)
        state = a_read("e", redis, first)
        state.places = [place for place in state.places if place.seq not in holes]
        missed = missed_since(room, Since("e", after), state)
        if missed is None:
            read_to = max((one.seq for one in state.places if one.seq <= here), default=after)
            known = {one.seq for one in state.places}
            known |= {one.seq for one in room.recent if one.seq > read_to}
            assert after > redis or not {*range(after + 1, here + 1)} <= known
        else:
            assert [place.seq for place in missed] == [*range(after + 1, here + 1)]

    @given(
        *(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)),
        *(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9), st.sampled_from((0, 100, 200))),
    )
    def test_who_says_a_time_is_recovered_only_where_that_is_what_stands_there(
        self,
        here: int,
        redis: int,
        first: int,
        after: int,
        remembers: int,
        known: int,
        kept: int,
        lost: int,
    ) -> None:
        """This shard knows the first numbering up to `known`, Redis up to `kept`; what came after
        that was published 100 or 200 later. The client comes from either, or says no time."""
        room = a_room("e", here, remembers)
        state = a_read("e", redis, first)
        for held, same in ((room.recent, known), (state.places, kept)):
            for place in held:
                place.ts += 100 * (place.seq > same)
        told = Since("e", after, after + lost if lost else 0)
        missed = missed_since(room, told, state)
        untimed = missed_since(room, Since("e", after), state)
        times = {one.ts for one in (*state.places, *room.recent) if one.seq == after}
        vouched = not told.ts or times == {told.ts}
        assert missed == (untimed if vouched else None)
        if room.missed(told) is not None or room.is_over(told):
            there = {one.ts for one in room.recent if one.seq == after}
            assert room.is_over(told) == bool(told.ts and there and there != {told.ts})

    @pytest.mark.parametrize(
        ("since", "here", "redis", "whole"),
        [
            (("", 0), "", "", True),
            (("", 0), "e", "e", True),
            (("", 0), "e", "", True),  # it was read just before the first message
            (("e", 0), "", "e", True),  # this shard has not read that yet
            (("e", 0), "e", "", False),  # the state was lost since
            (("e", 0), "x", "x", False),
            (("e", 0), "e", "x", False),
            (("e", 0), "", "x", False),
            (("e", 0), "", "", False),
            (("~now", 0), "", "", True),
            (("~now", 1), "e", "e", True),
            (("~now", 1), "", "e", True),
            (("~now", 1), "e", "", False),
            (("~now", 1), "", "", False),
            (("~before", 0), "", "", False),
            (("~before", 1), "e", "e", False),
            (("", 1), "e", "e", False),
        ],
    )
    def test_an_epoch_that_is_not_known_yet_is_no_other_one(
        self, since: tuple[str, int], here: str, redis: str, whole: bool
    ) -> None:
        room = a_room(here, 2 if here else 0)
        state = a_read(redis, 2 if redis else 0)
        assert (missed_since(room, Since(*since), state) is not None) == whole


class TestTakenBack:
    def test_a_read_from_before_a_removal_does_not_bring_it_back(self) -> None:
        room = a_room("e", 9)
        room.recent[-1] = Delete("r", 9, 5, 1)
        missed = missed_since(room, Since("e", 3), a_read("e", 8))
        assert missed is not None
        assert [place.seq for place in missed if isinstance(place, Removed)] == [5]
        assert [place.seq for place in missed] == [4, 5, 6, 7, 8, 9]


class TestFollowing:
    def test_it_takes_what_the_room_hears(self) -> None:
        room = a_room("e", 5)
        replay = Replay(room, a_read("e", 5), 0)
        for seq in range(6, 20):
            go_on(room, message(seq))
            assert replay.follow(room)
            stretch = replay.missed(room, Since("e", 2))
            assert stretch is not None
            assert [place.seq for place in stretch.places] == [*range(3, seq + 1)]
            assert replay.covers(Since("e", seq))

    @given(
        st.integers(0, 9), st.integers(0, 9), st.integers(0, 6), st.lists(st.integers(0, 5)),
        st.integers(0, 9),
    )  # fmt: skip
    def test_it_is_as_good_as_another_read_or_says_that_it_is_not(
        self, here: int, redis: int, after: int, steps: list[int], since: int
    ) -> None:
        """Whatever the shard and Redis had when it was read, and however the room goes on."""
        room = a_room("e", here)
        replay = Replay(room, a_read("e", redis, after + 1), after)
        for step in steps:
            go_on(room, *(message(room.position.seq + 1 + n) for n in range(step)))
            if not replay.follow(room):
                return
            now = room.position.seq
            stretch = replay.missed(room, Since("e", since))
            if stretch is not None:
                assert [place.seq for place in stretch.places] == [*range(since + 1, now + 1)]
            elif here <= redis and replay.covers(Since("e", since)):
                assert since < after or since > max(now, redis)

    def test_where_a_place_has_to_vouch_one_that_begins_behind_it_is_read_again(self) -> None:
        """As when who comes from the next place was there a moment before."""
        room, state = a_room("e", 20), a_read("e", 20, 3)
        replay = Replay(room, state, 2)
        for seq, vouched in ((2, False), (3, True)):
            known = Since("e", seq, message(seq).ts)
            assert replay.covers(known) is vouched
            assert (replay.missed(room, known) is not None) is vouched
        assert replay.covers(Since("e", 2))
        assert replay.missed(room, Since("e", 2)) is not None

    def test_one_is_stale_when_the_room_went_on_by_more_than_it_remembers(self) -> None:
        def holds(room: Room, read: int) -> bool:
            return Replay(room, a_read("e", read), 0).follow(room)

        assert holds(a_room("e", 8), 5)
        assert not holds(a_room("e", 9), 5)
        assert holds(a_room("x", 9), 5)
        assert not holds(a_room("e", 9, remembers=0), 5)
        assert holds(a_room("e", 5, remembers=0), 5)
        room = a_room("e", 5)
        replay = Replay(room, a_read("e", 7), 0)
        go_on(room, *(message(seq) for seq in range(6, 11)))
        assert replay.follow(room)
        go_on(room, *(message(seq) for seq in range(11, 15)))
        assert not replay.follow(room)

    def test_it_ends_when_anything_is_taken_back(self) -> None:
        room = a_room("e", 5)
        replay = Replay(room, a_read("e", 5), 0)
        told = Delete("r", 6, 2, 6)
        go_on(room, told)
        room.forget(told)
        assert not replay.follow(room)

    def test_it_ends_with_the_epoch(self) -> None:
        room = a_room("e", 5)
        replay = Replay(room, a_read("e", 5), 0)
        room.position.load("x", 5, b"0-0")
        assert not replay.follow(room)

    def test_one_of_another_epoch_does_not_outlive_the_place_it_was_read_at(self) -> None:
        room = a_room("x", 5)
        replay = Replay(room, a_read("e", 5), 0)
        assert replay.follow(room)
        assert replay.missed(room, Since("e", 2)) is None
        go_on(room, message(6, "x"))
        assert not replay.follow(room)

    def test_this_shard_is_behind_when_redis_has_what_the_client_has(self) -> None:
        def is_behind(room: Room, since: Since, state: RoomState) -> bool:
            return Replay(room, state, 0).is_behind(room, since)

        assert is_behind(a_room("e", 3), Since("e", 4), a_read("e", 4))
        assert is_behind(a_room("", 0), Since("e", 1), a_read("e", 1))
        assert is_behind(a_room("e", 3), Since("~now", 4), a_read("e", 4))
        assert not is_behind(a_room("e", 3), Since("~before", 4), a_read("e", 4))
        assert not is_behind(a_room("e", 4), Since("e", 4), a_read("e", 4))
        assert not is_behind(a_room("e", 3), Since("e", 5), a_read("e", 4))
        assert not is_behind(a_room("x", 3), Since("e", 4), a_read("e", 4))


def shadow(written: Sequence[Sequenced], which: set[int]) -> list[Sequenced]:
    return [
        Shadowed(place) if i in which and isinstance(place, Msg) else place
        for i, place in enumerate(written)
    ]


def in_parts(dialect: Dialect, event: Joined, replay: Replay, low: int, high: int) -> bytes:
    parts = replay.written(dialect, low, high)
    size = sum(len(part.raw) for part in parts)
    before, behind = dialect.around(event, Since("e", 1), replay.count(low, high), size)
    return before + b"".join(part.raw for part in parts) + behind


class TestWriting:
    @given(
        *(places(), st.sets(st.integers(0, 11)), st.integers(1, 4)),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        | st.sampled_from(['"history":[', "\xe7history", "\xa7history\x90"]),
        st.data(),
    )
    def test_a_stretch_is_written_as_an_event_with_that_history(
        self, written: list[Sequenced], hidden: set[int], piece: int, name: str, data: Any
    ) -> None:
        """In every dialect, wherever it begins and ends, and as the room goes on between."""
        shown, state = shadow(written, hidden), {"announcement": '"history":['}
        half = data.draw(st.integers(0, len(shown)))
        room = Room(name, 0, 1, 99)
        replay = Replay(room, RoomState("e", 0, 0, b"0-0", []), 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PIECE", piece)
            for heard in (shown[:half], shown[half:]):
                replay._take(heard)
                end = len(replay.places(0, 99))
                low = data.draw(st.integers(0, end))
                short = shorten(shown[low:end], None)
                whole = Joined(name, "e", 9, 1, True, short, 7, state, 5)
                event = structs.replace(whole, history=[])
                for dialect in DIALECTS:
                    found = in_parts(dialect, event, replay, low, end)
                    assert found == dialect.event(whole)

    def test_each_message_is_written_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """But for the first of a stretch, which is written with its number, too."""
        room = a_room("e", 500)
        replay = Replay(room, a_read("e", 500), 0)
        times = 0

        def place(written: Any, place: Sequenced) -> bytes:
            nonlocal times
            times += 1
            return JSON.event(written)

        monkeypatch.setattr(JSON, "place", place)
        for _ in range(3):
            for seq in range(100, 400):
                stretch = replay.missed(room, Since("e", seq))
                assert stretch is not None
                stretch.parts(JSON)
        assert times == 500 + 300

    def test_beginnings_that_are_kept_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "HEADS", 5)
        room = a_room("e", 500)
        replay = Replay(room, a_read("e", 500), 0)
        for low in range(100):
            assert replay.written(JSON, low, 500)
            assert len(replay._writings[JSON]._heads) <= 5

    def test_most_of_it_is_the_same_parts_for_all(self) -> None:
        room = a_room("e", 500)
        replay = Replay(room, a_read("e", 500), 0)
        first, second = (replay.written(JSON, low, 500) for low in (7, 150))
        assert [part for part in second[1:] if part not in first] == []
        sizes = [len(part.raw) for part in second]
        assert sum(sizes[1:]) > 0.8 * sum(sizes)

    def test_every_kind_of_connection_takes_them(self) -> None:
        room = a_room("e", 9)
        stretch = Replay(room, a_read("e", 9), 0).missed(room, Since("e", 2))
        assert stretch is not None
        for variant in Variants(Server()):
            assert variant.wrap_parts(b"[", stretch.parts(variant.dialect), b"]")
