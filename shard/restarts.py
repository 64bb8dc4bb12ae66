"""When a process that ended is started again: soon, and later and later while it keeps ending.

Rules. Pure arithmetic on seconds, the same for workers and companions.
"""

from typing import Final

RESTART_FIRST_S: Final = 0.1
RESTART_MOST_S: Final = 10.0
STEADY_S: Final = 30.0
"""Who has lived this long is restarted as if it had never failed."""


def failures_of(lived_s: float, before: int) -> int:
    """Short lives in a row, with this one of `lived_s` seconds; `before` it there were so many."""
    return 1 if lived_s >= STEADY_S else before + 1


def restart_delay(failures: int) -> float:
    """Seconds to wait before the next start, after `failures` short lives in a row."""
    doublings = min(max(0, failures - 1), 30)  # a float has room for a thousand
    return min(RESTART_FIRST_S * 2.0**doublings, RESTART_MOST_S)
