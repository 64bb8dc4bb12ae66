"""Messages under way: acknowledged, refused, lost, or seen in the room."""

import asyncio

import msgspec
import pytest

from chat.client.unacked import Sending, Unacked
from chat.wire.commands import Send
from chat.wire.schema import Ack, Error, ErrorCode, Msg
from tests.chat import fakenode as wire

REFUSAL = Error(ErrorCode.RATE_LIMITED, "slowly", 1, 0.5)


def ack(ref: int, seq: int) -> Ack:
    return Ack("lobby", seq, f"e1-{seq}", 1_764_000_000_000 + seq, ref)


def echo(seq: int, text: str = "hi", room: str = "lobby") -> Msg:
    return msgspec.convert(wire.msg(seq, text, room=room), Msg)


@pytest.fixture
def unacked() -> Unacked:
    return Unacked()


def under_way(unacked: Unacked, ref: int, text: str = "hi") -> Sending:
    sending = unacked.add(Send("lobby", text, id=f"id{ref}"))
    sending.attempt(ref, "guest:1")
    return sending


class TestAnswers:
    async def test_an_ack_ends_its_message(self, unacked: Unacked) -> None:
        first, second = under_way(unacked, 1), under_way(unacked, 2)
        assert unacked.answered(ack(2, 9))
        assert await second.answer() == ack(2, 9)
        assert first.ack is None

    async def test_an_error_ends_the_attempt_only(self, unacked: Unacked) -> None:
        sending = under_way(unacked, 1)
        assert unacked.answered(REFUSAL)
        assert await sending.answer() == REFUSAL
        again = sending.attempt(2, "guest:1")
        assert (again.id, again.ref) == ("id1", 2)
        unacked.answered(ack(2, 9))
        assert await sending.answer() == ack(2, 9)

    async def test_an_answer_to_something_else_is_nobodys(self, unacked: Unacked) -> None:
        under_way(unacked, 1)
        assert not unacked.answered(ack(7, 9))

    async def test_an_error_without_ref_is_not_for_a_message_not_yet_sent(
        self, unacked: Unacked
    ) -> None:
        unacked.add(Send("lobby", "hi"))
        assert not unacked.answered(Error(ErrorCode.BAD_REQUEST, "what"))

    async def test_a_lost_link_ends_every_attempt_with_nothing(self, unacked: Unacked) -> None:
        sendings = [under_way(unacked, ref) for ref in (1, 2)]
        unacked.lost()
        assert [await sending.answer() for sending in sendings] == [None, None]

    async def test_what_is_removed_is_forgotten(self, unacked: Unacked) -> None:
        sending = under_way(unacked, 1)
        unacked.remove(sending)
        assert len(unacked) == 0
        assert not unacked.answered(ack(1, 9))


class TestSender:
    """By whom it may have been published."""

    async def test_nobody_before_it_was_sent_and_where_it_was_refused(
        self, unacked: Unacked
    ) -> None:
        assert unacked.add(Send("lobby", "hi")).sender == ""
        sending = under_way(unacked, 1)
        assert sending.sender == "guest:1"
        unacked.answered(REFUSAL)
        assert sending.sender == ""

    async def test_who_sent_it_where_no_answer_came(self, unacked: Unacked) -> None:
        sending = under_way(unacked, 1)
        unacked.lost()
        assert sending.sender == "guest:1"

    async def test_also_where_it_was_refused_after_that(self, unacked: Unacked) -> None:
        sending = under_way(unacked, 7)
        sending.attempt(1, "guest:1")
        unacked.answered(REFUSAL)
        unacked.lost()
        assert sending.sender == "guest:1"


class TestEchoes:
    async def test_a_message_seen_is_acknowledged(self, unacked: Unacked) -> None:
        sending = under_way(unacked, 1, " hi ")
        unacked.seen(echo(9))
        assert await sending.answer() == Ack("lobby", 9, "e1-9", 1_764_000_000_009)

    async def test_one_seen_after_the_link_broke_need_not_be_sent_again(
        self, unacked: Unacked
    ) -> None:
        sending = under_way(unacked, 1)
        unacked.lost()
        assert await sending.answer() is None
        unacked.seen(echo(9))
        assert sending.ack is not None
        assert sending.ack.seq == 9

    async def test_the_oldest_with_that_text_was_it(self, unacked: Unacked) -> None:
        other, first, second = (
            under_way(unacked, 1, "other"),
            under_way(unacked, 2),
            under_way(unacked, 3),
        )
        unacked.seen(echo(9))
        assert [each.ack is not None for each in (other, first, second)] == [False, True, False]

    async def test_an_echo_after_its_ack_is_not_taken_for_the_next(self, unacked: Unacked) -> None:
        under_way(unacked, 1)
        second = under_way(unacked, 2)
        unacked.answered(ack(1, 9))
        unacked.seen(echo(9))
        assert second.ack is None

    async def test_unavailable_leaves_it_open_whether_it_was_published(
        self, unacked: Unacked
    ) -> None:
        sending = under_way(unacked, 1)
        unacked.answered(Error(ErrorCode.UNAVAILABLE, "later", 1, 0.5))
        assert sending.sender == "guest:1"
        sending.attempt(2, "guest:1")
        unacked.answered(Error(ErrorCode.RATE_LIMITED, "slowly", 2, 0.5))
        assert sending.sender == "guest:1"

    async def test_what_was_never_sent_cannot_be_seen(self, unacked: Unacked) -> None:
        sending = unacked.add(Send("lobby", "hi"))
        unacked.seen(echo(9))
        assert sending.ack is None

    async def test_another_rooms_message_is_another(self, unacked: Unacked) -> None:
        sending = under_way(unacked, 1)
        unacked.seen(echo(9, room="attic"))
        assert sending.ack is None


async def test_an_ack_after_the_attempt_was_given_up_still_counts(unacked: Unacked) -> None:
    sending = under_way(unacked, 1)
    waiting = asyncio.create_task(sending.answer())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    unacked.answered(ack(1, 9))
    assert sending.ack == ack(1, 9)
