"""Rules as Redis has them: the fields of a hash, and their version.

Rules. Pure. What the fields mean is `policy`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Kept:
    """Rules as Redis has them; or some fields, and the version they are of.

    restored  the version that was known to the shard which wrote them back after Redis had lost
              them; -1 where nobody had to
    """

    version: int = 0
    fields: dict[str, bytes] = field(default_factory=dict)
    restored: int = -1


def kept(fields: Mapping[bytes, bytes]) -> Kept:
    """Rules out of the fields of their hash; a name that is no text is nobody's."""
    found = Kept(int(fields.get(b"v", 0)), restored=int(fields.get(b"of", -1)))
    for name, value in fields.items():
        try:
            found.fields[name.decode()] = value
        except UnicodeDecodeError:
            continue
    for ours in ("v", "of"):
        found.fields.pop(ours, None)
    return found
