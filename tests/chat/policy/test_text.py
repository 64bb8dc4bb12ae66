"""What may be said, and what a room may be called."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.policy.text import clean_text, is_clean, room_problem, text_problem


class TestRoomNames:
    @pytest.mark.parametrize(
        "name", ["a", "7", "live:42", "直播间", "Зал_1", "हिन्दी", "ภาษาไทย", "a.b-c", ":", "x" * 64]
    )
    def test_letters_digits_and_four_signs_are_good(self, name: str) -> None:
        assert room_problem(name, 64) is None

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "a b",
            "a\n",
            "\na",
            "a\x00",
            "a/b",
            "a?",
            "a#",
            "a{b}",
            "a*",
            "😀",
            "a\u3000b",
            "x" * 65,
        ],
    )
    def test_anything_else_is_told_with_the_limit(self, name: str) -> None:
        assert "1 to 64" in (room_problem(name, 64) or "")

    def test_length_is_counted_in_characters(self) -> None:
        assert room_problem("弹" * 64, 64) is None
        assert room_problem("弹" * 65, 64) is not None

    @given(st.text(max_size=6))
    def test_a_good_name_has_nothing_that_shows_as_space_or_control(self, name: str) -> None:
        if room_problem(name, 64) is None:
            assert all(unicodedata.category(c)[0] in "LMN" or c in ":_.-" for c in name)


class TestText:
    @given(
        st.text(
            st.characters() | st.sampled_from("\n\r\x00\x1b\x7f\x85\x9f\u2028\u2029 "), max_size=9
        )
    )
    def test_a_cleaned_text_is_one_line_and_stays_as_it_is(self, text: str) -> None:
        cleaned = clean_text(text)
        assert len(cleaned.splitlines()) <= 1
        assert not any(unicodedata.category(c) == "Cc" for c in cleaned)
        assert clean_text(cleaned) == cleaned
        assert is_clean(cleaned)
        assert is_clean(text) is (cleaned == text)

    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("a\r\nb", "a b"),
            ("\x1b[2Jx", "[2Jx"),
            ("a\u2028b\u2029", "a b"),
            ("\x9b31m", "31m"),
            ("  a  b  ", "a  b"),
            ("\u3000前方高能\n", "前方高能"),
            ("👩\u200d💻", "👩\u200d💻"),
            ("\x00\n", ""),
            ("\u200b\u202e", ""),
            ("a\u202eb", "a b"),
            ("می\u200cخواهم", "می\u200cخواهم"),
        ],
    )
    def test_controls_are_spaces_and_ends_are_trimmed(self, text: str, cleaned: str) -> None:
        assert clean_text(text) == cleaned

    def test_an_empty_text_and_a_long_one_are_told(self) -> None:
        assert "empty" in (text_problem("", 3) or "")
        assert "3" in (text_problem("弹幕弹幕", 3) or "")
        assert text_problem("弹幕弹", 3) is None
