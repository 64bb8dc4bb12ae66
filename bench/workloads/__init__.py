"""One workload per file. Each has `run(settings) -> Section` and opens with what it measures.

`Settings` says how much of it: full figures, or a quick look that only proves the path works.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    rounds: int = 5
    quick: bool = False
    seconds: int = 60
    """Of a workload that lasts as long as one likes."""

    def viewers(self, wanted: int) -> int:
        """How many connections to open: all that are wanted, or a tenth for a quick look."""
        return wanted // 10 if self.quick else wanted
