"""What a text, a name and a room's name may be: for viewers, tokens, the backend and the page.

Rules. Pure functions, no configuration of their own: limits are passed in. A function named
`*_problem` says what is wrong, as a sentence for the person who sent it, or None. Characters are
told apart by their Unicode properties: a list forgets what its author never met, and two lists
disagree. The few characters named one by one are those of which no property tells.

The patterns are strings that `regex` and a browser's `new RegExp(…, "u")` read alike: no
lookbehind (old browsers have none), no `\\u{…}`, no subtraction of classes. The page is served
these very strings and has no rule of its own.

Danger: what is let through here is printed in pages, terminals and logs by programs that are not
ours. So no control character gets in, no line break of any script, nothing that is not well-formed,
nothing that nobody can see, no tower of marks that paints over its neighbours.
"""

import re
from typing import Any, Final

import regex

from chat.config.sections import Limits

MARKS_IN_A_ROW: Final = 8
"""Marks on one letter. The deepest stack in use, Tibetan U+0F67 with seven letters and a sign under
and over it, has eight; pointed and chanted Hebrew has six, Vietnamese taken apart two."""

# What ends a line, steers a terminal, or cannot be encoded.
_BREAKING: Final = r"[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]"

# What becomes a space. Of the directional controls those that open or close a stretch of text: they
# stand between words. The three marks of direction stand beside a comma, where a space would show.
_DIVIDING: Final = r"(?:[\p{Cc}\p{Zl}\p{Zp}]|(?![\u061C\u200E\u200F])\p{Bidi_Control})+"

# What leaves no trace: halves of characters, what is no character, and invisible formatting such as
# the zero-width space. Not so the joiners (Persian, the scripts of India, emoji), Mongolian's vowel
# separator, and the tags that spell a flag: six of them make 🏴 Scotland's.
_VANISHING: Final = (
    r"(?:[\p{Cs}\p{Noncharacter_Code_Point}]"
    "|(?![\\p{Join_Control}\\u180E\U000e0020-\U000e007f])"
    r"(?=\p{Default_Ignorable_Code_Point})\p{Cf})+"
)

# Marks, and the invisible between them: a joiner makes a tower of marks no lower.
_STACKED: Final = r"[\p{M}\p{Default_Ignorable_Code_Point}]"
_SURPLUS: Final = rf"({_STACKED}{{{MARKS_IN_A_ROW}}}){_STACKED}+"

# Beside white space. Named are Braille's empty cell, the object replacement character, the Khitan
# filler and the null notehead.
_UNSEEN: Final = (
    r"\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Cs}\p{Noncharacter_Code_Point}"
    "\\u2800\\uFFFC\U00016fe4\U0001d159"
)
_VISIBLE: Final = rf"[^\p{{White_Space}}{_UNSEEN}]"

# A path that ends in one of them, or has one for a part, is another path to whoever sends it (RFC
# 3986, 5.2.4), percent-encoded or not. So what is called that could not be asked for over HTTP.
_DOTS: Final = frozenset({".", ".."})

# Many scripts write vowels as marks on letters. A room's name is refused where a text is cleaned:
# cleaned, it would be another room's.
_ROOM: Final = (
    rf"^(?!\.{{1,2}}$)(?=.*{_VISIBLE})(?!.*{_STACKED}{{{MARKS_IN_A_ROW + 1}}})"
    r"[\p{L}\p{M}\p{N}:_.\-]+$"
)

_breaking = regex.compile(_BREAKING)
_dividing = regex.compile(_DIVIDING)
_vanishing = regex.compile(_VANISHING)
_surplus = regex.compile(_SURPLUS)
_visible = regex.compile(_VISIBLE)
_room = regex.compile(_ROOM)
_ascii_room = regex.compile(r"(?!\.{1,2}$)[A-Za-z0-9:_.\-]+")
_remarkable = regex.compile(rf"[\p{{M}}\p{{Zl}}\p{{Zp}}{_UNSEEN}]")
"""A text without any of these has nothing to be cleaned of but white space at its ends."""
_unusual = re.compile("[^ -~¡-¬®-ʯΑ-ωА-я、-〩ぁ-ゖァ-ヿ㐀-䶿一-鿿가-힣！-～]")
"""A text without any of these has nothing remarkable, which is told eight times as fast."""


def room_problem(name: str, most: int) -> str | None:
    """A room's name is 1 to `most` letters, marks or digits of any script, and any of : _ . -,
    and neither "." nor ".."."""
    # The length comes first: a name may be as long as a frame.
    if 1 <= len(name) <= most and (_ascii_room.fullmatch(name) or _room.fullmatch(name)):
        return None
    return _room_rule(most)


def _room_rule(most: int) -> str:
    return (
        f"a room's name is 1 to {most} visible letters, digits and any of : _ . -, "
        f"with at most {MARKS_IN_A_ROW} marks in a row, and neither . nor .."
    )


def uid_problem(uid: str, most: int) -> str | None:
    """A uid is 1 to `most` characters that need no cleaning, and neither "." nor ".."."""
    if 1 <= len(uid) <= most and uid not in _DOTS and is_clean(uid):
        return None
    words = f"a uid is one line of 1 to {most} characters without spaces around it"
    return f"{words}, and neither . nor .."


def clean_text(text: str) -> str:  # hot: once per message typed
    """`text` on one line, well-formed, trimmed, its marks at most MARKS_IN_A_ROW.

    Empty when nothing of it can be seen.
    """
    if not _unusual.search(text) or not _remarkable.search(text):
        return text.strip()
    # Marks come last: what vanishes may have stood between them.
    text = _vanishing.sub("", _dividing.sub(" ", text)).strip()
    text = _surplus.sub(r"\1", text)
    return text if _visible.search(text) else ""


def clean_name(name: str, most: int) -> str:
    """`name` as a clean text of at most `most` characters; empty when nothing can be seen."""
    return clean_text(clean_text(name)[:most])


def is_clean(text: str) -> bool:
    """Whether nothing in `text` would have to be replaced, dropped or trimmed."""
    return clean_text(text) == text


def is_one_line(text: str) -> bool:
    """Whether `text` has no control and no line break and can be encoded."""
    return _breaking.search(text) is None


def text_problem(text: str, most: int) -> str | None:
    """What is wrong with a cleaned text of which `most` characters are allowed."""
    if not text:
        return "the text is empty"
    return f"the text is longer than {most} characters" if len(text) > most else None


def rules_for_page(limits: Limits) -> dict[str, Any]:
    """All of the above for a browser, to be sent as JSON; `web/rules.js` reads it.

    Lengths are in characters (code points), patterns for JavaScript's `u` flag.
    """
    return {
        "room": _ROOM,
        "room_chars": limits.room_chars,
        "room_rule": _room_rule(limits.room_chars),
        "text_chars": limits.text_chars,
        "dividing": _DIVIDING,
        "vanishing": _VANISHING,
        "surplus": _SURPLUS,
        "visible": _VISIBLE,
    }
