"""bench/workloads/peers_idle.py: a quick look, at those who need no download."""

from bench.peers.everyone import US, makes
from bench.workloads.peers_idle import compare


def test_each_that_is_here_has_a_row_with_what_a_viewer_takes() -> None:
    those = {name: make for name, make in makes().items() if name in (US, "websockets")}
    section = compare(those, size=600)
    assert list(section.rows) == [US, "websockets"]
    assert section.rows["websockets"]["private"] > 100
    assert section.rows["websockets"]["viewers"] == 600
    assert section.notes
