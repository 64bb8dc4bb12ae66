"""How often each connection may do something: one number per row (GCRA, ITU-T I.371).

Rules. Time is passed in. A row's number is the time at which its burst is used up again; it means
nothing once it is past, so rows need no reset when another connection takes them, and one that is
silent owns nothing.
"""

import math
from array import array


def told_s(wait_s: float) -> float:
    """A wait as it is told: hundredths of a second, rounded up, as who comes back any earlier is
    refused again."""
    return math.ceil(round(wait_s * 100, 6)) / 100


class Rates:
    """At most `per_s` a second with bursts of `burst`, for each of `rows` rows."""

    def __init__(self, rows: int, per_s: float, burst: int) -> None:
        self._full_at = array("d", bytes(8 * rows))
        self.set(per_s, burst)

    def set(self, per_s: float, burst: int) -> None:
        """What holds from now on; what was used up stays so."""
        self._cost = 1.0 / per_s
        # The sums are rounded: without the hundredth a whole burst may be one short.
        self._room = (burst + 0.01) * self._cost

    def wait(self, row: int, now: float) -> float:
        """0.0 and it is counted, or the seconds until one more is allowed."""
        full_at = self._full_at[row]
        if full_at < now:
            full_at = now
        full_at += self._cost
        excess = full_at - now - self._room
        if excess > 0:
            return excess
        self._full_at[row] = full_at
        return 0.0

    def begin(self, row: int, now: float, done: int) -> None:
        """A new connection has the row; so many were `done` whatever the rate, and they
        make the next ones wait."""
        self._full_at[row] = now + done * self._cost


class RatesByName:
    """The same for names that come and go; at most `most` of them are remembered.

    Who used nothing lately needs no memory. When more than that are busy at once, those are
    forgotten who may go on the soonest.
    """

    def __init__(self, per_s: float, burst: int, most: int) -> None:
        self._full_at: dict[str, float] = {}
        self._cost = 1.0 / per_s
        self._room = (burst + 0.01) * self._cost
        self._most = most

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, name: str, now: float) -> float:
        """As `Rates.wait`."""
        full_at = max(self._full_at.get(name, 0.0), now) + self._cost
        excess = full_at - now - self._room
        if excess > 0:
            return excess
        self._full_at[name] = full_at
        if len(self._full_at) > self._most:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        busy = sorted(self._full_at.items(), key=lambda one: one[1])[-self._most // 2 :]
        self._full_at = {name: full_at for name, full_at in busy if full_at > now}
