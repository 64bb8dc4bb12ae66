"""The table of phases: what may follow what."""

from itertools import pairwise, product

import pytest

from pool.table import FREE, ConnectionTable
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


def test_a_table_takes_these_steps_and_names_both_phases_of_any_other() -> None:
    for now, then in product(NAMES, NAMES):
        table = ConnectionTable(1, phases.FOLLOWS, NAMES)
        table.phase[0] = now
        if (now, then) in phases.FOLLOWS:
            table.move(0, then)
            assert table.phase[0] == then
        else:
            with pytest.raises(RuntimeError, match=f"from {NAMES[now]} to {NAMES[then]}"):
                table.move(0, then)
            assert table.phase[0] == now


def test_phases_fit_a_byte_and_differ() -> None:
    assert len(NAMES) == 5
    assert all(0 <= phase < 256 for phase in NAMES)
