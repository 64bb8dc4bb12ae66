"""What may be written to whole rooms that nobody waits for: counts, likes, who came.

Rules. All of a shard's rooms share it: about a hundredth of the shard's time. Pure; time is a tick,
a second.
"""

from typing import Final

WRITE_S: Final = 5e-6
"""What a write costs a shard, about: 3 to 5 µs, more where there are very many sockets."""
SHARE: Final = 0.01
"""Of a shard's time, for what goes alone."""
WRITES_PER_S: Final = round(SHARE / WRITE_S)
FRAME_WRITES: Final = 1
"""What it costs to make a frame and begin its fan-out, in writes: 4 µs."""


class WriteBudget:
    """Writes, `per_s` of them. Whoever is served may take more than there are: until that is paid
    off nobody else is served."""

    def __init__(self, per_s: int = WRITES_PER_S) -> None:
        self._per_s = per_s
        self._left = per_s
        self._tick = 0

    @property
    def spent(self) -> bool:
        """Whether nothing is left for now."""
        return self._left <= 0

    def refill(self, tick: int) -> None:
        """It is `tick`. What is not taken within a second is not saved."""
        self._left = min(self._per_s, self._left + (tick - self._tick) * self._per_s)
        self._tick = tick

    def take(self, members: int) -> bool:
        """Whether so many members may be told something in a frame of its own."""
        if self.spent:
            return False
        self._left -= members + FRAME_WRITES
        return True
