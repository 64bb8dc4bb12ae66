"""Guests and bearers of tokens."""

import time
import warnings
from contextlib import suppress
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.config.sections import Auth
from chat.policy.identity import LEEWAY_S, MAX_NAME, MAX_UID, Refused, guest, verify
from chat.policy.text import clean_name, is_clean
from chat.wire.batch import default_name
from chat.wire.schema import GUEST
from shard.closecodes import CloseCode

SECRET = "a secret of more than thirty-two bytes"
SOON = int(time.time()) + 3_600


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "u7", "exp": SOON} | claims, secret, algorithm)


def refusal(given: str, secret: str = SECRET) -> tuple[CloseCode, str]:
    with pytest.raises(Refused) as caught:
        verify(given, Auth(secret=secret))
    return caught.value.code, str(caught.value)


class TestTokens:
    def test_everything_shown_comes_from_the_claims(self) -> None:
        found = verify(token(name="阿花", role="moderator"), Auth(secret=SECRET))
        assert (found.uid, found.name, found.role) == ("u7", "阿花", "moderator")
        assert found.expires == SOON + LEEWAY_S

    def test_a_name_is_the_sub_and_a_role_user_unless_they_are_said(self) -> None:
        found = verify(token(), Auth(secret=SECRET))
        assert (found.name, found.role) == ("u7", "user")
        assert verify(token(name=""), Auth(secret=SECRET)).name == "u7"

    def test_a_long_name_is_cut(self) -> None:
        assert verify(token(name="阿" * 99), Auth(secret=SECRET)).name == "阿" * MAX_NAME

    @pytest.mark.parametrize("name", [" ", "\u3164", "\u115f\u2800", "\u200c", "\ufe0f\U000e0100"])
    def test_a_name_nobody_can_see_is_none(self, name: str) -> None:
        assert verify(token(name=name), Auth(secret=SECRET)).name == "u7"

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            (" 阿花\u3000", "阿花"),
            ("a\u202eb\u200f", "a b"),
            ("Z" + "\u0310\u0301\u0302\u0303" * 35, "Z" + "\u0310\u0301\u0302\u0303" * 2),
            ("می\u200cخواهم", "می\u200cخواهم"),
            ("x" * (MAX_NAME - 1) + " y", "x" * (MAX_NAME - 1)),
        ],
    )
    def test_a_name_is_cleaned_as_a_text_is(self, name: str, shown: str) -> None:
        assert verify(token(name=name), Auth(secret=SECRET)).name == shown

    @given(st.text(max_size=40), st.text(max_size=70))
    def test_whoever_gets_in_can_be_seen(self, name: str, sub: str) -> None:
        with suppress(Refused):
            found = verify(token(name=name, sub=sub), Auth(secret=SECRET))
            assert clean_name(found.name, MAX_NAME) == found.name != ""
            assert found.uid == sub
            assert is_clean(sub)

    @pytest.mark.parametrize("ago", [0, LEEWAY_S - 5])
    def test_a_clock_may_be_a_little_late(self, ago: int) -> None:
        assert verify(token(exp=int(time.time()) - ago), Auth(secret=SECRET)).uid == "u7"

    def test_expired_has_its_own_code(self) -> None:
        assert refusal(token(exp=int(time.time()) - LEEWAY_S - 60))[0] is CloseCode.TOKEN_EXPIRED

    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": None}, {"sub": ""}, {"sub": "x" * (MAX_UID + 1)}, {"sub": 7},
            {"sub": "guest:a-1-2"}, {"sub": "a\nb"}, {"sub": "\ud800"}, {"sub": "\u3164"},
            {"sub": " u7"}, {"sub": "\u200bguest:x"}, {"sub": "Z" + "\u0301" * 9},
            {"name": 5}, {"name": ["x"]}, {"name": "a\u2028b"}, {"name": "\ud800"},
            {"name": "\x1b[2J"},
            {"role": 5}, {"role": ""}, {"role": "two words"}, {"role": "x" * 33}, {"role": None},
            {"exp": "soon"}, {"exp": None}, {"exp": float("inf")}, {"nbf": SOON},
        ],
    )  # fmt: skip
    def test_claims_that_cannot_be_shown_are_refused(self, claims: dict[str, Any]) -> None:
        assert refusal(token(**claims))[0] is CloseCode.BAD_TOKEN

    @pytest.mark.parametrize("missing", ["sub", "exp"])
    def test_sub_and_exp_are_required(self, missing: str) -> None:
        claims = {"sub": "u7", "exp": SOON}
        del claims[missing]
        code, reason = refusal(jwt.encode(claims, SECRET, "HS256"))
        assert code is CloseCode.BAD_TOKEN
        assert missing in reason

    @pytest.mark.parametrize("given", ["x", "a.b.c", "..", "\ud800", "🦀.🦀.🦀", "x" * 10_000, "."])
    def test_what_is_no_token_is_refused(self, given: str) -> None:
        assert refusal(given)[0] is CloseCode.BAD_TOKEN

    def test_another_secret_is_refused(self) -> None:
        assert refusal(token("another secret, also of good length"))[0] is CloseCode.BAD_TOKEN

    def test_only_hs256_counts(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the short key for this algorithm is not the point
            other = token(algorithm="HS384")
        assert refusal(other)[0] is CloseCode.BAD_TOKEN
        unsigned = jwt.encode({"sub": "u7", "exp": SOON}, "", "none")
        assert refusal(unsigned)[0] is CloseCode.BAD_TOKEN

    def test_without_a_secret_no_token_is_good(self) -> None:
        code, reason = refusal(token(), "")
        assert code is CloseCode.BAD_TOKEN
        assert "auth.secret" in reason

    @given(st.text(max_size=60))
    def test_any_text_is_refused_and_nothing_else(self, text: str) -> None:
        assert refusal(text)[0] is CloseCode.BAD_TOKEN


class TestAudience:
    def test_one_that_is_ours_is_let_in(self) -> None:
        auth = Auth(secret=SECRET, audience="chat")
        for aud in ("chat", ["other", "chat"]):
            assert verify(token(aud=aud), auth).uid == "u7"

    @pytest.mark.parametrize(
        ("audience", "claims", "said"),
        [
            ("chat", {"aud": "other"}, "is not 'chat'"),
            ("", {"aud": "authenticated"}, "auth.audience"),
            ("chat", {}, "aud"),
        ],
    )
    def test_any_other_is_refused_and_why(
        self, audience: str, claims: dict[str, str], said: str
    ) -> None:
        with pytest.raises(Refused, match=said):
            verify(token(**claims), Auth(secret=SECRET, audience=audience))

    def test_a_subject_that_is_a_number_is_refused_and_why(self) -> None:
        with pytest.raises(Refused, match=r"[Ss]ubject"):
            verify(token(sub=42), Auth(secret=SECRET))


class TestGuests:
    def test_the_same_connection_is_the_same_guest(self) -> None:
        assert guest("s1-0-a") == guest("s1-0-a")
        assert guest("s1-0-a") != guest("s1-1-a")

    def test_a_guest_has_a_name_a_person_can_say(self) -> None:
        found = guest("s1-0-a")
        assert found.uid == "guest:s1-0-a"
        assert found.name == default_name(found.uid)
        assert found.name.startswith("guest-")
        assert len(found.name) == len("guest-") + 4
        assert (found.role, found.expires) == (GUEST, 0)
