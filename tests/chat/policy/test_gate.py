"""The gate: checks by turn, the first refusal is the answer."""

import pytest

from chat.bus.kept import Kept
from chat.config.sections import Auth, Limits
from chat.policy.gate import (
    PASS,
    Attempt,
    CommandRate,
    Gate,
    Refusal,
    Verdict,
    backend_gate,
    membership,
    rights,
    rules,
    text,
)
from chat.policy.identity import BACKEND, Identity
from chat.policy.rules import (
    Rulebook,
    Sanction,
    Settings,
    pack_sanction,
    pack_settings,
)
from chat.wire.schema import ErrorCode

GUEST = Identity("guest:x", "guest-x", "guest")
USER = Identity("u1", "u1", "user")


def attempt(said: str = "hi", who: Identity = USER, room: str = "a") -> Attempt:
    return Attempt(room, said, who, 7)


class TestTheChain:
    def test_nothing_to_check_is_a_pass(self) -> None:
        assert Gate().passes(attempt()) is PASS

    def test_the_first_refusal_is_the_answer_and_the_rest_is_not_asked(self) -> None:
        asked: list[str] = []

        def check(name: str, verdict: Verdict) -> Verdict:
            asked.append(name)
            return verdict

        no = Refusal(ErrorCode.FORBIDDEN, "no", 2.5)
        gate = Gate(
            lambda _: check("first", PASS), lambda _: check("no", no), lambda _: check("last", PASS)
        )
        assert gate.passes(attempt()) is no
        assert asked == ["first", "no"]

    def test_what_a_check_cleans_the_next_one_sees(self) -> None:
        seen: list[str] = []
        gate = Gate(text(Limits()), lambda one: seen.append(one.text))
        assert gate.passes(attempt("  hi\n there ")) is PASS
        assert seen == ["hi  there"] or seen == ["hi there"]


class TestMembership:
    def test_only_who_has_joined_the_room_speaks_in_it(self) -> None:
        check = membership(lambda fd, room: (fd, room) == (7, "a"))
        assert check(attempt()) is PASS
        refusal = check(attempt(room="b"))
        assert refusal is not None
        assert (refusal.code, refusal.retry_after) == (ErrorCode.NOT_JOINED, None)


class TestRights:
    @pytest.mark.parametrize(
        ("guests", "who", "code"),
        [
            ("type", GUEST, None),
            ("read", GUEST, ErrorCode.READ_ONLY),
            ("refuse", GUEST, ErrorCode.READ_ONLY),
            ("read", USER, None),
        ],
    )
    def test_guests_type_where_they_may(
        self, guests: str, who: Identity, code: ErrorCode | None
    ) -> None:
        verdict = rights(Auth(guests=guests))(attempt(who=who))  # type: ignore[arg-type]
        assert (None if verdict is None else verdict.code) == code


class TestText:
    @pytest.mark.parametrize(
        ("said", "code"),
        [
            ("x" * 5, None),
            (" " * 9 + "x" * 5 + "\n", None),
            ("x" * 6, ErrorCode.TEXT_TOO_LONG),
            ("", ErrorCode.TEXT_EMPTY),
            (" \n\t", ErrorCode.TEXT_EMPTY),
        ],
    )
    def test_there_is_something_to_read_and_not_too_much(
        self, said: str, code: ErrorCode | None
    ) -> None:
        verdict = text(Limits(text_chars=5))(attempt(said))
        assert (None if verdict is None else verdict.code) == code


class TestBackends:
    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        gate = backend_gate(Limits(text_chars=5))
        found = gate.refusals(attempt("x" * 6, Identity(" u1", "n", BACKEND)))
        assert [(one.code, one.field) for one in found] == [
            (ErrorCode.BAD_REQUEST, "uid"),
            (ErrorCode.TEXT_TOO_LONG, "text"),
        ]
        [nameless] = gate.refusals(attempt("hi", Identity("u1", " \u3164", BACKEND)))
        assert nameless.field == "name"

    def test_what_passes_is_clean(self) -> None:
        one = attempt(" hi\n", Identity("u1", " 阿花\u200b ", BACKEND))
        assert backend_gate(Limits()).refusals(one) == []
        assert (one.text, one.who.name) == ("hi", "阿花")

    def test_what_is_said_is_judged_as_a_viewers_is(self) -> None:
        for said in ("", "x" * 301, "Z" + "\u0310" * 40, "\u2800"):
            viewer, backend = attempt(said), attempt(said)
            verdict = Gate(text(Limits())).passes(viewer)
            found = backend_gate(Limits()).refusals(backend)
            assert found == ([] if verdict is None else [verdict])
            assert viewer.text == backend.text


class TestCommandRate:
    def test_beyond_the_burst_it_says_when_to_come_again(self) -> None:
        now = 100.0
        rate = CommandRate(8, Limits(commands_per_s=2, commands_burst=3), lambda: now)
        assert [rate.passes(5) for _ in range(3)] == [PASS] * 3
        refusal = rate.passes(5)
        assert refusal is not None
        assert (refusal.code, refusal.retry_after) == (ErrorCode.RATE_LIMITED, 0.5)
        assert "2 commands a second" in refusal.message
        assert rate.passes(6) is PASS
        now += 0.5
        assert rate.passes(5) is PASS

    def test_the_next_connection_on_the_row_starts_anew(self) -> None:
        rate = CommandRate(8, Limits(commands_per_s=1, commands_burst=1), lambda: 100.0)
        rate.passes(5)
        assert rate.passes(5) is not PASS
        rate.begin(5)
        assert rate.passes(5) is PASS


class TestRules:
    """`rules`: what a room's rules and those of everywhere forbid."""

    NOW_S = 1_800_000_000

    def verdict(
        self, here: dict[str, bytes], everywhere: dict[str, bytes] | None = None, role: str = "user"
    ) -> Verdict:
        book = Rulebook()
        book.load("a", Kept(1, here))
        book.load(None, Kept(1, everywhere or {}))
        said = attempt()
        said.role = role
        return rules(book, lambda: self.NOW_S)(said)

    def sanction(self, seconds: int = 0, reason: str = "") -> bytes:
        return pack_sanction(Sanction((self.NOW_S + seconds) * 1000 if seconds else 0, reason))

    def test_none_is_a_pass(self) -> None:
        assert self.verdict({}) is PASS
        others = {"mute:u2": self.sanction(), "settings": pack_settings(Settings(slow_s=5))}
        assert self.verdict(others, others) is PASS

    def test_that_are_not_known_yet_let_nobody_type(self) -> None:
        verdict = rules(Rulebook(), lambda: self.NOW_S)(attempt())
        assert verdict is not PASS
        assert (verdict.code, bool(verdict.retry_after)) == (ErrorCode.UNAVAILABLE, True)

    @pytest.mark.parametrize(
        ("field", "code"),
        [
            ("mute", ErrorCode.MUTED),
            ("ban", ErrorCode.BANNED),
            ("kick", ErrorCode.FORBIDDEN),
        ],
    )
    def test_that_name_somebody_say_why_and_how_long(self, field: str, code: ErrorCode) -> None:
        for seconds, after in ((90, 90.0), (0, None)):
            verdict = self.verdict({f"{field}:u1": self.sanction(seconds, "spam")})
            assert verdict is not PASS
            assert (verdict.code, verdict.retry_after) == (code, after)
            assert verdict.message.endswith(": spam")
        assert self.verdict({f"{field}:u1": self.sanction(-1)}) is PASS

    def test_of_two_mutes_the_longer_counts(self) -> None:
        for here, everywhere, after in ((5, 9, 9.0), (9, 5, 9.0), (9, 0, None), (0, 9, None)):
            verdict = self.verdict(
                {"mute:u1": self.sanction(here)}, {"mute:u1": self.sanction(everywhere)}
            )
            assert verdict is not PASS
            assert verdict.retry_after == after

    @pytest.mark.parametrize(
        ("settings", "role", "code"),
        [
            (Settings(silence="all"), "vip", ErrorCode.SILENCED),
            (Settings(silence="all"), "moderator", None),
            (Settings(silence="owner"), "moderator", ErrorCode.SILENCED),
            (Settings(silence="user"), "guest", ErrorCode.SILENCED),
            (Settings(silence="user"), "user", None),
            (Settings(min_role="vip"), "user", ErrorCode.FORBIDDEN),
            (Settings(min_role="vip"), "vip", None),
            (Settings(min_role="vip", silence="all"), "user", ErrorCode.FORBIDDEN),
        ],
    )
    def test_settings_ask_for_a_role(
        self, settings: Settings, role: str, code: ErrorCode | None
    ) -> None:
        verdict = self.verdict({"settings": pack_settings(settings)}, role=role)
        assert (verdict.code if verdict is not PASS else None) == code
