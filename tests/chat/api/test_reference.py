"""docs/api.md is what the document says."""

import re
from pathlib import Path

import pytest

from chat.api.openapi import operations
from chat.api.reference import curl, page
from tests.chat.api.test_openapi import WHOLE

PAGE = Path(__file__).parents[3] / "docs/api.md"


def test_the_page_is_written_from_the_document() -> None:
    wanted = "python -m chat.api.reference > docs/api.md"
    assert PAGE.read_text("utf-8") == page(), f"write it anew: {wanted}"


def test_every_operation_and_every_shape_stands_in_it() -> None:
    written = page()
    for path, method, one in operations(WHOLE["paths"]):
        assert f"### {one['summary']}\n\n`{method.upper()} {path}` takes" in written
    for name in WHOLE["components"]["schemas"]:
        assert f"### {name}\n" in written


def test_links_within_it_lead_somewhere() -> None:
    written = page()
    headings = re.findall(r"^##+ (.+)$", written, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    named = set(re.findall(r"\]\(#([^)]+)\)", written))
    assert named
    assert named <= anchors
    assert len(anchors) == len(headings), "two headings are called alike"


@pytest.mark.parametrize(
    ("name", "path", "method", "written"),
    [
        ("getHealth", "/healthz", "get", 'curl "$DANMAKU_API/healthz"'),
        (
            "clearRoom",
            "/v1/rooms/{room}/messages",
            "delete",
            'curl -X DELETE "$DANMAKU_API/v1/rooms/live:42/messages?uid=u7&reason=spam" \\\n'
            '     -H "Authorization: Bearer $DANMAKU_KEY"',
        ),
    ],
)
def test_an_example_is_a_command(name: str, path: str, method: str, written: str) -> None:
    values = {"room": "live:42", "uid": "u7", "reason": "spam"}
    given = [{"name": one, "example": value} for one, value in values.items()]
    assert curl(path, method, given, name) == written
