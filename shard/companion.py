"""Processes run beside the workers, looked after without ever waiting for one.

    begun -> (BUSY) -> READY;  ended -> after a back-off begun again

Rules. All is done in looks: each asks how things stand, takes at most one step, and returns, so
that whoever looks is never deaf. A companion that ended is begun again. One that runs and does not
answer is told of and left as it is: whoever stopped it had a reason, and killing it may cost data.

Time is passed in, in seconds.
"""

import logging
from enum import Enum
from typing import Final, Protocol

from shard.restarts import failures_of, restart_delay

log = logging.getLogger(__name__)

SILENT_S: Final = 5.0
"""So long without an answer is told of: one slow command is shorter."""


class Sign(Enum):
    """What a process that runs lets know of itself."""

    READY = "ready"
    BUSY = "busy"  # it answers that it is not ready yet
    SILENT = "silent"


class Companion(Protocol):
    """A process that is not forked but run beside the workers, and outlives them. Nothing here may
    wait, but for `close`."""

    name: str

    @property
    def pid(self) -> int | None:
        """Its process id, when it was ever begun."""

    def begin(self) -> None:
        """Start it. What it raises says why that cannot be; it is then tried again later."""

    def ended(self) -> str | None:
        """None while it runs, else in words how it ended."""

    def sign(self) -> Sign:
        """How it answers now."""

    def end(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def close(self) -> None:
        """It is over: end what is left and remove what it left behind."""


class Minder:
    """Looks after one companion that has been begun."""

    def __init__(self, companion: Companion, now: float) -> None:
        self.companion = companion
        self._runs = True
        self._begun = self._heard = now
        self._sign = Sign.READY
        self._failures = 0
        self._start_at = 0.0

    def wait(self, now: float) -> float | None:
        """Seconds until the next look has something to do, if that is known."""
        return None if self._runs else max(0.0, self._start_at - now)

    def look(self, now: float) -> None:
        """See how it is, and take the next step."""
        if not self._runs:
            if now >= self._start_at:
                self._begin(now)
            return
        ended = self.companion.ended()
        if ended is not None:
            self._again(now, ended, failures_of(now - self._begun, self._failures))
        else:
            self._listen(now)

    def _begin(self, now: float) -> None:
        try:
            self.companion.begin()
        except Exception as error:
            self._again(now, f"does not start: {error}", self._failures + 1)
            return
        self._runs, self._begun, self._heard, self._sign = True, now, now, Sign.BUSY
        log.info("%s runs as process %s", self.companion.name, self.companion.pid)

    def _again(self, now: float, what: str, failures: int) -> None:
        delay = restart_delay(failures)
        self._runs, self._failures, self._start_at = False, failures, now + delay
        log.error("%s %s; again in %.1f s", self.companion.name, what, delay)

    def _listen(self, now: float) -> None:
        sign = self.companion.sign()
        if sign is Sign.SILENT:
            if now - self._heard >= SILENT_S and self._sign is not Sign.SILENT:
                self._sign = sign
                log.warning(
                    "%s, process %s, runs and does not answer; it is left as it is: continue it "
                    "if it was stopped, or kill it to have it started again",
                    *(self.companion.name, self.companion.pid),
                )
            return
        if sign is Sign.READY and self._sign is not Sign.READY:
            log.info("%s answers", self.companion.name)
        self._heard, self._sign = now, sign
