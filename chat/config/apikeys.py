"""The list `api.keys`: a table for each key, every mistake by its path, `api.keys[1].scopes`.

Rules. Pure: a value out of TOML in, keys and what is wrong with them out.

Danger: what is wrong is printed. Nothing may quote a key.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from chat.config import words
from chat.config.checks import check_key
from chat.config.sections import ApiKey

DEFAULT: Final = "default"
"""What the holder of `api.key` is called."""
LEAST_CHARS: Final = 16
MOST_KEYS: Final = 100

TYPES: Final[dict[str, Any]] = {f.name: f.type for f in msgspec.structs.fields(ApiKey)}


def _name(name: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        return f"expected 1 to 64 letters, digits or _.- characters, got {words.shown(name)}"
    return f'"{DEFAULT}" is the holder of api.key' if name == DEFAULT else None


def _key(key: str) -> str | None:
    if key and len(key) < LEAST_CHARS:
        return f"expected at least {LEAST_CHARS} characters, got {len(key)}"
    return check_key(key)


def _sha256(digest: str) -> str | None:
    if not digest or re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        return None
    return "expected 64 hexadecimal digits, as sha256sum prints them"


def _scopes(scopes: tuple[str, ...]) -> str | None:
    return None if scopes else f"expected {words.expected(TYPES['scopes'])}, got none"


CHECKS: Final[dict[str, Callable[[Any], str | None]]] = {
    "name": _name,
    "key": _key,
    "key_sha256": _sha256,
    "scopes": _scopes,
}


def read_keys(value: Any) -> tuple[tuple[ApiKey, ...], list[str]]:
    """Keys, and what is wrong with them: "[1].name: expected …"."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        got = "a list" if isinstance(value, list) else "a value that is not shown"
        return (), [f": expected a list of tables like [[api.keys]], got {got}"]
    if len(value) > MOST_KEYS:
        return (), [f": expected at most {MOST_KEYS} keys, got {len(value)}"]
    keys: list[ApiKey] = []
    problems: list[str] = []
    for i, table in enumerate(value):
        found = list(_problems(table))
        problems += [f"[{i}]{problem}" for problem in found]
        if not found:
            keys.append(msgspec.convert(table, ApiKey))
            problems += [f"[{i}].{one}" for one in _taken(keys)]
    return tuple(keys), problems


def _problems(table: dict[str, Any]) -> Iterator[str]:
    for field, value in table.items():
        if field not in TYPES:
            hint = words.did_you_mean(field, {name: name for name in TYPES})
            yield f".{words.name(field)}: unknown key{hint}"
            continue
        try:
            sound = msgspec.convert(value, TYPES[field])
        except msgspec.ValidationError:
            got = "a value that is not shown" if field.startswith("key") else words.got(value)
            yield f".{field}: expected {words.expected(TYPES[field])}, got {got}"
            continue
        wrong = CHECKS[field](sound) if field in CHECKS else None
        if wrong is not None:
            yield f".{field}: {wrong}"
    for field in ("name", "scopes"):
        if field not in table:
            yield f".{field}: is missing"
    if bool(table.get("key")) == bool(table.get("key_sha256")):
        yield ".key: give either key or key_sha256"


def _taken(keys: list[ApiKey]) -> Iterator[str]:
    """What of the last key another has already."""
    *others, last = keys
    if last.name in [one.name for one in others]:
        yield f"name: {words.shown(last.name)} is another key's name, too"
    if last.digest in [one.digest for one in others]:
        yield "key: is another key, too"
