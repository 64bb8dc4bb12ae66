"""Words that may not be said: found where they are, and only there, masked as they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.counters import FIELDS, ChatCount
from chat.policy import words as module
from chat.policy.folding import clusters
from chat.policy.gate import PASS, Attempt, Gate, Refusal
from chat.policy.identity import Identity
from chat.policy.roles import ADMIN, MODERATOR, OWNER, VIP
from chat.policy.words import (
    MASK,
    MAX_WORD,
    Making,
    Matcher,
    WordList,
    judge,
    read_word,
    shown,
    words,
)
from chat.wire.schema import ErrorCode
from pool.scoreboard import Scoreboard
from tests.chat.policy.test_folding import TEXT

LIST = ["ass", "fuck", "傻逼", "god", "sex", "kill yourself", "🖕", "69", "gr*", "*ship", "*cum*"]


def masked(text: str, *listed: str) -> str:
    judged = judge([Matcher(WordList(mask=list(listed or LIST)))], text)
    return text if judged is None else judged.text


class TestWholeWords:
    @pytest.mark.parametrize(
        "text",
        [
            *("class", "assume", "grass-class", "as", "was so", "pick as soon", "455", "1690"),
            *("good", "goods", "fu ck", "傻瓜", "逼傻", "kill him", "a gr", "shipped"),
            "boss said so",
        ],
    )
    def test_what_only_holds_the_letters_is_not_the_word(self, text: str) -> None:
        listed = [word for word in LIST if word != "gr*"]
        assert masked(text, *listed) == text

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("ASS!", "***!"),
            ("you ass.", "you ***."),
            ("bad-ass", "bad-***"),
            ("ass2", "***2"),
            ("我fuck你", "我****你"),
            ("这个傻逼吗", "这个**吗"),
            ("hi🖕there", "hi*there"),
            ("x 69 y", "x ** y"),
            ("kill  yourself", "****  ********"),
            ("killyourself", "************"),
        ],
    )
    def test_the_word_is_found(self, text: str, shown: str) -> None:
        assert masked(text) == shown

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("green", "**een"),
            ("agree", "agree"),
            ("friendship", "friend****"),
            ("documents", "do***ents"),
        ],
    )
    def test_a_star_says_where_the_word_may_go_on(self, text: str, shown: str) -> None:
        assert masked(text) == shown


class TestDisguises:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("ｆｕｃｋ", "****"),
            ("fúćk", "****"),
            ("f\u200du\u0336ck", "****"),
            ("ѕех", "***"),
            ("a55 a$$", "*** ***"),
            ("fuuuuck", "*******"),
            ("assss", "*****"),
            ("f.u-c_k", "*.*-*_*"),
            ("f u c k you", "* * * * you"),
            ("a s s", "* * *"),
            ("傻 逼", "* *"),
            ("傻。。逼", "*。。*"),
            ("傻傻逼逼", "傻**逼"),
            ("🖕🏻", "*"),
        ],
    )
    def test_it_is_seen_through(self, text: str, shown: str) -> None:
        assert masked(text) == shown

    def test_marks_that_make_another_word_elsewhere_are_none(self) -> None:
        assert masked("가각", "가") == "*각"
        assert masked("がか", "か") == "が*"


class TestMasking:
    @given(TEXT, st.lists(TEXT, max_size=5))
    def test_clusters_are_replaced_and_nothing_else_is_touched(
        self, text: str, listed: list[str]
    ) -> None:
        made = WordList(mask=listed)
        judged = judge([Matcher(made)], text)
        if judged is None:
            return
        before = clusters(text)
        hidden = {at for hit in judged.hits for at in hit.clusters}
        assert hidden
        assert judged.text == "".join(
            MASK if at in hidden else one for at, one in enumerate(before)
        )

    @given(TEXT, TEXT, TEXT)
    def test_every_word_is_found_among_others(self, word: str, before: str, after: str) -> None:
        if isinstance(read_word(word, "refuse"), str) or MASK in word:
            return
        judged = judge([Matcher(WordList(refuse=[word]))], f"{before} {word} {after}")
        assert judged is not None
        assert judged.refused


class TestLists:
    @pytest.mark.parametrize(
        "word", ["", "  ", "*", "**", "a*b", "...", "-a", "c++", "x" * (MAX_WORD + 1), "\u200d"]
    )
    def test_what_cannot_be_looked_for_is_a_problem(self, word: str) -> None:
        assert isinstance(read_word(word, "mask"), str)

    def test_several_automata_are_one_list(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "AUTOMATON_BYTES", 3 * len("bada"))
        listed = [f"bad{letter}" for letter in "abcdefghij"]
        making = Making(WordList(refuse=listed))
        assert not list(making.read())
        assert [len(part) for part in making.parts] == [3, 3, 3, 1]
        for word in listed:
            assert masked(f"so {word}!", *listed) == "so ****!"

    def test_what_two_kinds_have_counts_as_both(self) -> None:
        judged = judge([Matcher(WordList(mask=["x"], shadow=["X", "y"]))], "x y")
        assert judged is not None
        assert (judged.text, judged.refused, judged.shadowed) == ("* y", False, True)
        assert sorted(hit.word for hit in judged.hits) == ["X", "x", "y"]

    def test_all_lists_that_hold_are_asked(self) -> None:
        server, room = Matcher(WordList(mask=["one"])), Matcher(WordList(mask=["two"]))
        judged = judge([server, room], "one two three")
        assert judged is not None
        assert judged.text == "*** *** three"


class TestNames:
    @pytest.mark.parametrize(
        ("name", "as_shown"), [("Ann", "Ann"), ("ugly", "****"), ("bad", None), ("spam", None)]
    )
    def test_are_shown_to_all_or_not_at_all(self, name: str, as_shown: str | None) -> None:
        lists = Matcher(WordList(refuse=["bad"], mask=["ugly"], shadow=["spam"]))
        assert shown([lists], name) == as_shown
        assert shown([], name) == name


class TestCheck:
    LISTS = Matcher(WordList(refuse=["bad"], mask=["ugly"], shadow=["spam"]))

    def said(self, text: str, role: str = "user", room: str = "r") -> tuple[object, Attempt]:
        attempt = Attempt(room, text, Identity("u", "u", "user"), 1, role)
        self.counts = Scoreboard(FIELDS, 1).row(0)
        lists: dict[str, tuple[Matcher, ...] | None] = {"r": (self.LISTS,), "loading": None}
        check = words(lambda name: lists.get(name, ()), self.counts)
        return Gate(check).passes(attempt), attempt

    def test_a_word_is_refused_and_not_named(self) -> None:
        verdict, _ = self.said("so bad")
        assert isinstance(verdict, Refusal)
        assert (verdict.code, verdict.field) == (ErrorCode.WORD_REFUSED, "text")
        assert "bad" not in verdict.message

    def test_a_word_is_masked_or_makes_it_the_senders_own(self) -> None:
        verdict, attempt = self.said("so ugly")
        assert (verdict, attempt.text, attempt.shadowed) == (PASS, "so ****", False)
        assert self.counts[ChatCount.MASKED] == 1
        verdict, attempt = self.said("buy spam")
        assert (verdict, attempt.text, attempt.shadowed) == (PASS, "buy spam", True)
        assert self.counts[ChatCount.SHADOWED] == 1

    def test_where_no_list_holds_all_may_be_said(self) -> None:
        verdict, attempt = self.said("bad ugly spam", room="elsewhere")
        assert (verdict, attempt.text, attempt.shadowed) == (PASS, "bad ugly spam", False)

    def test_while_lists_are_not_known_nothing_passes_but_moderators(self) -> None:
        verdict, _ = self.said("hi", room="loading")
        assert isinstance(verdict, Refusal)
        assert (verdict.code, verdict.retry_after) == (ErrorCode.UNAVAILABLE, 1.0)
        assert self.said("hi", MODERATOR, "loading")[0] is PASS

    @pytest.mark.parametrize("role", [MODERATOR, OWNER, ADMIN])
    def test_moderators_are_above_them(self, role: str) -> None:
        verdict, attempt = self.said("bad ugly spam", role)
        assert (verdict, attempt.shadowed) == (PASS, False)

    def test_others_are_not(self) -> None:
        assert isinstance(self.said("bad", VIP)[0], Refusal)
