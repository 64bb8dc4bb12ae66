"""A room as a client follows it: joins, duplicates, jumps, gaps."""

from typing import Any

import msgspec
import pytest

from chat.client.follower import RESYNC_SPACING_S, Follower, Phase
from chat.wire.schema import Error, ErrorCode, Gap, Join, Joined, Msg, ServerEvent, Since
from tests.chat import fakenode as wire


def msg(seq: int) -> Msg:
    return msgspec.convert(wire.msg(seq), Msg)


def joined(seq: int, *history: int, epoch: str = "e1", **more: Any) -> Joined:
    messages = [wire.msg(each) for each in history]
    return msgspec.convert(wire.joined("lobby", seq, epoch, *messages, **more), Joined)


def gap(seq: int, epoch: str = "e1") -> Gap:
    return Gap("lobby", epoch, seq, 3)


def following(seq: int, at: float = 100.0) -> Follower:
    """Live at `seq`, its join sent at `at`."""
    follower = Follower("lobby")
    follower.welcomed(at)
    follower.join(1, at)
    follower.take(joined(seq, ref=1), at)
    assert follower.phase is Phase.LIVE
    return follower


def rejoining(seq: int) -> Follower:
    """Was live at `seq`; the join of its next connection is under way, as number 2."""
    follower = following(seq)
    follower.lost()
    follower.welcomed(200)
    follower.join(2, 200)
    return follower


def seqs(events: list[ServerEvent]) -> list[int]:
    """The messages' seqs, live or in a joined."""
    found: list[int] = []
    for event in events:
        if isinstance(event, Joined):
            found += [message.seq for message in event.history]
        elif isinstance(event, Msg):
            found.append(event.seq)
    return found


class TestJoining:
    def test_the_first_join_asks_for_the_newest(self) -> None:
        follower = Follower("lobby")
        assert follower.phase is Phase.DOWN
        follower.welcomed(100)
        assert (follower.phase, follower.join_at) == (Phase.WANTED, 100)
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
        follower.take(msg(6), 100)
        follower.lost()
        follower.welcomed(200)
        assert follower.join(2, 200) == Join("lobby", Since("e1", 6), 2)

    def test_an_answer_to_an_older_join_is_not_taken(self) -> None:
        follower = rejoining(5)
        assert follower.take(joined(9, ref=1), 200) == []
        assert follower.since == Since("e1", 5)

    def test_a_join_by_the_url_is_taken(self) -> None:
        follower = Follower("lobby")
        follower.welcomed(100)
        assert seqs(follower.take(joined(2, 1, 2), 100)) == [1, 2]
        assert follower.phase is Phase.LIVE

    @pytest.mark.parametrize("event", [msg(6), gap(20)])
    def test_nothing_live_is_taken_until_the_answer(self, event: Msg | Gap) -> None:
        follower = rejoining(5)
        assert follower.take(event, 200) == []
        assert follower.since == Since("e1", 5)


class TestResuming:
    def test_recovered_is_exactly_what_was_missed(self) -> None:
        events = rejoining(5).take(joined(7, 6, 7, ref=2, recovered=True), 200)
        assert [type(event) for event in events] == [Joined]
        assert seqs(events) == [6, 7]

    def test_a_hole_is_counted_before_what_follows_it(self) -> None:
        follower = rejoining(5)
        first, second = follower.take(joined(12, 10, 11, 12, ref=2), 200)
        assert first == Gap("lobby", "e1", 9, 4)
        assert seqs([second]) == [10, 11, 12]
        assert follower.since == Since("e1", 12)

    def test_without_history_everything_up_to_seq_was_missed(self) -> None:
        first, _ = rejoining(5).take(joined(8, ref=2), 200)
        assert first == Gap("lobby", "e1", 8, 3)

    def test_messages_already_seen_are_not_repeated(self) -> None:
        events = rejoining(5).take(joined(7, 4, 5, 6, 7, ref=2), 200)
        assert [type(event) for event in events] == [Joined]
        assert seqs(events) == [6, 7]

    def test_in_a_new_epoch_lower_seqs_are_new_and_the_loss_is_unknown(self) -> None:
        follower = rejoining(500)
        first, second = follower.take(joined(2, 1, 2, epoch="e2", ref=2), 200)
        assert first == Gap("lobby", "e2", 0, 0)
        assert seqs([second]) == [1, 2]
        assert seqs(follower.take(msg(3), 200)) == [3]


class TestLive:
    def test_the_next_is_new_and_an_old_one_is_not(self) -> None:
        follower = following(5)
        taken = [seqs(follower.take(msg(seq), 100)) for seq in (6, 6, 4, 7)]
        assert taken == [[6], [], [], [7]]

    def test_a_jump_asks_again_from_the_last_message(self) -> None:
        follower = following(5, at=100)
        assert follower.take(msg(9), 150) == []
        assert (follower.phase, follower.join_at) == (Phase.WANTED, 150)
        assert follower.join(2, 150).since == Since("e1", 5)
        assert seqs(follower.take(joined(9, 6, 7, 8, 9, ref=2, recovered=True), 150)) == [
            6,
            7,
            8,
            9,
        ]

    def test_joins_after_jumps_are_spaced(self) -> None:
        follower = following(5, at=100)
        follower.take(msg(9), 100.25)
        assert follower.join_at == 100 + RESYNC_SPACING_S

    def test_after_a_gap_it_goes_on_where_the_server_says(self) -> None:
        follower = following(5)
        assert follower.take(gap(20, "e2"), 100) == [gap(20, "e2")]
        assert seqs(follower.take(msg(21), 100)) == [21]
        assert follower.since == Since("e2", 21)


class TestRefusals:
    def test_one_worth_repeating_is_repeated_when_told(self) -> None:
        follower = rejoining(5)
        follower.refuse(Error(ErrorCode.UNAVAILABLE, "later", 2, 2.5), 200)
        assert (follower.phase, follower.join_at) == (Phase.WANTED, 202.5)
        assert follower.refusal is None

    def test_another_one_stands(self) -> None:
        follower = rejoining(5)
        refusal = Error(ErrorCode.BAD_ROOM, "no", 2)
        follower.refuse(refusal, 200)
        assert (follower.phase, follower.refusal) == (Phase.REFUSED, refusal)

    def test_a_new_connection_is_a_new_chance(self) -> None:
        follower = rejoining(5)
        follower.refuse(Error(ErrorCode.TOO_MANY_ROOMS, "no", 2), 200)
        follower.lost()
        follower.welcomed(300)
        assert (follower.phase, follower.refusal) == (Phase.WANTED, None)
