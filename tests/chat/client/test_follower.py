"""A room as a client follows it: joins, duplicates, jumps, gaps."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from chat.client.follower import RESYNC_SPACING_S, Follower, News, RoomEvent, Stage
from chat.wire.batch import shorten
from chat.wire.commands import Join, Since
from chat.wire.schema import (
    Clear,
    Delete,
    Gap,
    Joined,
    Message,
    Msg,
    Msgs,
    Removed,
    Shed,
    State,
)
from tests.chat import fakenode as wire

CONTROLS: list[Delete | Clear | State] = [
    Delete("lobby", 6, 3, 1),
    Clear("lobby", 6, 1),
    Clear("lobby", 6, 1, "u9"),
    State("lobby", 6, 1, {"slow_s": 2}),
]


def msg(seq: int) -> Msg:
    return msgspec.convert(wire.msg(seq), Msg)


def batch(*seqs: int, epoch: str = "e1", **more: int) -> Msgs:
    """A batch of these messages; its span goes from the first to the last, or as `more` says."""
    messages = [wire.msg(seq, id=f"{epoch}-{seq}") for seq in seqs]
    return msgspec.convert(wire.batch(*messages, **more), Msgs)


def joined(seq: int, *history: int, epoch: str = "e1", **more: Any) -> Joined:
    messages = [wire.msg(each) for each in history]
    return msgspec.convert(wire.joined("lobby", seq, epoch, *messages, **more), Joined)


def gap(seq: int, epoch: str = "e1") -> Gap:
    return Gap("lobby", epoch, seq, 3)


def standing(seq: int, epoch: str = "e1") -> Since:
    """The position of who saw that message."""
    return Since(epoch, seq, msg(seq).ts)


def following(seq: int, at: float = 100.0) -> Follower:
    """Live at `seq`, its join sent at `at`."""
    follower = Follower("lobby")
    follower.welcomed(at)
    follower.join(1, at)
    follower.take(joined(seq, ref=1), at)
    assert follower.stage is Stage.LIVE
    return follower


def rejoining(seq: int) -> Follower:
    """Was live at `seq`; the join of its next connection is under way, as number 2."""
    follower = following(seq)
    follower.lost()
    follower.welcomed(200)
    follower.join(2, 200)
    return follower


def seqs(events: Sequence[News]) -> list[int]:
    """The messages' seqs; an answer to a join comes without its history."""
    assert not any(event.history for event in events if isinstance(event, Joined))
    return [event.seq for event in events if isinstance(event, Msg)]


class TestTakenBack:
    def test_places_of_what_was_taken_back_are_no_holes(self) -> None:
        follower = rejoining(5)
        history = shorten([Removed("lobby", 6), msg(7), Removed("lobby", 8)], None)
        answer = Joined(
            "lobby", "e1", 9, 1, True, [*history, Message(t="delete", target=8, ts=1)], 2
        )
        new = follower.take(answer, 200)
        assert [type(one) for one in new] == [Joined, Removed, Msg, Removed, Delete]
        assert follower.since == Since("e1", 9)


class TestJoining:
    def test_the_first_join_asks_for_the_newest(self) -> None:
        follower = Follower("lobby")
        assert follower.stage is Stage.DOWN
        follower.welcomed(100)
        assert (follower.stage, follower.join_at) == (Stage.WANTED, 100)
        assert follower.join(1, 100) == Join("lobby", None, 1)
        assert follower.asked(1)
        assert not follower.asked(2)

    def test_the_answer_is_taken_whole(self) -> None:
        follower = Follower("lobby")
        follower.welcomed(100)
        follower.join(1, 100)
        assert seqs(follower.take(joined(9, 7, 8, 9, ref=1), 100)) == [7, 8, 9]
        assert follower.since == Since("e1", 9)

    def test_the_next_connection_asks_since_the_last_message(self) -> None:
        follower = following(5)
        follower.take(batch(6), 100)
        follower.lost()
        follower.welcomed(200)
        assert follower.join(2, 200) == Join("lobby", standing(6), 2)

    def test_an_answer_to_an_older_join_is_not_taken(self) -> None:
        follower = rejoining(5)
        assert follower.take(joined(9, ref=1), 200) == []
        assert follower.since == Since("e1", 5)

    def test_a_join_by_the_url_is_taken(self) -> None:
        follower = Follower("lobby")
        follower.welcomed(100)
        assert seqs(follower.take(joined(2, 1, 2), 100)) == [1, 2]
        assert follower.stage is Stage.LIVE

    @pytest.mark.parametrize("event", [batch(6), gap(20), *CONTROLS])
    def test_nothing_live_is_taken_until_the_answer(self, event: RoomEvent) -> None:
        follower = rejoining(5)
        assert follower.take(event, 200) == []
        assert (follower.stage, follower.since) == (Stage.ASKED, Since("e1", 5))


class TestResuming:
    def test_recovered_is_exactly_what_was_missed(self) -> None:
        events = rejoining(5).take(joined(7, 6, 7, ref=2, recovered=True), 200)
        assert [type(event) for event in events] == [Joined, Msg, Msg]
        assert seqs(events) == [6, 7]

    def test_a_hole_is_counted_before_what_follows_it(self) -> None:
        follower = rejoining(5)
        first, *rest = follower.take(joined(12, 10, 11, 12, ref=2), 200)
        assert first == Gap("lobby", "e1", 9, 4)
        assert isinstance(rest[0], Joined)
        assert seqs(rest) == [10, 11, 12]
        assert follower.since == Since("e1", 12)

    def test_without_history_everything_up_to_seq_was_missed(self) -> None:
        first, _ = rejoining(5).take(joined(8, ref=2), 200)
        assert first == Gap("lobby", "e1", 8, 3)

    def test_messages_already_seen_are_not_repeated(self) -> None:
        events = rejoining(5).take(joined(7, 4, 5, 6, 7, ref=2), 200)
        assert [type(event) for event in events] == [Joined, Msg, Msg]
        assert seqs(events) == [6, 7]

    def test_in_a_new_epoch_lower_seqs_are_new_and_the_loss_is_unknown(self) -> None:
        follower = rejoining(500)
        first, *rest = follower.take(joined(2, 1, 2, epoch="e2", ref=2), 200)
        assert first == Gap("lobby", "e2", 0, 0)
        assert isinstance(rest[0], Joined)
        assert seqs(rest) == [1, 2]
        assert seqs(follower.take(batch(3, epoch="e2"), 200)) == [3]


class TestLive:
    def test_the_next_is_new_and_an_old_one_is_not(self) -> None:
        follower = following(5)
        taken = [seqs(follower.take(batch(seq), 100)) for seq in (6, 6, 4, 7)]
        assert taken == [[6], [], [], [7]]

    def test_a_jump_asks_again_from_the_last_message(self) -> None:
        follower = following(5, at=100)
        assert follower.take(batch(9), 150) == []
        assert (follower.stage, follower.join_at) == (Stage.WANTED, 150)
        assert follower.join(2, 150).since == Since("e1", 5)
        assert seqs(follower.take(joined(9, 6, 7, 8, 9, ref=2, recovered=True), 150)) == [
            6,
            7,
            8,
            9,
        ]

    def test_joins_after_jumps_are_spaced(self) -> None:
        follower = following(5, at=100)
        follower.take(batch(9), 100.25)
        assert follower.join_at == 100 + RESYNC_SPACING_S

    def test_a_gap_behind_a_jump_is_one(self) -> None:
        follower = following(5)
        assert follower.take(gap(10), 100) == []  # 8 to 10 are lost, 6 and 7 were left out
        assert (follower.stage, follower.since) == (Stage.WANTED, Since("e1", 5))

    def test_a_gap_that_goes_on_from_the_position_is_taken(self) -> None:
        follower = following(5)
        assert follower.take(gap(8), 100) == [gap(8)]
        assert (follower.stage, follower.since) == (Stage.LIVE, Since("e1", 8))

    def test_after_a_gap_it_goes_on_where_the_server_says(self) -> None:
        follower = following(5)
        assert follower.take(gap(20, "e2"), 100) == [gap(20, "e2")]
        assert seqs(follower.take(batch(21, epoch="e2"), 100)) == [21]
        assert follower.since == standing(21, "e2")


class TestBatches:
    def test_one_that_overlaps_gives_what_was_not_seen(self) -> None:
        follower = following(5)
        assert seqs(follower.take(batch(4, 5, 6, 7), 100)) == [6, 7]
        assert follower.since == standing(7)

    def test_one_that_was_seen_moves_nothing(self) -> None:
        follower = following(5)
        assert follower.take(batch(3, 4), 100) == []
        assert follower.since == Since("e1", 5)
        assert follower.stage is Stage.LIVE

    def test_a_hole_inside_is_not_for_this_viewer(self) -> None:
        follower = following(5)
        assert seqs(follower.take(batch(6, 9, to=12), 100)) == [6, 9]
        assert follower.since == Since("e1", 12)
        assert seqs(follower.take(batch(13), 100)) == [13]

    def test_an_empty_one_moves_the_position(self) -> None:
        follower = following(5)
        assert follower.take(Msgs("lobby", "e1", 6, 7, []), 100) == []
        assert follower.since == Since("e1", 7)
        assert seqs(follower.take(batch(8), 100)) == [8]

    def test_one_that_begins_after_a_hole_of_its_own_is_next(self) -> None:
        assert seqs(following(5).take(batch(8, seq=6), 100)) == [8]

    @pytest.mark.parametrize("first", [1, 6, 400])
    def test_one_of_another_epoch_is_never_taken_for_seen(self, first: int) -> None:
        follower = following(5, at=50)
        assert follower.take(batch(first, epoch="e2"), 100) == []
        assert (follower.stage, follower.since) == (Stage.WANTED, Since("e1", 5))

    def test_one_with_nothing_for_this_viewer_moves_it_all_the_same(self) -> None:
        follower = following(5)
        assert follower.take(Msgs("lobby", "e1", 6, 8, []), 100) == []
        assert follower.since == Since("e1", 8)
        assert seqs(follower.take(batch(9), 100)) == [9]

    def test_one_behind_a_jump_moves_nothing(self) -> None:
        follower = following(5, at=50)
        assert follower.take(batch(7, 8, 9), 100) == []
        assert (follower.stage, follower.join_at) == (Stage.WANTED, 100)
        assert follower.since == Since("e1", 5)

    def test_its_messages_are_whole(self) -> None:
        told = [wire.msg(6), wire.msg(7, uid=wire.GUEST, name="guest-4e5f", color=1, kind="gift")]
        event = msgspec.convert(wire.batch(*told), Msgs)
        assert following(5).take(event, 100) == [msgspec.convert(each, Msg) for each in told]


class TestControls:
    @pytest.mark.parametrize("event", CONTROLS)
    def test_what_is_no_message_takes_a_number_too(self, event: Delete | Clear | State) -> None:
        follower = following(5)
        assert follower.take(event, 100) == [event]
        assert follower.since == Since("e1", 6, event.ts)
        assert follower.take(event, 100) == []
        assert seqs(follower.take(batch(7), 100)) == [7]

    @pytest.mark.parametrize("event", CONTROLS)
    def test_one_that_jumps_asks_again(self, event: Delete | Clear | State) -> None:
        behind = following(4, at=50)
        assert behind.take(event, 100) == []
        assert (behind.stage, behind.since) == (Stage.WANTED, Since("e1", 4))

    @pytest.mark.parametrize("event", CONTROLS)
    def test_one_that_was_missed_comes_in_its_place(self, event: Delete | Clear | State) -> None:
        follower = rejoining(4)
        history = shorten([msg(5), event, msg(7)], None)
        answer = Joined("lobby", "e1", 7, 1, True, history, 2)
        _, *missed = follower.take(answer, 200)
        assert missed == [msg(5), event, msg(7)]
        assert follower.since == Since("e1", 7)

    @pytest.mark.parametrize("event", CONTROLS)
    def test_one_that_was_seen_does_not_come_again(self, event: Delete | Clear | State) -> None:
        history = shorten([msg(5), event], None)
        answer = Joined("lobby", "e1", 6, 1, False, history, 2)
        [only] = rejoining(6).take(answer, 200)
        assert isinstance(only, Joined)


class TestUnspoken:
    """A room that nobody had spoken in when we came."""

    def unspoken(self) -> Follower:
        follower = Follower("lobby")
        follower.welcomed(50)
        follower.join(1, 50)
        assert seqs(follower.take(joined(0, epoch="", ref=1), 50)) == []
        return follower

    def test_the_first_epoch_goes_on_from_there(self) -> None:
        follower = self.unspoken()
        assert follower.since == Since("", 0)
        assert seqs(follower.take(batch(1, 2), 100)) == [1, 2]
        assert follower.since == standing(2)

    def test_a_jump_in_it_is_one(self) -> None:
        follower = self.unspoken()
        assert follower.take(batch(2), 100) == []
        assert follower.join(2, 100).since == Since("", 0)
        events = follower.take(joined(2, 1, 2, ref=2, recovered=True), 100)
        assert [type(event) for event in events] == [Joined, Msg, Msg]

    def test_what_is_lost_of_it_is_counted(self) -> None:
        follower = self.unspoken()
        follower.lost()
        follower.welcomed(200)
        follower.join(2, 200)
        first, *_ = follower.take(joined(9, 8, 9, ref=2), 200)
        assert first == Gap("lobby", "e1", 7, 7)

    @pytest.mark.parametrize("event", [Delete("lobby", 1, 3, 1), State("lobby", 1, 1, {})])
    def test_a_place_that_names_no_epoch_is_asked_about(self, event: Delete | State) -> None:
        follower = self.unspoken()
        assert follower.take(event, 100) == []
        assert (follower.stage, follower.since) == (Stage.WANTED, Since("", 0))

    def test_a_room_may_become_unspoken_again(self) -> None:
        follower = following(5)
        told = gap(0, "")
        assert follower.take(told, 100) == [told]
        assert seqs(follower.take(batch(1, epoch="e2"), 100)) == [1]


class TestShed:
    def test_it_is_told_and_moves_the_position(self) -> None:
        follower = following(5)
        shed = Shed("lobby", 8, 3)
        assert follower.take(shed, 101.0) == [shed]
        assert follower.since == Since("e1", 8)
        assert seqs(follower.take(batch(9), 101.0)) == [9]

    def test_behind_its_batch_it_moves_nothing(self) -> None:
        follower = following(5)
        assert seqs(follower.take(batch(6, seq=6, to=9), 101.0)) == [6]
        shed = Shed("lobby", 9, 3)
        assert follower.take(shed, 101.0) == [shed]
        assert follower.since == Since("e1", 9)
        assert seqs(follower.take(batch(10), 101.0)) == [10]
        follower.take(Shed("lobby", 10, 1), 101.0)
        assert follower.since == standing(10)

    def test_while_a_join_is_unanswered_it_is_not_taken(self) -> None:
        follower = following(5)
        follower.take(batch(9), 200.0)
        assert follower.stage is Stage.WANTED
        assert follower.take(Shed("lobby", 9, 1), 200.0) == []
