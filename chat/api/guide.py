"""What is said of the API in sentences, beside what a schema can say: `guide.md`, by its headings.

Rules. Its links lead to pages beside docs/api.md; in what a node serves there are none.
"""

import re
from pathlib import Path
from typing import Any, Final

_LINK: Final = re.compile(r"\[([^\]]+)\]\((?:[\w.]+\.md(?:#[\w-]+)?|#[\w-]+)\)")


def _read() -> dict[str, str]:
    text = Path(__file__).with_name("guide.md").read_text("utf-8")
    head, *sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {"": head.strip()} | {
        title: body.strip() for title, body in zip(sections[::2], sections[1::2], strict=True)
    }


SECTIONS: Final = _read()
"""The text under each heading; that before all of them under ""."""
TAGS: Final = {
    "rooms": "Rooms",
    "moderation": "Moderation",
    "words": "Words",
    "live": "Live",
    "node": "The node",
    "centrifugo": "What Centrifugo's server libraries call",
}
"""The headings of the tags; those that are left are of the whole."""
OF_TAGS: Final = {tag: SECTIONS[title] for tag, title in TAGS.items()}
WHOLE: Final = tuple(title for title in SECTIONS if title and title not in TAGS.values())
INTRODUCTION: Final = "\n\n".join(
    [SECTIONS[""], *(f"## {title}\n\n{SECTIONS[title]}" for title in WHOLE)]
)


def without_links(value: Any) -> Any:
    """A document whose texts lead to no page that is not served."""
    if isinstance(value, str):
        return _LINK.sub(r"\1", value)
    if isinstance(value, list):
        return [without_links(item) for item in value]
    if isinstance(value, dict):
        return {name: without_links(inner) for name, inner in value.items()}
    return value
