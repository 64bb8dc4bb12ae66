"""What the claims of a token may be, and what becomes of them."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.policy.claims import (
    LEEWAY_S,
    MAX_AVATAR,
    MAX_BADGE,
    MAX_BADGES,
    MAX_LEVEL,
    MAX_ROOMS,
    MAX_TIME,
    avatar_problem,
    badges_problem,
    identity_of,
)
from chat.policy.identity import MAX_NAME, MAX_UID, Identity, Refused
from chat.policy.roles import role_in
from chat.policy.text import clean_name, is_clean
from shard.closecodes import CloseCode

AVATAR = "https://cdn.example/a/7.png?s=64#x"


def of(**claims: Any) -> Identity:
    return identity_of({"sub": "u7", "exp": 1_000} | claims)


class TestWho:
    def test_everything_shown_comes_from_the_claims(self) -> None:
        found = of(
            name="阿花", role="vip", avatar=AVATAR, level=7, badges=["粉丝", "2年"],
            rooms={"live:1": "moderator", "club:*": "vip"},
        )  # fmt: skip
        assert found == Identity(
            *("u7", "阿花", "vip", 1_000 + LEEWAY_S, AVATAR, 7, ("粉丝", "2年")),
            (("live:1", "moderator"), ("club:*", "vip")),
        )

    def test_only_the_first_two_must_be_there(self) -> None:
        assert of() == Identity("u7", "u7", "user", 1_000 + LEEWAY_S)
        absent = dict.fromkeys(("name", "role", "avatar", "level", "badges", "rooms"))
        assert of(**absent) == of()

    def test_a_name_is_the_sub_unless_it_is_said(self) -> None:
        assert of(name="").name == "u7"

    def test_a_long_name_is_cut(self) -> None:
        assert of(name="阿" * 99).name == "阿" * MAX_NAME

    @pytest.mark.parametrize("name", [" ", "\u3164", "\u115f\u2800", "\u200c", "\ufe0f\U000e0100"])
    def test_a_name_nobody_can_see_is_none(self, name: str) -> None:
        assert of(name=name).name == "u7"

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
        assert of(name=name).name == shown

    @given(st.text(max_size=40), st.text(max_size=70))
    def test_whoever_gets_in_can_be_seen(self, name: str, sub: str) -> None:
        with suppress(Refused):
            found = of(name=name, sub=sub)
            assert clean_name(found.name, MAX_NAME) == found.name != ""
            assert found.uid == sub
            assert is_clean(sub)

    def test_roles_of_rooms_are_what_the_rules_of_ranks_read(self) -> None:
        who = of(rooms={"live:*": "vip", "live:1": "moderator"})
        assert [role_in(who, room) for room in ("live:1", "live:2", "x")] == [
            *("moderator", "vip", "user")
        ]

    def test_a_prefix_may_be_what_no_room_is_called(self) -> None:
        assert role_in(of(rooms={".*": "vip"}), ".a") == "vip"

    def test_a_whole_number_may_be_written_as_a_float(self) -> None:
        assert repr(of(level=7.0).level) == "7"


class TestRefused:
    @pytest.mark.parametrize(
        ("claim", "values"),
        [
            ("sub", ["", "x" * (MAX_UID + 1), 7, "guest:a-1-2", "a\nb", "\ud800", "\u3164",
                     " u7", ".", "..", "\u200bguest:x", "Z" + "\u0301" * 9]),
            ("name", [5, ["x"], "a\u2028b", "\ud800", "\x1b[2J"]),
            ("role", [5, "", "two words", "x" * 33, "backend"]),
            ("exp", [MAX_TIME + 1, 10**40]),
            ("avatar", [5, "javascript:alert(1)", "//cdn.example/a", "http://", "a.png",
                        "https://a.example/ b", "https://a.example/\n", "https://弹.example/",
                        "http:///a", "https://?a", "https://#a", "HTTPS://a.example",
                        "data:image/png;base64,AA", "https://a/" + "x" * MAX_AVATAR]),
            ("level", [-1, MAX_LEVEL + 1, 1.5, "7", True, float("inf"), float("nan")]),
            ("badges", ["vip", {"vip": 1}, [7], [""], [" x"], ["\u3164"], ["a\nb"],
                        ["x" * (MAX_BADGE + 1)], ["x"] * (MAX_BADGES + 1)]),
            ("rooms", [["live:1"], {"live:1": 7}, {"live:1": "two words"}, {"a b": "vip"},
                       {"": "vip"}, {"**": "vip"}, {"a*b": "vip"}, {"..": "vip"}, {"x" * 65: "vip"},
                       {"live:1": "backend"}, {"live:1": None},
                       {f"r{i}": "vip" for i in range(MAX_ROOMS + 1)}]),
        ],
    )  # fmt: skip
    def test_a_wrong_claim_is_named(self, claim: str, values: list[Any]) -> None:
        for value in values:
            with pytest.raises(Refused, match=rf"the claims? .*\b{claim}\b") as caught:
                of(**{claim: value})
            assert caught.value.code is CloseCode.BAD_TOKEN

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )

    @given(
        st.dictionaries(
            st.sampled_from(["name", "role", "avatar", "level", "badges", "rooms"]), JSON
        )
    )
    def test_any_claims_make_somebody_or_are_refused(self, claims: dict[str, Any]) -> None:
        with suppress(Refused):
            found = of(**claims)
            assert avatar_problem(found.avatar) is badges_problem(found.badges) is None
            assert 0 <= found.level <= MAX_LEVEL


class TestShown:
    @pytest.mark.parametrize(
        "url", ["", AVATAR, "http://127.0.0.1:8080/a", "https://[::1]/a", "https://a/%E5%BC%B9"]
    )
    def test_an_avatar_may_be(self, url: str) -> None:
        assert avatar_problem(url) is None
