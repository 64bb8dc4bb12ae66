"""What the document says of texts is what the server takes, character by character."""

import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from chat.api.formats import NAMES, patterns, schemas, with_rules
from chat.config.sections import Limits
from chat.policy.identity import MAX_UID
from chat.policy.text import clean_text, is_clean, room_problem, uid_problem
from chat.policy.words import read_word
from chat.wire.data import data_problem

SCHEMAS = schemas(Limits())
WHOLE = {"components": {"schemas": SCHEMAS}}
ALL = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def fits(name: str) -> Callable[[Any], bool]:
    """Whether a value fits a schema, by the engine that schemathesis judges by."""
    schema = {"$ref": f"#/components/schemas/{name}", **WHOLE}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid


ROOM, UID, TEXT, BADGE, WORD, DATA = map(fits, ("Room", "Uid", "Text", "Badge", "Word", "Data"))

usual = st.text(st.characters(codec="utf-8", exclude_categories=["Cn", "Co"]), max_size=12)
"""Of characters that this Python's tables know, by which words are folded."""
strange = st.text(
    st.sampled_from("ab.:_-  \t\n\u0301\u034f\u200b\u200d\u2028\u3164\ufe0f\ufdd0弹😀*")
)


class TestCharacters:
    @pytest.mark.parametrize(
        ("name", "is_one"),
        [
            ("Room", lambda one: room_problem(one, 64) is None),
            ("Uid", lambda one: uid_problem(one, MAX_UID) is None),
            ("Badge", is_clean),
            ("Text", clean_text),
        ],
    )
    def test_each_fits_where_it_is_taken(self, name: str, is_one: Callable[[str], object]) -> None:
        fits, schema = regex.compile(patterns()[name]), SCHEMAS[name]
        assert schema["pattern"] == patterns()[name]
        assert [one for one in ALL if bool(fits.search(one)) != bool(is_one(one))] == []

    def test_a_letter_that_fits_is_a_word(self) -> None:
        fits = regex.compile(patterns()["Word"])
        known = [one for one in ALL if unicodedata.category(one) not in ("Cn", "Co")]
        found = [one for one in known if fits.fullmatch(one)]
        assert len(found) > 100_000
        assert [one for one in found if isinstance(read_word(one, "mask"), str)] == []


class TestTexts:
    @given(usual | strange)
    def test_a_room_fits_where_it_is_one(self, text: str) -> None:
        assert ROOM(text) == (room_problem(text, Limits().room_chars) is None)

    @given(usual | strange)
    def test_a_uid_fits_where_it_may_be_one(self, text: str) -> None:
        assert UID(text) == (uid_problem(text, MAX_UID) is None)

    @given(usual | strange)
    def test_a_badge_fits_where_it_is_clean(self, text: str) -> None:
        assert BADGE(text) == (is_clean(text) and 1 <= len(text) <= 24)

    @given(usual | strange)
    def test_whatever_fits_leaves_something_to_read(self, text: str) -> None:
        if TEXT(text):
            assert clean_text(text)

    @pytest.mark.parametrize("text", ["a", " a\n", "\u0301", "弹幕", "👨\u200d👩", "\u200ba"])
    def test_what_can_be_read_fits(self, text: str) -> None:
        assert TEXT(text)

    @pytest.mark.parametrize("text", ["", " ", "\u3164", "\u2800", "\u200b", "\n"])
    def test_and_what_cannot_does_not(self, text: str) -> None:
        assert not TEXT(text)
        assert not clean_text(text)

    @given(usual | strange)
    def test_whatever_fits_can_stand_on_a_list(self, text: str) -> None:
        if WORD(text):
            assert not isinstance(read_word(text, "mask"), str)

    @pytest.mark.parametrize(
        "word", ["damn", "crap*", "*ship", "buy followers", "傻逼", "69", "😀"]
    )
    def test_usual_words_fit(self, word: str) -> None:
        assert WORD(word)

    @pytest.mark.parametrize("word", ["", "*", "c++", "a*b", " ", "..."])
    def test_and_those_that_cannot_be_found_do_not(self, word: str) -> None:
        assert not WORD(word)

    def test_lengths_are_the_nodes(self) -> None:
        told = schemas(Limits(text_chars=7, room_chars=9))
        assert (told["Text"]["maxLength"], told["Room"]["maxLength"]) == (7, 9)


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


class TestData:
    @given(values)
    def test_whatever_fits_can_be_attached(self, value: Any) -> None:
        if DATA(value):
            assert data_problem(value) is None

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {"a": [2**64]}])
    def test_numbers_that_cannot_be_written_do_not_fit(self, value: Any) -> None:
        assert not DATA(value)
        assert data_problem(value) is not None


class TestReferences:
    def test_a_field_that_names_a_rule_refers_to_it(self) -> None:
        given = {"type": "string", "format": "uid", "maxLength": 3, "default": "x"}
        made = with_rules({"properties": {"uid": given, "x": {"type": "string"}}})
        assert made["properties"] == {
            "uid": {"$ref": "#/components/schemas/Uid", "default": "x"},
            "x": {"type": "string"},
        }

    def test_every_rule_has_a_schema(self) -> None:
        assert set(NAMES.values()) <= set(SCHEMAS)
