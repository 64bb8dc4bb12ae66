"""tests/faults/watchers.py: who has no position is owed what is said while it is connected."""

import pytest

from tests.faults.books import Ack, Book, Cut, Item, Joined, Line, Live, Log, Place, Stalled, Taking
from tests.faults.verdict import Breach, Verdict
from tests.faults.watchers import SURE_S, audit_watcher

HERE = Place("", 0)


def a_book(count: int, epoch: str = "e", first: int = 1) -> Book:
    """Messages, numbered as they stand, one a second: each acknowledged half a second later."""
    book = Book()
    add(book, count, epoch, first)
    return book


def add(book: Book, count: int, epoch: str, first: int = 1) -> None:
    start = len(book.acks)
    for at in range(start, start + count):
        number = at + 1
        book.sent.add(number)
        book.lines[number] = Line("u")
        place = Place(epoch, first + at - start)
        book.acks.append(Ack(number, place, float(number), number + 0.5))


def let_in(at: float) -> Joined:
    return Joined(at, HERE, None, False, [])


def came(number: int, seq: int = 0, at: float = 0.0) -> Live:
    seq = seq or number
    return Live("", seq, seq, [(seq, number)], at=at or number + 0.6)


def judged(book: Book, *log: Item, lost: tuple[Place, ...] = ()) -> Verdict:
    return audit_watcher(book, Log(log), lost)


class TestSound:
    def test_all_that_is_said_while_it_is_connected(self) -> None:
        verdict = judged(a_book(6), let_in(2.0), *map(came, (3, 4, 5)), Cut(5.7))
        assert verdict.balances, verdict.notes
        assert (verdict.owed, verdict.delivered, verdict.away) == (3, 3, 3)

    def test_each_connection_begins_anew(self) -> None:
        """A shard that is late may begin with what another has sent it before."""
        log = (let_in(0.5), came(1), came(2), Cut(3.2), let_in(4.7), came(2), came(3), came(5))
        verdict = judged(a_book(5), *log)
        assert verdict.breaches == {Breach.SILENT: 1}  # 4 is between what it was sent
        assert judged(a_book(5), *log[:-1]).balances
        assert judged(a_book(5), *log[:7], came(4), came(5)).balances

    def test_what_others_were_told_is_lost(self) -> None:
        log = let_in(0.5), came(1), came(4)
        verdict = judged(a_book(4), *log, lost=(Place("e", 2), Place("e", 3)))
        assert verdict.balances, verdict.notes
        assert (verdict.delivered, verdict.said) == (2, 2)

    def test_who_reads_too_slowly_misses_what_comes_then(self) -> None:
        verdict = judged(a_book(6), let_in(0.5), came(1), Stalled(1.8), came(2), came(6))
        assert verdict.balances, verdict.notes
        assert (verdict.delivered, verdict.away) == (3, 3)

    def test_a_crowded_room_leaves_out_chat_and_takes_back(self) -> None:
        book = a_book(4)
        book.budget = True
        book.takings.append(Taking(Place("e", 3), "", 9.0))
        verdict = judged(book, let_in(0.5), came(1), came(4))
        assert verdict.balances, verdict.notes
        assert (verdict.shed, verdict.taken) == (1, 1)

    def test_numbers_begin_anew_in_another_epoch(self) -> None:
        book = a_book(2)
        add(book, 2, "f")
        verdict = judged(book, let_in(0.5), came(1), came(2), came(3, 1), came(4, 2))
        assert verdict.balances, verdict.notes

    def test_who_was_away_is_not_owed_what_was_lost_with_its_place(self) -> None:
        book = a_book(3)
        book.sent.add(9)
        book.acks.append(Ack(9, Place("e", 2), 5.0, 5.5))
        log = let_in(3.9), came(1), came(9, 2), came(3)
        assert judged(book, *log).balances
        log = let_in(0.5), came(1), came(9, 2), came(3)
        assert judged(book, *log).breaches == {Breach.SILENT: 1}
        gone = let_in(0.5), came(1), came(2), came(3), Cut(4.0)  # before the second one was said
        assert judged(book, *gone).balances


class TestPlanted:
    @pytest.mark.parametrize(
        ("log", "breach"),
        [
            ((let_in(0.5), came(1), came(3)), Breach.SILENT),
            ((let_in(0.5), came(2)), Breach.SILENT),
            ((let_in(0.5), came(1), came(2), came(2)), Breach.TWICE),
            ((let_in(0.5), came(1), came(3), came(2)), Breach.DISORDER),
            ((let_in(0.5), came(1), came(2, 3)), Breach.WRONG),
            ((let_in(0.5), came(1), came(99)), Breach.WRONG),
        ],
        ids=["between", "first", "twice", "order", "place", "nobody's"],
    )
    def test_one_error_is_found(self, log: tuple[Item, ...], breach: Breach) -> None:
        assert breach in judged(a_book(3), *log).breaches

    def test_nor_may_a_crowded_room_leave_out_what_is_more_than_chat(self) -> None:
        book = a_book(3)
        book.budget = True
        book.lines[2] = Line("u", above=True)
        assert judged(book, let_in(0.5), came(1), came(3)).breaches == {Breach.SILENT: 1}

    def test_a_whole_epoch_that_came_and_went(self) -> None:
        book = a_book(2)
        add(book, 2, "f")
        late = book.acks[-1].at + SURE_S + 1
        add(book, 1, "g")
        log = let_in(0.5), came(1), came(2), came(5, 1, at=late)
        assert judged(book, *log).breaches == {Breach.SILENT: 2}
        assert judged(book, *log, lost=(Place("f", 1), Place("f", 2))).balances
