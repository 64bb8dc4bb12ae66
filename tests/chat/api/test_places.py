"""Places: as many as there are, as many as an address may have, and each given back once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.api.places import MOST_TOLD, Places

ADDRESSES = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", ""]


@given(
    st.integers(1, 6),
    st.integers(0, 4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=60),
)
def test_no_more_are_taken_than_there_are(
    total: int, each: int, steps: list[tuple[bool, int]]
) -> None:
    places = Places(total, each)
    held: list[tuple[int, str]] = []
    for enters, number in steps:
        if enters:
            address = ADDRESSES[number]
            # Both IPv6 addresses are one household's.
            mine = sum(other[:8] == address[:8] for _, other in held)
            mine = mine if ":" in address else sum(other == address for _, other in held)
            place = places.take(address)
            assert (place is None) == (len(held) == total or 0 < each <= mine)
            if place is not None:
                held.append((place, address))
        elif number < len(held):
            places.leave(held.pop(number)[0])
        assert places.full == (len(held) == total)
        assert len({place for place, _ in held}) == len(held)


def test_not_everybody_is_told_that_there_is_no_place() -> None:
    places = Places(1, 0)
    assert [places.turn_away() for _ in range(MOST_TOLD + 1)] == [True] * MOST_TOLD + [False]
    for _ in range(2):
        places.leave(None)
    assert places.turn_away()


@pytest.mark.parametrize("each", [0, 1])
def test_a_place_given_back_may_be_taken_again(each: int) -> None:
    places = Places(1, each)
    for _ in range(3):
        place = places.take("a")
        assert place == 0
        assert places.take("b") is None
        places.leave(place)
