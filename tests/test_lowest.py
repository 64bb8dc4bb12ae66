"""tests/lowest.py: which versions it holds requirements to."""

import tomllib
from pathlib import Path

from tests.lowest import ROOT, lowest


def test_every_requirement_has_a_lower_bound_and_is_held_to_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(lowest()) == len(project["dependencies"])


def test_extras_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\ndependencies = ["redis[hiredis]>=6", "PyJWT>=2.10.1"]\n')
    assert lowest(file) == ["redis==6", "PyJWT==2.10.1"]
