"""docs/configuration.md, written from the sections' types and from config.toml's reasons.

    python -m chat.config.catalogue > docs/configuration.md

Rules. Nothing is said here of a key: its type, bounds and default come from `sections`, whether it
may change while a node runs from `live`, its meaning is the comment above it in config.toml. A test
keeps the page equal.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from chat.config.live import LIVE
from chat.config.load import VARIABLES
from chat.config.sections import SECRETS, SECTIONS, TYPES

HEAD: Final = """\
# Configuration

Every key: what it may be, its default, and why. A file of the keys that you change is enough: a
missing one means its default. `danmaku config > config.toml` writes a file of all of them.

```sh
danmaku serve --config my.toml              # else ./config.toml, if there is one
DANMAKU_SERVER_PORT=9000 danmaku serve      # a variable wins over the file
danmaku serve --port 9000                   # an option wins over both
danmaku doctor --config my.toml             # is it sound, and does it go with this machine?
```

A variable is written as the file would write it: `9000`, `true`, `["https://a.example"]`; the
quotes around a text may be left out. With `_FILE` behind its name it says which file has the value,
without the last line break: `DANMAKU_AUTH_SECRET_FILE=/run/secrets/auth`.

A key marked *live* is applied by `danmaku reload`, SIGHUP to the supervisor or `systemctl reload`;
any other *needs a restart*, and a reload that meets a change of one names it
([running.md](running.md#beside-the-bus-changing-the-configuration)).

An unknown section, key or variable, a value of the wrong kind or out of bounds, and keys that do
not go together stop the start, all of them told at once by their paths. Values of keys marked
*secret* are never shown.

Units are in the names: `_s` seconds, `_ms` milliseconds, `_bytes` bytes, `_chars` Unicode code
points.
"""

SECTION: Final = re.compile(r"\[(\w+)\](?:  # (.*))?")
KEY: Final = re.compile(r"(\w+) = .*")
CODE: Final = re.compile(r"`[^`]*`")


class Shipped(NamedTuple):
    """What config.toml says: of each section what it is about, of each key its comment's lines."""

    sections: dict[str, str]
    keys: dict[str, list[str]]


def shipped() -> str:
    """config.toml."""
    return resources.files("chat.config").joinpath("config.toml").read_text("utf-8")


def read(text: str) -> Shipped:
    """The comments of a file in which each key stands below its reason."""
    found = Shipped({}, {})
    section, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("#"):
            lines.append(line.removeprefix("#").removeprefix(" "))
        elif named := SECTION.fullmatch(line):
            section = named[1]
            found.sections[section] = named[2] or ""
            lines = []
        elif key := KEY.fullmatch(line):
            found.keys[f"{section}.{key[1]}"] = lines
            lines = []
    return found


def page() -> str:
    """The page."""
    told = read(shipped())
    return "\n".join([HEAD, *(part for name in SECTIONS for part in _section(name, told))])


def _section(name: str, told: Shipped) -> Iterator[str]:
    about = told.sections[name]
    yield f"## {name}\n"
    if about:
        yield f"{about[0].upper()}{about[1:]}.\n"
    for path in (path for path in TYPES if path.partition(".")[0] == name):
        key = path.partition(".")[2]
        default = getattr(SECTIONS[name](), key)
        marks = " · *live*" if path in LIVE else " · *needs a restart*"
        marks += " · *secret*" if path in SECRETS else ""
        variable = next(one for one, of in VARIABLES.items() if of == path)
        yield f"### {path}\n"
        yield f"{kind(TYPES[path])} · default `{written(default)}`{marks} · `{variable}`\n"
        yield from _text(told.keys[path])


def _text(lines: Iterable[str]) -> Iterator[str]:
    """A comment as Markdown; lines that are set in are an example."""
    paragraph, example = list[str](), list[str]()
    for line in [*lines, ""]:
        if line.startswith("  "):
            if paragraph:
                yield prose(" ".join(paragraph)) + "\n"
            paragraph = []
            example.append(line[2:])
            continue
        if example:
            yield "\n".join(["```toml", *example, "```\n"])
        example = []
        if line:
            paragraph.append(line)
    if paragraph:
        yield prose(" ".join(paragraph)) + "\n"


def prose(text: str) -> str:
    """Text in which nothing is taken for Markdown but code, and pages of docs/ are links."""
    parts, at = list[str](), 0
    for code in CODE.finditer(text):
        parts += [_plain(text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, _plain(text[at:])])


def _plain(text: str) -> str:
    escaped = re.sub(r"([*<])", r"\\\1", text)
    return re.sub(r"\bdocs/(\w+\.md)", r"[\1](\1)", escaped)


def kind(annotated: Any) -> str:
    """What a type admits, as a person says it."""
    match inspect.type_info(annotated):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number, {low:,} to {high:,}"
        case inspect.LiteralType(values=values):
            return " or ".join(f"`{json.dumps(value)}`" for value in values)
        case inspect.StrType(min_length=least, max_length=most):
            bounds = [f"of up to {most} characters"] * bool(most) + ["not empty"] * bool(least)
            return ", ".join(["a text", *bounds])
        case inspect.VarTupleType(item_type=inspect.LiteralType(values=values)):
            return "a list of " + ", ".join(f"`{json.dumps(value)}`" for value in values)
        case inspect.VarTupleType(item_type=inspect.StructType()):
            return "a list of tables"
        case inspect.VarTupleType(max_length=most):
            return f"a list of up to {most} texts" if most else "a list of texts"
        case other:
            raise TypeError(f"nobody has said what to call {other}")


def written(value: Any) -> str:
    """A default as TOML writes it."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(page())
