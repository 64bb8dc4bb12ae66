"""The wording of a problem: short, escaped, and with a hint where one is near."""

import tomllib
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from chat.config.words import did_you_mean, expected, got, is_text, name, shown, with_line


@pytest.mark.parametrize(
    ("annotated", "words", "text"),
    [
        (Annotated[int, Meta(ge=1, le=9)], "int between 1 and 9", False),
        (Literal["b", "a"], 'one of "a", "b"', True),
        (bool, "true or false", False),
        (tuple[str, ...], 'a list of strings like ["a", "b"]', False),
        (Annotated[str, Meta(min_length=1)], "a string that is not empty", True),
        (str, "a string", True),
    ],
)
def test_a_type_says_what_it_expects(annotated: object, words: str, text: bool) -> None:
    assert expected(annotated) == words
    assert is_text(annotated) is text


@pytest.mark.parametrize(
    ("spelt", "words"),
    [
        ('"弹"', '"弹"'),
        ("true", "true"),
        ("-7", "-7"),
        ("1.5", "1.5"),
        ("nan", "nan"),
        ("0x" + "f" * 5000, "an integer beyond 128 bits"),
        ("[1]", "a list"),
        ("{a = 1}", "a table"),
        ("2024-01-01", "a date"),
        ("2024-01-01T00:00:00Z", "a datetime"),
    ],
)
def test_a_value_is_told_in_one_line(spelt: str, words: str) -> None:
    assert got(tomllib.loads(f"v = {spelt}")["v"]) == words


@given(st.text(st.characters()))
def test_quoted_text_is_short_printable_and_can_be_encoded(text: str) -> None:
    quoted = shown(text)
    assert quoted.isprintable()
    assert quoted.encode()
    assert len(quoted) <= 6 * 2 * 60 + 2


def test_long_text_is_cut() -> None:
    assert shown("x" * 60) == '"' + "x" * 60 + '"'
    assert shown("x" * 61) == '"' + "x" * 59 + '…"'


@pytest.mark.parametrize(
    ("text", "words"), [("a.b-c_d", "a.b-c_d"), ("a b", '"a b"'), ("", '""'), ("\x1b", '"\\u001b"')]
)
def test_a_name_is_quoted_only_where_it_must_be(text: str, words: str) -> None:
    assert name(text) == words


def test_a_hint_is_given_only_where_one_is_near() -> None:
    known = {"port": "server.port", "path": "server.path"}
    assert did_you_mean("prot", known) == "; did you mean server.port?"
    assert did_you_mean("zzz", known) == ""


@pytest.mark.parametrize(
    ("text", "place"), [("a = [1", "line 1, column 7"), ("a = 1\nb = [", "line 2, column 6")]
)
def test_the_end_of_a_file_has_a_line_and_a_column(text: str, place: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as refused:
        tomllib.loads(text)
    assert place in with_line(str(refused.value), text)
