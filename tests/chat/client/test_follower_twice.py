"""A follower where numbers were given out twice, as after a failover that lost its tail."""

from chat.client.follower import Follower
from chat.wire.commands import Since
from chat.wire.schema import (
    Gap,
    Joined,
)
from tests.chat.client.test_follower import batch, following, gap, joined, msg, seqs, standing


class TestGivenOutTwice:
    """A server that had lost its newest gave their numbers to other messages."""

    def test_the_position_has_the_time_of_what_stands_there(self) -> None:
        follower = following(5)
        assert follower.since == Since("e1", 5)  # the answer said none, and showed nothing
        follower.take(batch(6, 7), 100)
        assert follower.since == standing(7)
        follower.take(batch(7, 9, to=12), 100)
        assert follower.since == Since("e1", 12)  # nothing is shown there
        follower.take(gap(20, "e2"), 100)
        assert follower.since == Since("e2", 20)
        follower.lost()
        follower.welcomed(200)
        follower.join(2, 200)
        follower.take(joined(20, epoch="e2", ref=2, recovered=True, ts=77), 200)
        assert follower.since == Since("e2", 20, 77)

    def coming_back(self) -> Follower:
        """It had come to message 6."""
        follower = following(5)
        follower.take(batch(6), 100)
        follower.lost()
        follower.welcomed(200)
        follower.join(2, 200)
        return follower

    def test_all_that_stands_there_now_is_new(self) -> None:
        told = joined(7, 4, 5, 6, 7, ref=2, ts=9)
        told.history[2].ts = 8
        first, answer, *new = self.coming_back().take(told, 200)
        assert first == Gap("lobby", "e1", 3, 0)
        assert isinstance(answer, Joined)
        assert seqs(new) == [4, 5, 6, 7]

    def test_also_where_they_have_yet_to_be_given_out(self) -> None:
        first, answer, *new = self.coming_back().take(joined(5, 4, 5, ref=2), 200)
        assert first == Gap("lobby", "e1", 3, 0)
        assert isinstance(answer, Joined)
        assert seqs(new) == [4, 5]

    def test_where_only_the_answer_itself_says_what_stands_there(self) -> None:
        first, _ = self.coming_back().take(joined(6, ref=2, ts=9), 200)
        assert first == Gap("lobby", "e1", 6, 0)
        [answer] = self.coming_back().take(joined(6, ref=2, ts=msg(6).ts), 200)
        assert isinstance(answer, Joined)

    def test_what_nothing_vouches_for_is_a_gap_of_nobody_knows_how_many(self) -> None:
        first, _, *new = self.coming_back().take(joined(8, 7, 8, ref=2), 200)
        assert first == Gap("lobby", "e1", 6, 0)
        assert seqs(new) == [7, 8]

    def test_not_what_is_only_not_recovered(self) -> None:
        first, answer, *new = self.coming_back().take(joined(8, 4, 6, 8, ref=2), 200)
        assert first == Gap("lobby", "e1", 7, 1)
        assert isinstance(answer, Joined)
        assert seqs(new) == [8]
