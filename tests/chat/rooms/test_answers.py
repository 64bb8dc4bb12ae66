"""What a join is answered with: exactly what was missed, or that it is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.bus.store import RoomState
from chat.rooms.answers import is_behind, is_stale, joined, missed_since, resumed
from chat.rooms.room import Room
from chat.wire.commands import Since
from chat.wire.schema import Delete, Removed
from tests.chat.rooms.test_position import message


def a_room(epoch: str, seq: int, remembers: int = 3) -> Room:
    room = Room("r", 0, 1, 3)
    room.position.load(epoch, seq, b"0-0")
    room.recent.extend(message(n, epoch) for n in range(max(1, seq - remembers + 1), seq + 1))
    return room


def a_read(epoch: str, seq: int, first: int = 1) -> RoomState:
    places = [message(n, epoch) for n in range(first, seq + 1)]
    return RoomState(epoch, seq, 0, b"0-0", places)


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
        for places, same in ((room.recent, known), (state.places, kept)):
            for place in places:
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


class TestReads:
    def test_one_is_stale_when_the_room_went_on_by_more_than_it_remembers(self) -> None:
        assert not is_stale(a_room("e", 8), Since("e", 1), a_read("e", 5))
        assert is_stale(a_room("e", 9), Since("e", 1), a_read("e", 5))
        assert not is_stale(a_room("x", 9), Since("e", 1), a_read("e", 5))
        assert is_stale(a_room("e", 9, remembers=0), Since("e", 1), a_read("e", 5))
        assert not is_stale(a_room("e", 5, remembers=0), Since("e", 1), a_read("e", 5))

    def test_this_shard_is_behind_when_redis_has_what_the_client_has(self) -> None:
        assert is_behind(a_room("e", 3), Since("e", 4), a_read("e", 4))
        assert is_behind(a_room("", 0), Since("e", 1), a_read("e", 1))
        assert not is_behind(a_room("e", 4), Since("e", 4), a_read("e", 4))
        assert not is_behind(a_room("e", 3), Since("e", 5), a_read("e", 4))
        assert not is_behind(a_room("x", 3), Since("e", 4), a_read("e", 4))


class TestAnswers:
    def test_who_says_no_position_is_shown_the_newest(self) -> None:
        answer = joined(a_room("e", 9))
        assert (answer.epoch, answer.seq, answer.recovered) == ("e", 9, False)
        assert answer.history[0].seq == 7
        assert len(answer.history) == 3

    def test_who_has_missed_something_gets_that(self) -> None:
        answer = resumed(a_room("e", 9), Since("e", 8), [message(9)])
        assert (answer.seq, answer.recovered, len(answer.history)) == (9, True, 1)

    def test_each_says_when_what_stands_at_its_position_was_published(self) -> None:
        room = a_room("e", 9)
        assert (joined(room).ts, joined(a_room("", 0)).ts) == (9, UNSET)
        assert resumed(room, Since("e", 9, 9), []).ts == 9
        assert resumed(room, Since("e", 12, 345), []).ts == 345  # which this shard has yet to read
        assert resumed(room, Since("e", 12), []).ts is UNSET
        assert resumed(room, Since("e", 12, 345), None).ts == 9

    @pytest.mark.parametrize("here", [("e", 3), ("", 0)])
    def test_who_is_ahead_of_this_shard_stays_there(self, here: tuple[str, int]) -> None:
        answer = resumed(a_room(*here), Since("e", 4), [])
        assert (answer.epoch, answer.seq, answer.recovered) == ("e", 4, True)

    def test_who_cannot_be_resumed_is_told_so(self) -> None:
        answer = resumed(a_room("e", 9), Since("x", 40), None)
        assert (answer.epoch, answer.seq, answer.recovered) == ("e", 9, False)
        assert len(answer.history) == 3
