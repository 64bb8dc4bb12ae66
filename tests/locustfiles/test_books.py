"""locustfiles/books.py: stamps, sources in order, and what was taken back."""

import hypothesis.strategies as st
from hypothesis import given

from locustfiles.books import (
    ANYWHERE,
    BACKEND,
    BOOT,
    Books,
    Heard,
    Source,
    Stamp,
    Taken,
    read_stamp,
)


def stamp(source: str, n: int, room: str = "a") -> Stamp:
    return Stamp(BOOT, 1, source, room, n)


class TestStamp:
    @given(st.text())
    def test_any_words_come_through(self, words: str) -> None:
        told = Stamp(BOOT, 5_000_000_000, "s1", "load:hot", 7)
        assert read_stamp(told.text(words)) == told
        assert told.when == 5.0

    @given(st.text())
    def test_whatever_others_write_has_none(self, text: str) -> None:
        found = read_stamp(text)
        assert found is None or text.startswith("@ ")

    def test_another_machine_tells_no_time(self) -> None:
        assert Stamp("another", 5, "s1", "a", 1).when is None

    def test_a_source_counts_in_each_room_apart(self) -> None:
        source = Source("s1")
        texts = [source.stamp(room, 1, "hi") for room in ("a", "a", "b")]
        assert [read_stamp(text) for text in texts] == [
            *(stamp("s1", n, "a") for n in (1, 2)),
            stamp("s1", 1, "b"),
        ]


class TestHeard:
    def test_an_author_may_skip_what_was_refused_and_never_goes_back(self) -> None:
        heard = Heard()
        assert [heard.hear("a", stamp("s1", n)) for n in (3, 4, 6)] == [None, None, None]
        assert heard.hear("a", stamp("s1", 6)) == "said again, or out of its author's order"
        assert heard.hear("a", stamp("s1", 5)) == "said again, or out of its author's order"
        assert heard.hear("a", stamp("s2", 1)) is None

    def test_a_backend_skips_nothing(self) -> None:
        heard, source = Heard(), f"{BACKEND}-1"
        assert heard.hear("a", stamp(source, 3)) is None
        assert heard.hear("a", stamp(source, 6)) == "2 of a backend's missing"
        heard.forget("a")
        assert heard.hear("a", stamp(source, 9)) is None

    def test_what_was_typed_elsewhere_is_seen(self) -> None:
        heard = Heard()
        assert heard.hear("b", stamp("s1", 1, "a")) == "a message of another room"
        assert heard.hear("b", stamp("s1", 1, ANYWHERE)) is None
        assert heard.hear("", stamp("s1", 1, "everyone")) is None


class TestTaken:
    def test_a_deleted_message_is_gone_for_who_stands_behind_that(self) -> None:
        taken = Taken()
        taken.delete("a", "e1", target=5, at=9)
        assert [taken.covers("a", "e1", 5, "u1", by) for by in (8, 9, 20)] == [False, True, True]
        assert not taken.covers("a", "e1", 6, "u1", 20)
        assert not taken.covers("a", "e2", 5, "u1", 20)

    def test_a_clear_is_of_all_before_it(self) -> None:
        taken = Taken()
        taken.clear("a", "e1", None, at=9)
        assert taken.covers("a", "e1", 8, "u1", 9)
        assert not taken.covers("a", "e1", 10, "u1", 20)

    def test_a_users_clear_is_of_that_user(self) -> None:
        taken = Taken()
        taken.clear("a", "e1", "u1", at=9)
        assert taken.covers("a", "e1", 8, "u1", 9)
        assert not taken.covers("a", "e1", 8, "u2", 9)


class TestBooks:
    def test_another_run_knows_nothing(self) -> None:
        books = Books()
        books.refused.add("spam")
        books.taken.clear("a", "e1", None, at=9)
        books.clear()
        assert not books.refused
        assert not books.taken.covers("a", "e1", 8, "u1", 9)
