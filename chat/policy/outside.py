"""What is made of the words of those who are asked outside the gate, and of their silence.

Rules. A refusal is one line of bounded length. A text that somebody else has written passes the
check of texts again. What could not be asked about is let through or refused, as configured, and
counted either way; a line is logged now and then, not for each: the cause is with whoever runs what
was asked, and it fails for every message alike.
"""

import logging
from collections.abc import Callable
from typing import Final, Literal

from chat.counters import ChatCount
from chat.policy.gate import PASS, Attempt, Check, Refusal, Verdict
from chat.policy.text import clean_text
from chat.wire.schema import ErrorCode
from shard.logids import about

log = logging.getLogger(__name__)

LOG_S: Final = 10.0
"""Between two lines about the same."""
MAX_REASON: Final = 200
"""Characters of a refusal."""
Mode = Literal["open", "closed"]


def refused(message: str, retry_after: float | None) -> Refusal:
    """An outsider's refusal."""
    said = clean_text(message)[:MAX_REASON] or "not allowed"
    after = None if retry_after is None else round(float(retry_after), 2)
    return Refusal(ErrorCode.FORBIDDEN, said, after)


def reword(attempt: Attempt, text: str, check: Check) -> Verdict:
    """The message says something else, which passes the `check` of texts again."""
    if text == attempt.text:
        return PASS
    attempt.text = text
    return check(attempt)


class Failing:
    """Of one kind of question.

    mode   "open": let through, "closed": refused
    clock  seconds, monotonic
    """

    def __init__(self, mode: Mode, counts: "memoryview[int]", clock: Callable[[], float]) -> None:
        self.mode = mode
        self._counts = counts
        self._clock = clock
        self._logged = -LOG_S
        self._unsaid = 0

    def verdict(self, messages: int = 1, retry_after: float = 1.0) -> Verdict:
        """On each of so many that could not be asked about."""
        if self.mode == "open":
            self._counts[ChatCount.PASSED_UNCHECKED] += messages
            return PASS
        self._counts[ChatCount.REFUSED_UNCHECKED] += messages
        message = "this cannot be checked now; try again"
        return Refusal(ErrorCode.UNAVAILABLE, message, round(retry_after, 2))

    def say(self, what: str, error: Exception, room: str | None = None) -> None:
        """Something has failed, in a room if in one; its cause is logged with where that came
        from."""
        now = self._clock()
        if now - self._logged < LOG_S:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more since the last such line)" if self._unsaid else ""
        log.warning("%s: %s%s", what, error, more, exc_info=error.__cause__, extra=about(room))
        self._logged, self._unsaid = now, 0
