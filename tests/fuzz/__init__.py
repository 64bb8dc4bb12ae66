"""Fuzz targets: what has to hold whatever bytes come, each as one function of bytes.

A target is a file here and its name in TARGETS. Its docstring begins with its invariant. The same
bodies run as seeded loops in `make test` (`tests/test_fuzz.py`) and guided by coverage in
`make fuzz` (`python -m tests.fuzz`). An input that failed once is pinned in the target's SEEDS, as
`bytes.fromhex(...)`.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Final, Protocol, cast

TARGETS: Final = (
    *("frames", "inbound", "handshake", "proxyprotocol", "inflate"),
    *("dialects", "goim", "centrifugal"),
)


class Target(Protocol):
    """What a target's module has.

    INVARIANT  one sentence
    SEEDS      inputs to begin with, each of which reaches something the others don't
    """

    INVARIANT: str
    SEEDS: Sequence[bytes]

    def check(self, data: bytes) -> None:
        """Raises AssertionError, or what the code under test let slip, for a broken invariant."""


def load(name: str) -> Target:
    """The target of that name."""
    return cast(Target, import_module(f"{__name__}.{name}"))


def sentence(doc: str | None) -> str:
    """A docstring's first paragraph, on one line."""
    return " ".join((doc or "").partition("\n\n")[0].split())
