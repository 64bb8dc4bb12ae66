"""tests/faults/texts.py: a text says which message it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.entries import folded
from tests.faults.texts import CHANTS, LETTERS, chanted, number_of, written

numbers = st.integers(0, 2**LETTERS - 1)


@given(numbers, st.integers(0, 300))
def test_one_that_is_like_no_other(number: int, padding: int) -> None:
    assert number_of(written(number, padding)) == number


@pytest.mark.parametrize("chant", CHANTS)
@given(one=numbers, other=numbers)
def test_one_that_many_say(chant: str, one: int, other: int) -> None:
    assert number_of(chanted(one, chant)) == one
    assert folded(chanted(one, chant)) == folded(chanted(other, chant))


def test_chants_are_not_alike() -> None:
    assert len({folded(chanted(0, chant)) for chant in CHANTS}) == len(CHANTS)
