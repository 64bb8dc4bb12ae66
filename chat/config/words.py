"""How a mistake in the configuration is worded: what was expected, what was found, what was meant.

Lives here: pure functions from types, values and names to text. Must not: know a key or a section.
The one danger: the text goes to a terminal, so whatever was found is quoted short and escaped.
"""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import inspect

SHOWN_CHARS = 60


def expected(annotated: Any) -> str:
    """The values an annotated type admits: `int between 1 and 2000`."""
    match inspect.type_info(annotated):
        case inspect.IntType(ge=low, le=high):
            return f"int between {low} and {high}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(sorted(shown(str(value)) for value in values))
        case inspect.VarTupleType(item_type=inspect.LiteralType(values=values)):
            return "a list of any of " + ", ".join(sorted(shown(str(value)) for value in values))
        case inspect.VarTupleType():
            return 'a list of strings like ["a", "b"]'
        case inspect.StrType(min_length=1):
            return "a string that is not empty"
        case _:
            return "a string"


def is_text(annotated: Any) -> bool:
    """Whether only a string can be meant, so that digits are text too."""
    kind = inspect.type_info(annotated)
    return isinstance(kind, inspect.StrType | inspect.LiteralType)


def got(value: Any) -> str:
    """A value out of TOML, short enough for one line."""
    match value:
        case str():
            return shown(value)
        case bool():
            return str(value).lower()
        case int():
            # CPython refuses to print integers beyond 4,300 digits; in hexadecimal TOML holds them.
            return str(value) if value.bit_length() <= 128 else "an integer beyond 128 bits"
        case float():
            return str(value)
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"a {type(value).__name__}"


def shown(text: str) -> str:
    """`text` in quotes, cut, with nothing in it that a terminal would act on."""
    short = text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
    return json.dumps(short, ensure_ascii=not short.isprintable())


def name(text: str) -> str:
    """A key's name: bare where it reads as one, else quoted."""
    return text if re.fullmatch(r"[\w.-]{1,60}", text) else shown(text)


def did_you_mean(word: str, known: Mapping[str, str]) -> str:
    """A hint for an unknown `word`; `known` maps what it is compared with to what is suggested."""
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean {known[nearest[0]]}?" if nearest else ""


def with_line(message: str, text: str) -> str:
    """tomllib's message about `text`, with line and column even where it says only "the end"."""
    line = text.count("\n") + 1
    column = len(text) - text.rfind("\n")
    return message.replace("at end of document", f"at line {line}, column {column}, the end")
