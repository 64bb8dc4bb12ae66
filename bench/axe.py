"""What axe finds wrong with a page: the rules of accessibility that a program can check.

Rules. axe comes by npm with the tests' own libraries: `make test` installs it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE: Final = Path(__file__).parents[1] / "tests/e2e/node_modules/axe-core/axe.min.js"


def broken(page: "Page") -> list[str]:
    """What it finds, each with where."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {rule['help']}: {place['html'][:200]} {place['failureSummary'][:300]}"
        for rule in found["violations"]
        for place in rule["nodes"]
    ]
