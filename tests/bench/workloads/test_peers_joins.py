"""bench/workloads/peers_joins.py: a quick look, at those who need no download."""

from bench.peers.everyone import FLOOR, US, makes
from bench.workloads.peers_joins import compare


def test_each_that_is_here_has_a_row_with_its_cost_against_ours_and_the_floors() -> None:
    those = {name: make for name, make in makes().items() if name in (FLOOR, US, "websockets")}
    section = compare(those, size=50, rounds=1)
    assert list(section.rows) == [FLOOR, US, "websockets"]
    assert section.rows[US]["times_ours"] == 1.0
    assert section.rows["websockets"]["us"] > 0
    assert section.rows["websockets"]["ratio"] > 0
    assert section.notes
