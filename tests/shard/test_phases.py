"""The table of phases: what may follow what."""

from itertools import pairwise, product

import pytest

from pool.table import FREE
from shard import phases
from shard.phases import CLOSING, HANDSHAKE, NAMES, OPEN, QUARANTINED

LIVES = [
    [FREE, HANDSHAKE, OPEN, CLOSING, QUARANTINED, FREE],
    [FREE, HANDSHAKE, OPEN, QUARANTINED, FREE],
    [FREE, HANDSHAKE, QUARANTINED, FREE],
]
"""Every life a connection can have, as in the picture that opens the file."""


def test_every_life_in_the_picture_is_allowed_and_nothing_else_is() -> None:
    steps = {step for life in LIVES for step in pairwise(life)}
    assert steps == phases.FOLLOWS


def test_an_illegal_step_names_both_phases() -> None:
    for now, then in set(product(NAMES, NAMES)) - phases.FOLLOWS:
        with pytest.raises(RuntimeError, match=f"from {NAMES[now]} to {NAMES[then]}"):
            phases.check(now, then)


def test_a_legal_step_passes() -> None:
    for now, then in phases.FOLLOWS:
        phases.check(now, then)


def test_phases_fit_a_byte_and_differ() -> None:
    assert len(NAMES) == 5
    assert all(0 <= phase < 256 for phase in NAMES)
