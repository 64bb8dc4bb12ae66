"""bench/plots.py: pictures of a kept run, of what is in it and no more."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="no matplotlib: no plots")

from bench.plots import draw, share
from bench.report import Aim, Section, document

FANOUT = Section(
    "Fan-out alone: 5,000 viewers, 128-byte payload",
    [],
    {"C loop (the floor)": {"us": 2.0, "ratio": 1.0}, "shard": {"us": 2.5, "ratio": 1.25}},
    [Aim("against the floor", 1.25, at_most=1.6)],
)
HOT_ROOM = Section(
    "Hot room",
    [],
    {"shard": {"p50_ms": 20.0, "p99_ms": 90.0}},
    [Aim("p99 from post to viewer, ms", 90.0, at_most=60), Aim("lost", 0.0, at_most=0)],
)


def kept(**sections: Section) -> dict[str, Any]:
    return document(sections, {}, {})


def drawn(folder: Path, **sections: Section) -> set[str]:
    return {path.name for path in draw(kept(**sections), folder)}


class TestDraw:
    def test_a_run_of_all_kinds_makes_three_small_pngs(self, tmp_path: Path) -> None:
        paths = draw(kept(fanout=FANOUT, fanout_15k=FANOUT, hot_room=HOT_ROOM), tmp_path)
        assert [path.name for path in paths] == ["cost.png", "aims.png", "latency.png"]
        for path in paths:
            picture = path.read_bytes()
            assert picture.startswith(b"\x89PNG")
            assert int.from_bytes(picture[16:20], "big") == 900
            assert len(picture) < 60_000

    def test_what_was_not_measured_is_not_drawn(self, tmp_path: Path) -> None:
        assert drawn(tmp_path, fanout=FANOUT) == {"cost.png", "aims.png"}
        assert drawn(tmp_path, hot_room=HOT_ROOM) == {"aims.png", "latency.png"}
        assert drawn(tmp_path) == set()


class TestShare:
    @pytest.mark.parametrize(
        ("aim", "wanted"),
        [
            (Aim("a", 30.0, at_most=60), 0.5),
            (Aim("a", 30.0, at_least=60), 2.0),
            (Aim("a", 120.0, at_least=60), 0.5),
            (Aim("a", 0.0, at_most=0), 0.0),
        ],
    )
    def test_one_or_less_is_met_whichever_way_the_bound_points(
        self, aim: Aim, wanted: float
    ) -> None:
        assert share(vars(aim)) == wanted
        assert aim.met == (wanted <= 1)

    def test_a_miss_of_nothing_allowed_is_past_the_line(self) -> None:
        assert share(vars(Aim("lost", 1.0, at_most=0))) > 1
        assert share(vars(Aim("per second", 0.0, at_least=5))) > 1
