"""Texts folded: what looks alike is alike, what differs is not, and every place is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.policy.folding import (
    Trace,
    clusters,
    compact,
    compacted,
    edge,
    fold,
    has_leet,
    has_repeats,
    squeeze,
    unleet,
)

SCRIPTS = (
    "aZ9 é\u0301ßＦ①ж\u0439ё傻が\u3099가ᄀ\u1161ｶﾞก้\u0e33हिन्दी🖕🏻👨\u200d👩"
    "\U0001f1e8\U0001f1f3.-_★$@\u200d\u3000\ufb01İ"
)
TEXT = st.text(st.sampled_from(SCRIPTS) | st.characters(exclude_categories=["Cs"]), max_size=30)


class TestFold:
    @pytest.mark.parametrize(
        ("text", "folded"),
        [
            ("Hello", "hello"),
            ("Ｆｕｌｌ", "full"),
            ("ⓕⓤⓛⓛ", "full"),
            ("𝓯𝓾𝓵𝓵", "full"),
            ("café CAFE\u0301", "cafe cafe"),
            ("z̵͠a̷l̸g̴o̵", "zalgo"),
            ("ѕех сор", "sex cop"),
            ("straße ﬁn", "strasse fin"),
            ("a.b—c★d", "a-b-c-d"),
            ("a\u200bb\u00add\u2060", "abd"),
            ("ｶﾞ", "ガ"),
            ("か\u3099", "が"),
            ("한", "한"),
            ("傻，逼", "傻-逼"),
            ("🖕🏻", "🖕"),
            ("مـرحـبًا", "مرحبا"),
        ],
    )
    def test_what_looks_alike_becomes_alike(self, text: str, folded: str) -> None:
        assert fold(text) == folded

    @pytest.mark.parametrize("text", ["हिन्दी", "ก้าว", "가각", "がかぎ", "ไทย", "йи"])
    def test_scripts_whose_marks_are_vowels_keep_them(self, text: str) -> None:
        assert len(set(fold(text))) == len(set(text))

    @given(TEXT)
    def test_nothing_raises_and_folding_again_changes_no_letter(self, text: str) -> None:
        once = compact(fold(text))
        assert compact(fold(once)) == compact(fold(compact(fold(once))))


class TestTrace:
    @given(TEXT)
    def test_it_has_the_compacted_text_and_a_cluster_for_each_character(self, text: str) -> None:
        trace = Trace(text)
        assert trace.text == compact(fold(text))
        assert len(trace.spans) == len(trace.text) == len(trace.gaps) - 1
        firsts = [first for first, _ in trace.spans]
        assert firsts == sorted(firsts)
        assert all(0 <= at < len(clusters(text)) for span in trace.spans for at in span)

    @given(TEXT | st.text("abc1傻 ", max_size=30), st.sampled_from([1, 2]))
    def test_squeezed_it_has_the_squeezed_text_and_covers_the_same(
        self, text: str, most: int
    ) -> None:
        trace = Trace(text)
        squeezed = trace.squeezed(most)
        assert squeezed.text == squeeze(trace.text, most)
        assert len(squeezed.spans) == len(squeezed.text) == len(squeezed.gaps) - 1
        covered = {at for a, b in squeezed.spans for at in range(a, b + 1)}
        assert covered >= {at for a, b in trace.spans for at in range(a, b + 1)}

    def test_what_separates_is_known(self) -> None:
        assert Trace("a.b c. d").gaps == [" ", "-", " ", " ", " "]
        assert Trace("ab").gaps == [" ", "", " "]


class TestCompacted:
    @given(TEXT | st.text("aB1傻か가.、！·“ \u0301\u3099", max_size=30))
    def test_the_short_way_is_the_long_one(self, text: str) -> None:
        assert compacted(text) == compact(fold(text))

    def test_whatever_character_stands_among_plain_ones(self) -> None:
        for code in (*range(0xD800), *range(0xE000, 0x20000)):
            text = f"가{chr(code)}か!"
            assert compacted(text) == compact(fold(text)), hex(code)


class TestVariants:
    def test_digits_are_letters_only_beside_letters(self) -> None:
        assert [has_leet(text) for text in ("a55", "455", "a 55", "$5", "a$")] == [
            *(True, False, False, False, True)
        ]
        assert unleet("a55 455 $h1t 4") == "ass 455 shit 4"

    @given(TEXT)
    def test_letters_for_digits_keep_every_place(self, text: str) -> None:
        assert len(unleet(text)) == len(text)

    def test_digits_are_not_repeated_letters(self) -> None:
        assert [has_repeats(text) for text in ("good", "goood", "1000", "哈哈哈")] == [
            *(False, True, False, True)
        ]
        assert squeeze("fuuuuck1000", 1) == "fuck1000"
        assert squeeze("assss", 2) == "ass"

    @pytest.mark.parametrize(
        ("one", "kind"),
        [
            *(("a", "letter"), ("ж", "letter"), ("ب", "letter"), ("7", "digit"), ("傻", "")),
            *(("か", ""), ("가", ""), ("ก", ""), ("🖕", "")),
        ],
    )
    def test_where_words_have_ends(self, one: str, kind: str) -> None:
        assert edge(one) == kind
