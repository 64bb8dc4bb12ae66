"""A circuit breaker: stop asking a service that fails, and try it again with one call.

    CLOSED --failure ratio reached--> OPEN --pause over--> HALF_OPEN --success--> CLOSED
                                        \\_______________________/ failure

Rules. Time is passed in. Only the owner's calls count; nobody waits here.
"""

from collections import deque
from enum import Enum


class Circuit(Enum):
    """Whether calls are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens when `ratio` of the last `window` calls failed; tries again after `pause_s`."""

    def __init__(self, window: int = 5, ratio: float = 0.6, pause_s: float = 1.0) -> None:
        self.state = Circuit.CLOSED
        self._ratio = ratio
        self._pause_s = pause_s
        self._outcomes: deque[bool] = deque(maxlen=window)
        self._opened_at = 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may be made now. In HALF_OPEN one was allowed and is not yet judged."""
        if self.state is Circuit.OPEN and now - self._opened_at >= self._pause_s:
            self.state = Circuit.HALF_OPEN
            return True
        return self.state is Circuit.CLOSED

    def retry_after(self, now: float) -> float:
        """Seconds until it may be worth asking again."""
        if self.state is Circuit.CLOSED:
            return 0.0
        return max(0.1, self._opened_at + self._pause_s - now)

    def succeeded(self) -> None:
        """The service answered."""
        if self.state is not Circuit.CLOSED:
            self.state = Circuit.CLOSED
            self._outcomes.clear()
        self._outcomes.append(True)

    def failed(self, now: float) -> None:
        """The service did not answer."""
        self._outcomes.append(False)
        failures = self._outcomes.count(False)
        judged = len(self._outcomes) == self._outcomes.maxlen
        if self.state is Circuit.HALF_OPEN or (
            judged and failures >= self._ratio * len(self._outcomes)
        ):
            self.state = Circuit.OPEN
            self._opened_at = now
