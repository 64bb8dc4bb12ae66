"""bench/workloads/page.py: a quick look."""

import pytest

from bench.axe import AXE
from bench.workloads import Settings
from bench.workloads.page import run
from tests.e2e.browsers import CHROMIUM


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
def test_a_look_has_frames_lines_and_the_heap_before_and_after() -> None:
    section = run(Settings(quick=True))
    [row] = section.rows.values()
    assert row["fps"] > 0
    assert row["lines"] > 100
    assert 0 <= row["left_out"] < 1
    assert row["before_mb"] > 0
    assert row["after_mb"] > 0
    assert len(section.aims) == 2 + AXE.exists()
    assert [one.value for one in section.aims[2:]] in ([], [0])
