"""Texts that follow a rule, as the OpenAPI document tells the rule: by a pattern, and how long.

Rules. A field whose text has a rule names it as its `format` in its Struct; in the document a
reference to the rule's schema stands in its place, with the node's own numbers. Whatever a pattern
lets through is accepted. A text is cleaned before it is looked at, so of texts more is accepted,
and of words: what else can be found is not to be said by a pattern.

`policy.text` tells characters apart by properties, of which most engines know few. So a pattern has
here, as ranges, the characters that the properties have there; but for letters, marks and digits,
which are very many and which all know. They are ECMAScript's, with its `u` flag.
"""

from array import array
from functools import cache
from typing import Annotated, Any, Final

import regex
from msgspec import Meta

from chat.api import networks
from chat.config.sections import Limits
from chat.policy.claims import MAX_BADGE
from chat.policy.identity import MAX_NAME, MAX_UID
from chat.policy.text import MARKS_IN_A_ROW, rules_for_page
from chat.policy.words import MAX_WORD

MAX_ANNOUNCEMENT: Final = 500
MOST_IN_DATA: Final = 2**64 - 1
LEAST_IN_DATA: Final = -(2**63)

Room = Annotated[str, Meta(extra_json_schema={"format": "room"})]
Text = Annotated[str, Meta(extra_json_schema={"format": "text"})]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, extra_json_schema={"format": "name"})]
Uid = Annotated[str, Meta(min_length=1, max_length=MAX_UID, extra_json_schema={"format": "uid"})]
Badge = Annotated[
    str, Meta(min_length=1, max_length=MAX_BADGE, extra_json_schema={"format": "badge"})
]
Data = Annotated[Any, Meta(extra_json_schema={"format": "data"})]

NAMES: Final = {name.lower(): name for name in ("Room", "Uid", "Text", "Name", "Badge", "Data")}
"""The rules' schemas by their formats."""
KEPT: Final = frozenset({"default", "description"})
"""What a field says of itself beside its rule."""

# Not those that are punctuation when they are folded.
FOLDED: Final = (
    r"\u013F\u0140\u0640\u115F\u1160\u215F\u2474-\u249B\u3164\u3220-\u3229\uFC5E-\uFC63"
    "\\uFCF2-\\uFCF4\\uFE70-\\uFE7F\\uFFA0\U0001f100-\U0001f10a"
)
PICTURES: Final = (
    "\U0001f324-\U0001f393\U0001f400-\U0001f4fd\U0001f5fb-\U0001f64f\U0001f680-\U0001f6c5"
    "\U0001f90c-\U0001f93a\U0001f947-\U0001f9ff"
)
DOTS: Final = r"(?!\.{1,2}$)"


@cache
def patterns() -> dict[str, str]:
    """The patterns of Room, Uid, Badge, Text and Word. It takes some tenths of a second, once."""
    rules = rules_for_page(Limits())
    every = array("I", [*range(0xD800), *range(0xE000, 0x110000)]).tobytes().decode("utf-32")

    def ranges(pattern: str) -> str:
        """What a pattern matches, as it stands in a class."""
        runs = (found.group() for found in regex.finditer(f"(?:{pattern})+", every))
        return "".join(_range(run[0], run[-1]) for run in runs)

    unseen, spaces = ranges(f"(?!{rules['visible']})(?s:.)"), ranges(r"\p{White_Space}")
    cleaned = ranges(f"{rules['dividing']}|{rules['vanishing']}")
    marks, stacked = ranges(r"\p{M}"), ranges(r"[\p{M}\p{Default_Ignorable_Code_Point}]")
    seen = f"(?=.*[^{unseen}])(?!.*[{stacked}]{{{MARKS_IN_A_ROW + 1}}})"
    clean = f"(?![{spaces}])(?!.*[{spaces}]$){seen}[^{cleaned}]+"
    letter = f"(?![{FOLDED}])[\\p{{L}}\\p{{N}}{PICTURES}]"
    return {
        "Room": rf"^{DOTS}{seen}[\p{{L}}\p{{M}}\p{{N}}:_.\-]+$",
        "Uid": f"^{DOTS}{clean}$",
        "Badge": f"^{clean}$",
        # However it is cleaned, of marks the first ones are left.
        "Text": f"^[^{unseen}]|[^{unseen}{marks}]",
        "Word": rf"^\*?{letter}(?:[^*]*{letter})?\*?$",
    }


def _range(first: str, last: str) -> str:
    return _written(first) if first == last else f"{_written(first)}-{_written(last)}"


def _written(character: str) -> str:
    """A character of a class, as every engine reads it: those beyond U+FFFF as they are."""
    code = ord(character)
    if code > 0xFFFF or (character.isascii() and character.isalnum()):
        return character
    return f"\\u{code:04X}"


def schemas(limits: Limits) -> dict[str, Any]:
    """The rules' schemas by their names in the document."""
    pattern = patterns()
    return {
        "Room": _text(
            *(limits.room_chars, pattern["Room"]),
            f"A room's name: 1 to {limits.room_chars} letters of any script, marks on them, digits "
            "and any of `: _ . -`, of which something can be seen; at most 8 marks in a row; "
            "neither `.` nor `..`. Names are compared as they are.",
        ),
        "Uid": _text(
            *(MAX_UID, pattern["Uid"]),
            "A user: one line of text, without spaces around it or what cannot be seen; neither "
            "`.` nor `..`.",
        ),
        "Text": _text(
            *(limits.text_chars, pattern["Text"]),
            "What is said. It is cleaned: controls and line breaks become spaces, what cannot be "
            f"seen goes. Of what is left {limits.text_chars} characters may be, and something has "
            "to be seen.",
        ),
        "Name": _text(MAX_NAME, pattern["Text"], "A name to be shown, cleaned like a text."),
        "Announcement": _text(MAX_ANNOUNCEMENT, pattern["Text"], "Cleaned like a text."),
        "Badge": _text(MAX_BADGE, pattern["Badge"], "A short text, shown as it is."),
        "Word": _text(
            *(MAX_WORD, pattern["Word"]),
            "A word or phrase with a letter, digit or picture at both ends; a `*` before or behind "
            "it lets the word go on there.",
        ),
        "Network": networks.schema(),
        "EntryId": {
            "type": "string",
            "pattern": "^[0-9]{1,18}-[0-9]{1,18}$",
            "description": "Where something stands in a stream.",
        },
        "EntryPlace": {
            "type": "string",
            "pattern": "^[0-9]{1,18}(-[0-9]{1,18})?$",
            "description": "Where something stands in a stream, or a time in ms since 1970.",
        },
        "Data": _data(),
    }


def with_rules(schema: Any) -> Any:
    """A schema in which every field that names a rule refers to it."""
    if isinstance(schema, list):
        return [with_rules(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rule = NAMES.get(str(schema.get("format")))
    if rule is not None:
        return {name: schema[name] for name in schema.keys() & KEPT} | _ref(rule)
    return {name: with_rules(value) for name, value in schema.items()}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(most: int, pattern: str, words: str) -> dict[str, Any]:
    made = {"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern}
    return made | {"description": words}


def _data() -> dict[str, Any]:
    """Any JSON whose numbers can be written in MessagePack."""
    more = _ref("Data")
    return {
        "description": "Any JSON, of up to 4096 bytes and 32 levels.",
        "type": ["null", "boolean", "number", "string", "array", "object"],
        "minimum": LEAST_IN_DATA,
        "maximum": MOST_IN_DATA,
        "items": more,
        "additionalProperties": more,
    }
