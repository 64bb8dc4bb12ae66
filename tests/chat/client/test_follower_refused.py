"""A follower whose joins are refused, and one that begins at a position that was kept."""

import msgspec

from chat.client.follower import Follower, Stage, position
from chat.wire.commands import Join
from chat.wire.schema import Error, ErrorCode, Gap, Left, Msg
from tests.chat.client.test_follower import joined, msg, rejoining, standing


class TestRefusals:
    def test_one_worth_repeating_is_repeated_when_told(self) -> None:
        follower = rejoining(5)
        follower.refuse(Error(ErrorCode.UNAVAILABLE, "later", 2, 2.5), 200)
        assert (follower.stage, follower.join_at) == (Stage.WANTED, 202.5)
        assert follower.refusal(until=202.5) is None

    def test_another_one_stands(self) -> None:
        follower = rejoining(5)
        refusal = Error(ErrorCode.BAD_ROOM, "no", 2)
        follower.refuse(refusal, 200)
        assert (follower.stage, follower.refusal(until=1e9)) == (Stage.REFUSED, refusal)

    def test_a_new_connection_is_a_new_chance(self) -> None:
        follower = rejoining(5)
        follower.refuse(Error(ErrorCode.TOO_MANY_ROOMS, "no", 2), 200)
        follower.lost()
        follower.welcomed(300)
        assert (follower.stage, follower.refusal(until=0)) == (Stage.WANTED, None)

    def test_for_long_it_is_a_refusal_until_it_is_asked_again(self) -> None:
        follower = Follower("lobby")
        follower.welcomed(100)
        follower.join(1, 100)
        closed = Error(ErrorCode.FORBIDDEN, "no", 1, 60.0)
        follower.refuse(closed, 100)
        assert follower.refusal(until=159) is closed
        assert follower.refusal(until=160) is None
        follower.join(2, 160)
        assert follower.refusal(until=160) is None
        follower.refuse(closed, 160)
        follower.lost()
        assert follower.refusal(until=160) is None
        follower.welcomed(170)
        follower.join(3, 170)
        follower.refuse(closed, 170)
        follower.join(4, 230)
        follower.take(joined(5, ref=4), 230)
        assert (follower.stage, follower.refusal(until=0)) == (Stage.LIVE, None)

    def test_who_is_banned_or_sent_out_stays_out_until_the_owner_asks(self) -> None:
        banned = Error(ErrorCode.BANNED, "no", 2, 1.0)
        kicked = Left("lobby", "kicked")
        refused, sent_out = rejoining(5), rejoining(5)
        refused.refuse(banned, 200)
        sent_out.sent_out(kicked)
        for follower in (refused, sent_out):
            follower.lost()
            follower.welcomed(300)
            stages = [follower.stage]
            assert follower.refusal(until=1e9) is not None
            for up in (False, True):
                follower.ask(400, up)
                stages.append(follower.stage)
            assert stages == [Stage.OUT, Stage.DOWN, Stage.WANTED]
            assert (follower.join_at, follower.refusal(until=1e9)) == (400, None)


class TestPosition:
    def test_a_message_says_where_it_stands(self) -> None:
        assert position(msg(7)) == standing(7)
        assert position(msgspec.structs.replace(msg(7), id="a-b-7")).epoch == "a-b"

    def test_who_begins_at_one_gets_what_comes_behind_it(self) -> None:
        follower = Follower("lobby", position(msg(3)))
        follower.welcomed(100)
        assert follower.join(1, 100) == Join("lobby", standing(3), 1)
        new = follower.take(joined(5, 4, 5, recovered=True, ref=1), 100)
        assert [event.seq for event in new if isinstance(event, Msg)] == [4, 5]

    def test_who_begins_at_one_is_told_what_is_gone(self) -> None:
        follower = Follower("lobby", position(msg(3)))
        follower.welcomed(100)
        follower.join(1, 100)
        assert follower.take(joined(9, 8, 9, ref=1), 100)[0] == Gap("lobby", "e1", 7, 4)
