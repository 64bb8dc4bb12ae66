"""How long a client stays away after a connection ends, and when it stays away for good.

Rule: arithmetic only; randomness is passed in. Full jitter (anywhere between nothing and the cap
of this attempt) rather than "the cap and a bit": when a node dies, everyone it served comes back
at once, and only a flat spread is not a wave.
"""

from collections.abc import Callable
from typing import Final

BASE_S: Final = 0.5
FACTOR: Final = 2
CAP_S: Final = 20.0
MENDED_FIRST: Final = frozenset({1002, 1003, 1007, 1008, 1009})
"""What this client said was wrong, too big or not allowed, and would be again."""
WITH_ANOTHER_TOKEN: Final = frozenset({4500, 4501, 4502})
KICKED: Final = 4505


class Backoff:
    """Counts failures in a row; `chance` gives numbers from 0 to 1."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._cap_s = BASE_S

    def next_s(self, told_s: float | None = None) -> float:
        """Seconds to stay away now. What the server told (`bye.reconnect_in`) wins."""
        cap_s, self._cap_s = self._cap_s, min(CAP_S, self._cap_s * FACTOR)
        return self._chance() * cap_s if told_s is None else max(0.0, told_s)

    def reset(self) -> None:
        """A connection was good: the next failure is a first one."""
        self._cap_s = BASE_S


def may_return(code: int) -> bool:
    """4500-4999 say "do not come back", but for KICKED, whose `bye` says when; so do those by which
    this client is to be mended first. Everything else, known or not, is worth another try."""
    return code == KICKED or not (code in MENDED_FIRST or 4500 <= code <= 4999)
