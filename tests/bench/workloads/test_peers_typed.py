"""bench/workloads/peers_typed.py: a quick look, at those who need no download."""

from functools import partial

from bench.peers.danmaku import Danmaku
from bench.peers.everyone import FLOOR, US, makes
from bench.workloads.peers_typed import LIMITS, compare


def test_each_that_is_here_has_a_row_and_nothing_is_lost() -> None:
    those = {name: make for name, make in makes().items() if name in (FLOOR, US, "websockets")}
    section = compare(those | {US: partial(Danmaku, **LIMITS)}, seconds=1, rounds=1)
    assert list(section.rows) == [FLOOR, US, "websockets"]
    for row in section.rows.values():
        assert row["lost"] == 0
        assert row["per_s"] > 0
        assert row["us"] > 0
    assert section.rows[US]["times_ours"] == 1.0
    assert len(section.notes) >= 2
