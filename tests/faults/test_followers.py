"""tests/faults/followers.py: what a client was told is all there is, or it is found."""

import pytest

from chat.client.follower import News
from chat.wire.schema import Gap, Joined, Msg, Removed, Shed
from tests.faults.books import Ack, Book, Line, Place, Taking
from tests.faults.followers import wrong

ROOM = "r"


def a_book(count: int, above: int = 0) -> Book:
    """So many messages, numbered as they stand; one of them is more than chat."""
    book = Book(budget=True)
    for number in range(1, count + 1):
        book.acks.append(Ack(number, Place("e", number), number, number))
        book.lines[number] = Line("u", above=number == above)
    return book


def joined(seq: int) -> Joined:
    return Joined(ROOM, "e", seq, 1, False, [])


def said(seq: int, number: int = 0) -> Msg:
    return Msg(ROOM, seq, f"e-{seq}", "u", "u", str(number or seq), 1, "top", 25, 5)


SOUND: list[News] = [joined(2), said(1), said(2), said(3), Shed(ROOM, 5, 2), Removed(ROOM, 6, 5)]


def test_all_that_is_shown_or_said_is_sound() -> None:
    assert wrong(a_book(6), SOUND) == []
    assert wrong(a_book(2), [joined(0), Shed(ROOM, 1, 1), said(2)]) == []
    assert wrong(a_book(4), [joined(0), said(1), Gap(ROOM, "e", 3, 2), said(4)]) == []


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ([*SOUND[:4], Shed(ROOM, 5, 1), SOUND[5]], "2 are missing up to 6: 1 shed, 0 lost"),
        ([*SOUND[:4], Shed(ROOM, 5, 3), SOUND[5]], "2 are missing up to 6: 3 shed, 0 lost"),
        ([*SOUND[:2], said(3), said(2), *SOUND[4:]], "out of order, or twice"),
        ([*SOUND, Removed(ROOM, 6, 5)], "out of order, or twice"),
        ([*SOUND[:3], said(3, number=9), *SOUND[4:]], "9 is not what was acknowledged at 3"),
    ],
    ids=["fewer", "more", "order", "twice", "another"],
)
def test_what_is_not_is_told(told: list[News], what: str) -> None:
    assert [what in one for one in wrong(a_book(6), told)] == [True]


def test_it_may_have_been_told_twice_when_it_came_back() -> None:
    assert wrong(a_book(6), [*SOUND, joined(6), Shed(ROOM, 5, 2)]) == []


def test_what_was_taken_back_may_be_handed_on_as_nothing() -> None:
    book = a_book(6)
    book.takings.append(Taking(Place("e", 2), "", 9.0))
    assert wrong(book, [SOUND[0], SOUND[1], *SOUND[3:]]) == []
    told = [SOUND[0], SOUND[2], *SOUND[4:]]
    assert wrong(book, told) == ["3 are missing up to 6: 2 shed, 0 lost"]


def test_what_is_more_than_chat_is_not_left_out() -> None:
    assert wrong(a_book(6, above=4), SOUND) == ["what is more than chat was left out"]
