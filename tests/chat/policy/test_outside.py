"""The words of those who are asked outside, and their silence."""

import logging

import pytest

from chat.config.sections import Limits
from chat.counters import FIELDS, ChatCount
from chat.policy import gate
from chat.policy.gate import PASS, Attempt, Refusal
from chat.policy.identity import Identity
from chat.policy.outside import LOG_S, MAX_REASON, Failing, Mode, refused, reword
from chat.wire.schema import ErrorCode
from pool.scoreboard import Scoreboard


class TestRefusals:
    def test_one_is_a_clean_line_of_bounded_length(self) -> None:
        assert refused(" a\nb ", 1.239) == Refusal(ErrorCode.FORBIDDEN, "a b", 1.24)
        assert len(refused("x" * 5_000, None).message) == MAX_REASON
        assert refused("\u200b", None).message == "not allowed"


class TestRewording:
    def reworded(self, text: str) -> tuple[object, str]:
        attempt = Attempt("a", "hi", Identity("u", "u", "user"))
        return reword(attempt, text, gate.text(Limits(text_chars=5))), attempt.text

    def test_the_same_words_pass(self) -> None:
        assert self.reworded("hi") == (PASS, "hi")

    def test_other_words_are_cleaned(self) -> None:
        assert self.reworded(" a\nb ") == (PASS, "a b")

    @pytest.mark.parametrize(
        ("text", "code"),
        [("toolong", ErrorCode.TEXT_TOO_LONG), ("\u200b", ErrorCode.TEXT_EMPTY)],
    )
    def test_they_are_no_more_than_a_viewer_may_say(self, text: str, code: ErrorCode) -> None:
        verdict, _ = self.reworded(text)
        assert isinstance(verdict, Refusal)
        assert verdict.code is code


class Desk:
    def __init__(self, mode: Mode) -> None:
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.clock = 0.0
        self.failing = Failing(mode, self.counts, lambda: self.clock)


class TestFailing:
    def test_open_lets_through_and_counts_each(self) -> None:
        desk = Desk("open")
        assert desk.failing.verdict(3) is PASS
        assert desk.counts[ChatCount.PASSED_UNCHECKED] == 3
        assert desk.counts[ChatCount.REFUSED_UNCHECKED] == 0

    def test_closed_refuses_with_a_time_to_try_again(self) -> None:
        desk = Desk("closed")
        verdict = desk.failing.verdict(2, 0.5)
        assert isinstance(verdict, Refusal)
        assert (verdict.code, verdict.retry_after) == (ErrorCode.UNAVAILABLE, 0.5)
        assert desk.counts[ChatCount.REFUSED_UNCHECKED] == 2
        assert desk.counts[ChatCount.PASSED_UNCHECKED] == 0

    def test_a_line_is_logged_now_and_then_and_says_how_many_were_not(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk = Desk("open")
        with caplog.at_level(logging.WARNING):
            for _ in range(100):
                desk.failing.say("it", ValueError("no"))
            desk.clock += LOG_S
            desk.failing.say("it", ValueError("still no"))
        assert [record.getMessage() for record in caplog.records] == [
            "it: no",
            "it: still no (99 more since the last such line)",
        ]
