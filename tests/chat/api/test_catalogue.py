"""docs/metrics.md is what `/metrics` says of itself."""

import re
from pathlib import Path

from chat.api.catalogue import SECTIONS, page
from chat.api.families import NODE, SHARDS
from chat.api.metrics import API_FIELDS, Metrics
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/metrics.md"
NO_METRICS = {"danmaku_api_process_"}


def test_the_page_is_written_from_the_texts() -> None:
    wanted = "python -m chat.api.catalogue > docs/metrics.md"
    assert PAGE.read_text() == page(), f"write it anew: {wanted}"


def test_no_family_is_left_out() -> None:
    assert [one for _, found in SECTIONS for one in found] == [*SHARDS, *NODE]


def test_whatever_the_other_pages_name_is_there() -> None:
    rendered = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1)).render().decode()
    known = set(re.findall(r"^# TYPE (\S+)", rendered, re.MULTILINE))
    named = {
        (file.name, name)
        for file in [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")]
        for name in re.findall(r"\bdanmaku_\w+", file.read_text())
    }
    assert len(named) > 50
    assert {(file, name) for file, name in named if name not in known | NO_METRICS} == set()
