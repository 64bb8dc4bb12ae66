"""What the pages for readers lead to is there: files, keys, requests, tests."""

import re
from pathlib import Path

import pytest

from chat.api.openapi import document
from chat.config.sections import SECTIONS, TYPES, Config

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[\w-]+)?\)")
KEY = re.compile(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_]+)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
REQUEST = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`?]+)`")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        there = page.parent / target
        assert there.exists(), target
        if anchor and there.suffix == ".md":
            assert anchor[1:] in anchors(there), target + anchor


def test_workloads_they_name_can_be_run() -> None:
    workloads = {path.stem for path in (ROOT / "bench/workloads").glob("*.py")}
    named = {
        name
        for page in PAGES
        for said in re.findall(r"`python -m bench ([a-z_\d ]+)", page.read_text("utf-8"))
        for name in said.split()
    }
    assert len(named) > 5
    assert named <= workloads
    sizing = (DOCS / "operations.md").read_text("utf-8").partition("## How large")[2]
    commands = re.findall(r"\| ((?:`[a-z_\d]+(?: --rounds 1)?`[^|`]*)+)\|$", sizing, re.MULTILINE)
    assert len(commands) > 10
    for name in re.findall(r"`([a-z_\d]+)", " ".join(commands)):
        assert name in workloads or name in ("danmaku", "redis", "pidstat"), name


@pytest.mark.parametrize("name", ["security", "coming-from", "quickstart", "concepts"])
def test_keys_they_name_are_keys(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text("utf-8")
    assert [key for key in KEY.findall(text) if key not in TYPES] == []


def test_every_answer_to_a_threat_names_a_test_that_is_there() -> None:
    text = (DOCS / "security.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not row.startswith("| threat ")]
    assert len(claims) > 20
    for claim in claims:
        named = TEST.findall(claim)
        assert named, claim
        for file, test in named:
            source = (ROOT / file).read_text("utf-8")
            assert not test or re.search(rf"def {test}\b", source), f"{file}::{test}"


def test_requests_for_those_who_come_from_elsewhere_are_the_apis() -> None:
    paths = document(Config())["paths"]
    asked = set(REQUEST.findall((DOCS / "coming-from.md").read_text("utf-8")))
    assert len(asked) >= 4
    assert [one for one in asked if one[0].lower() not in paths.get(one[1], {})] == []


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    linked = {target for target, _ in LINK.findall(index)}
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert pages - linked == set()
