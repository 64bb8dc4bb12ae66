"""Rules as Redis has them: the fields of a hash, and their version.

Rules. Pure. What the fields mean is `policy`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Version(NamedTuple):
    """Which rules: where their versions begin, and how far they are. The first is both."""

    base: int
    number: int


def version(text: bytes) -> Version:
    """As it stands in a stream entry, "base-number". Raises ValueError."""
    base, _, number = text.partition(b"-")
    return Version(int(base), int(number))


@dataclass(slots=True)
class Kept:
    """Rules as Redis has them; or some fields, and the version they are of.

    base  where their versions begin, 0 where there are none: with another they were made anew
    """

    version: int = 0
    fields: dict[str, bytes] = field(default_factory=dict)
    base: int = 0


def kept(fields: Mapping[bytes, bytes]) -> Kept:
    """Rules out of the fields of their hash; a name that is no text is nobody's."""
    found = Kept(int(fields.get(b"v", 0)), base=int(fields.get(b"base", 0)))
    for name, value in fields.items():
        try:
            found.fields[name.decode()] = value
        except UnicodeDecodeError:
            continue
    for own in ("v", "base"):
        found.fields.pop(own, None)
    return found
