"""The control groups this process is in, of version 2 or 1: where their files are.

Rules. A limit is of our own group or of one above it; the smallest counts, and what cannot be read
limits nothing. A container sees its own group at the top, while the path may be the host's.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

CGROUPS: Final = "/sys/fs/cgroup"
OWN: Final = "/proc/self/cgroup"
DIGITS: Final = 20
"""What a number of the kernel's has at most."""
UNLIMITED: Final = 1 << 60
"""Version 1 has no word for it, but a number that no machine has of anything."""

Read = Callable[[str], str | None]


def read(path: str) -> str | None:
    """A file's text, or None."""
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return None


def folders(read: Read, controller: str) -> Iterator[tuple[int, str]]:
    """Version and folder of each group above us that may limit this, our own first."""
    for line in (read(OWN) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from ((2, folder) for folder in _upwards(CGROUPS, path))
        elif controller in controllers.split(","):
            yield from ((1, folder) for folder in _upwards(f"{CGROUPS}/{controllers}", path))


def least(read: Read, controller: str, of_2: tuple[str, ...], of_1: str) -> int | None:
    """The smallest limit that files of these names hold; None: there is none."""
    names = {1: (of_1,), 2: of_2}
    texts = (
        (read(f"{folder}/{name}") or "").strip()
        for version, folder in folders(read, controller)
        for name in names[version]
    )
    found = (int(text[:DIGITS]) for text in texts if text.isascii() and text.isdigit())
    return min((limit for limit in found if limit < UNLIMITED), default=None)


def _upwards(top: str, path: str) -> Iterator[str]:
    """The folder at `path` in `top`, and all above it."""
    for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
        yield f"{top}/{str(folder).strip('/')}".rstrip("/")
