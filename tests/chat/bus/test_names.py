"""Names nobody else has."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chat.bus.names import base36, new_epoch


def test_epochs_do_not_occur_again() -> None:
    epochs = [new_epoch() for _ in range(200)]
    assert all(len(epoch) == 6 and epoch.isalnum() for epoch in epochs)
    assert all(one != two for one, two in pairwise(sorted(epochs)))


@given(st.integers(0, 2**80))
def test_base36_is_read_back(number: int) -> None:
    assert int(base36(number), 36) == number
    assert base36(number) == base36(number).lower()
