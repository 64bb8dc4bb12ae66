"""What may be said and what a room may be called: the same for viewers and for the backend.

Rules. Pure functions, no configuration of their own: limits are passed in. A function named
`*_problem` says what is wrong, as a sentence for the person who sent it, or None.

Danger: what is let through here is printed in pages, terminals and logs by programs that are not
ours. So no control character gets in, and no line break of any script.
"""

import re
import unicodedata
from typing import Final

_ROOM_NAME: Final = re.compile(r"[A-Za-z0-9_:.\-]+")
# Also the invisible: zero-width spaces, and what turns the direction of the text around it. The
# zero-width joiners stay, emoji and Persian need them.
_CONTROLS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]+"
)


def room_problem(name: str, most: int) -> str | None:
    """A room's name is 1 to `most` letters or digits of any script, and any of : _ . -"""
    if 1 <= len(name) <= most and (_ROOM_NAME.fullmatch(name) or all(map(_in_a_name, name))):
        return None
    return f"a room's name is 1 to {most} letters, digits and any of : _ . -"


def _in_a_name(character: str) -> bool:
    # Many scripts write vowels as marks on letters, which `\w` does not count.
    return character in ":_.-" or unicodedata.category(character)[0] in "LMN"


def clean_text(text: str) -> str:
    """`text` on one line: control characters are spaces, and none at the ends."""
    return _CONTROLS.sub(" ", text).strip()


def is_clean(text: str) -> bool:
    """Whether nothing in `text` would have to be replaced or trimmed."""
    return _CONTROLS.search(text) is None and text == text.strip()


def text_problem(text: str, most: int) -> str | None:
    """What is wrong with a cleaned text of which `most` characters are allowed."""
    if not text:
        return "the text is empty"
    return f"the text is longer than {most} characters" if len(text) > most else None
