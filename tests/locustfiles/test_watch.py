"""locustfiles/watch.py: whatever a server does wrong to a viewer, the load run fails for it."""

from msgspec import UNSET

from chat.wire.schema import (
    Ack,
    Clear,
    Delete,
    Gap,
    Joined,
    Left,
    Message,
    Msgs,
    Notice,
    Paged,
    ServerEvent,
    Shed,
    State,
)
from locustfiles.books import BACKEND, BOOT, Books, Stamp
from locustfiles.watch import BEHIND, LOST, OUT, PLACEHOLDER, TAKEN, WHOLE, Watch

ROOM = "a"


def said(text: str = "hi", seq: int | None = None, uid: str = "u1") -> Message:
    return Message(UNSET if seq is None else seq, uid=uid, text=text, ts=1)


def batch(first: int, *messages: Message, to: int = 0, epoch: str = "e1", room: str = ROOM) -> Msgs:
    messages = messages or (said(f"text {first}"),)
    return Msgs(room, epoch, first, to or first + len(messages) - 1, list(messages))


def joined(seq: int, *history: Message, recovered: bool = False, epoch: str = "e1") -> Joined:
    return Joined(ROOM, epoch, seq, 1, recovered, list(history))


def stamped(n: int, room: str = ROOM, source: str = f"{BACKEND}-1") -> str:
    return Stamp(BOOT, 2_000_000_000, source, room, n).text("hi")


def at(seq: int, books: Books | None = None, lenient: bool = False) -> Watch:
    """A viewer that has joined at a position."""
    watch = Watch(books or Books(), lenient)
    assert problems(watch, joined(seq)) == []
    return watch


def problems(watch: Watch, *events: ServerEvent) -> list[str]:
    return watch.take(events).problems


class TestOrder:
    def test_all_that_takes_a_place_follows(self) -> None:
        watch = at(7)
        events = (
            batch(8, said(), said("ho")),
            Delete(ROOM, 10, 8, 1),
            State(ROOM, 11, 1, {}),
            batch(12),
            Clear(ROOM, 13, 1),
        )
        assert problems(watch, *events) == []
        assert watch.positions[ROOM].seq == 13

    def test_a_gap_a_repeat_and_a_strange_room_are_seen(self) -> None:
        watch = at(7)
        assert problems(watch, batch(10)) == ["gap of 2"]
        assert problems(watch, batch(10)) == ["repeated or out of order"]
        assert problems(watch, batch(11, room="b")) == ["a message of a room never joined"]
        assert problems(watch, Left(ROOM)) == []
        assert problems(watch, batch(11)) == ["a message of a room never joined"]

    def test_a_strange_epoch_is_said_once_and_the_room_joined_again(self) -> None:
        watch = at(7)
        seen = watch.take([batch(8, epoch="e2")])
        assert seen.problems == ["of epoch e2, which nobody told of"]
        assert seen.rejoin == [ROOM]
        assert problems(watch, batch(9, epoch="e2")) == []

    def test_a_batch_holds_what_it_covers(self) -> None:
        assert problems(at(7), batch(8, said(), to=10)) == [
            "2 left out of a batch, which nobody told of"
        ]
        assert problems(at(7), batch(8, said(), to=10), Shed(ROOM, 10, 2)) == []
        assert "a message that its batch does not cover" in problems(
            at(7), batch(8, said(seq=12), to=8)
        )

    def test_one_place_is_the_same_message_to_everybody(self) -> None:
        books = Books()
        assert problems(at(7, books), batch(8, said("hi"))) == []
        assert problems(at(7, books), batch(8, said("ho"))) == [
            "another message than was told before"
        ]
        ack = Ack(ROOM, 8, "e1-8", 1)
        assert at(8, books).acked(ack, "ho").problems == ["another message than was told before"]

    def test_a_server_that_loses_something_fails(self) -> None:
        watch = at(7)
        assert problems(watch, Gap(ROOM, "e2", 9, 2)) == ["the server lost 2"]
        assert problems(watch, batch(10, epoch="e2")) == []

    def test_latency_is_of_the_oldest_message_that_comes_live(self) -> None:
        watch = at(7)
        assert watch.take([batch(8, said(), said(stamped(1)))]).oldest == 2.0
        assert watch.take([batch(10)]).oldest is None
        fresh = Watch(Books())
        assert fresh.take([joined(1, said(stamped(1), seq=1))]).oldest is None


class TestSources:
    def test_of_a_backends_texts_none_is_missing_and_none_comes_twice(self) -> None:
        watch = at(7)
        assert problems(watch, batch(8, said(stamped(1)))) == []
        assert problems(watch, batch(9, said(stamped(3)))) == ["1 of a backend's missing"]
        assert problems(watch, batch(10, said(stamped(3)))) == [
            "said again, or out of its author's order"
        ]

    def test_rooms_are_apart(self) -> None:
        assert problems(at(7), batch(8, said(stamped(1, room="b")))) == [
            "a message of another room"
        ]

    def test_a_notice_comes_once_to_who_is_there(self) -> None:
        watch = at(7)
        notices = [
            Notice(str(n), "all", "s", stamped(n, room="everyone"), 0, 1) for n in (1, 2, 4, 6)
        ]
        assert problems(watch, notices[0], notices[1]) == []
        assert problems(watch, notices[1]) == ["said again, or out of its author's order"]
        assert problems(watch, notices[2]) == ["1 of a backend's missing"]
        watch.cut_off()
        assert problems(watch, notices[3]) == []

    def test_what_was_refused_is_shown_to_nobody(self) -> None:
        books = Books()
        books.refused.add("spam")
        assert problems(at(7, books), batch(8, said("spam"))) == ["a message that was refused"]


class TestComingBack:
    def test_all_that_was_missed_is_in_the_answer(self) -> None:
        watch = at(7)
        watch.cut_off()
        assert watch.since(ROOM) is not None
        seen = watch.take([joined(9, said("x", seq=8), said("y"), recovered=True)])
        assert (seen.problems, seen.told) == ([], [WHOLE])
        assert problems(watch, batch(10)) == []

    def test_a_shard_that_is_behind_may_send_again_what_one_had(self) -> None:
        watch = at(7)
        watch.cut_off()
        assert watch.since(ROOM) is not None
        assert problems(watch, joined(7, recovered=True), batch(7), batch(8)) == []
        assert problems(watch, batch(8)) == ["repeated or out of order"]

    def test_a_hole_in_what_was_missed_is_seen(self) -> None:
        watch = at(7)
        watch.cut_off()
        assert problems(watch, joined(9, said("y", seq=9), recovered=True)) == [
            "1 missing of what was missed"
        ]

    def test_not_to_be_recovered_and_to_be_set_back_are_failures(self) -> None:
        assert problems(at(7), joined(9)) == ["not recovered after coming back"]
        assert problems(at(7), joined(5, recovered=True)) == [
            "resumed at another position than the room's"
        ]

    def test_who_is_somebody_new_is_owed_what_others_were_told_of(self) -> None:
        books = Books()
        watch, other = at(7, books), at(7, books)
        problems(other, batch(8))
        assert watch.missing(watch.goals()) == {ROOM: 1}
        problems(watch, batch(8))
        assert watch.missing(watch.goals()) == {}
        watch.cut_off()
        assert watch.missing(watch.goals()) == {ROOM: 0}

    def test_an_acknowledged_message_is_owed_to_its_author(self) -> None:
        watch = at(7)
        watch.acked(Ack(ROOM, 8, "e1-8", 1), "hi")
        assert watch.missing(watch.goals()) == {ROOM: 1}


class TestSlowReaders:
    def test_a_jump_is_being_told_and_the_answer_brings_the_rest(self) -> None:
        watch = at(7, lenient=True)
        seen = watch.take([batch(12)])
        assert (seen.problems, seen.told, seen.rejoin) == ([], [BEHIND], [ROOM])
        assert watch.take([batch(13)]).told == []
        missed = [said(f"x{seq}", seq=seq) for seq in range(8, 14)]
        assert watch.take([joined(13, *missed, recovered=True)]).told == [WHOLE]
        assert problems(watch, batch(14)) == []

    def test_the_newest_once_more_is_no_repeat(self) -> None:
        watch = at(7, lenient=True)
        assert problems(watch, batch(7)) == []
        assert problems(watch, Msgs(ROOM, "e1", 8, 7, [])) == []
        assert watch.positions[ROOM].seq == 7

    def test_a_loss_is_being_told(self) -> None:
        watch = at(7, lenient=True)
        assert watch.take([Gap(ROOM, "e1", 9, 2)]).told == [LOST]
        assert watch.take([joined(20, said(seq=20))]).told == [LOST]
        assert problems(watch, batch(21)) == []


class TestModeration:
    def test_what_was_taken_back_is_in_no_history_from_then_on(self) -> None:
        books = Books()
        assert at(9, books).take([Delete(ROOM, 10, 8, 1)]).told == [TAKEN]
        late = "a message that was taken back"
        history = [said("spam", seq=8), said("x", seq=9)]
        assert problems(Watch(books), joined(9, *history)) == []
        assert problems(Watch(books), joined(10, *history)) == [late]
        assert problems(Watch(books), joined(10, Message(8, removed=True))) == []

    def test_nor_is_it_on_a_page_that_is_asked_for_later(self) -> None:
        watch = at(9)
        watch.paging(ROOM, 1)
        watch.take([Delete(ROOM, 10, 8, 1)])
        watch.paging(ROOM, 2)
        page = [said("spam", seq=8)]
        assert problems(watch, Paged(ROOM, "e1", page, False, 1)) == []
        assert problems(watch, Paged(ROOM, "e1", page, False, 2)) == [
            "a message that was taken back"
        ]

    def test_a_users_clear_is_of_that_user(self) -> None:
        books = Books()
        at(9, books).take([Clear(ROOM, 10, 1, "u1")])
        history = [said("x", seq=8, uid="u2"), said("spam", seq=9, uid="u1")]
        assert problems(Watch(books), joined(10, *history)) == ["a message that was taken back"]

    def test_placeholders_are_places(self) -> None:
        watch = at(7)
        watch.cut_off()
        history = [Message(8, removed=True), said("x", seq=9)]
        seen = watch.take([joined(9, *history, recovered=True)])
        assert (seen.problems, seen.told) == ([], [WHOLE, PLACEHOLDER])

    def test_who_is_sent_out_is_owed_nothing_until_it_is_let_in(self) -> None:
        books = Books()
        watch, other = at(7, books), at(7, books)
        assert watch.take([Left(ROOM, reason="banned: raid")]).told == [OUT]
        problems(other, batch(8, said("x")))
        assert problems(watch, batch(8, said("x"))) == []
        assert watch.missing(watch.goals()) == {}
        assert problems(watch, joined(8, said("x", seq=8), recovered=True)) == []
        assert problems(watch, batch(9)) == []
