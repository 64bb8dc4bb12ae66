"""tests/audit.py: what pip-audit found, and what it could not find out."""

from typing import Any

from tests.audit import judge

WEAK = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}
ITSELF: dict[str, Any] = {"name": "danmaku", "skip_reason": "editable"}


def package(name: str, *weak: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "2.0", "vulns": list(weak)}


def test_a_weakness_of_what_is_brought_fails() -> None:
    lines, status = judge([ITSELF, package("Redis", WEAK), package("rich")], {"redis", "rich"})
    assert status == 1
    assert lines[0] == "Redis 2.0: PYSEC-1, mended in 2.1"
    assert lines[-1] == "2 packages audited"


def test_one_of_what_only_tests_use_is_told() -> None:
    lines, status = judge([package("pytest", WEAK), package("rich")], {"rich"})
    assert (status, lines[0]) == (0, "pytest 2.0 (tests only): PYSEC-1, mended in 2.1")


def test_nobody_to_ask_is_told_and_no_failure() -> None:
    assert judge("no route to host", {"rich"}) == (["not audited: no route to host"], 0)
    unknown = {"name": "rich", "skip_reason": "not found on PyPI"}
    lines, status = judge([ITSELF, unknown], {"rich"})
    assert status == 0
    assert lines[0].startswith("not audited: ")
    assert len(lines) == 1


def test_one_that_the_index_does_not_know_is_told_beside_the_others() -> None:
    unknown = {"name": "other", "skip_reason": "not found on PyPI"}
    lines, status = judge([unknown, package("rich"), package("redis")], {"rich"})
    assert (lines, status) == (["not audited: other", "2 packages audited"], 0)
