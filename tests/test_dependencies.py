"""docs/licences.md names what is installed with the package."""

from pathlib import Path

from packaging.requirements import Requirement

from tests.dependencies import applies, closure, licence, listed

PAGE = Path(__file__).parents[1] / "docs/licences.md"


def test_the_page_names_what_is_installed() -> None:
    wanted = "python -m tests.dependencies > docs/licences.md"
    assert listed(PAGE.read_text("utf-8")) == closure().keys(), f"write it anew: {wanted}"


def test_no_licence_asks_for_our_source() -> None:
    strict = [name for name in closure() if "GPL" in licence(name)]
    assert strict == []


def test_each_that_is_here_says_its_licence() -> None:
    assert [name for name in closure() if licence(name) == "not said"] == []


def test_what_needs_what_is_followed() -> None:
    found = closure()
    assert "danmaku" in found["websockets"]
    assert "redis" in found["hiredis"], "by an extra"
    assert "httpx" in found["httpcore"], "by way of another"
    assert "pytest" not in found


def test_markers_are_those_of_any_python_on_linux() -> None:
    assert applies(Requirement("a; python_version < '3.13'"), frozenset())
    assert applies(Requirement("a; python_version >= '3.14'"), frozenset())
    assert not applies(Requirement("a; python_version < '3.11'"), frozenset())
    assert not applies(Requirement("a; sys_platform == 'win32'"), frozenset())
    assert not applies(Requirement("a; extra == 'b'"), frozenset())
    assert applies(Requirement("a; extra == 'b'"), frozenset({"b"}))
