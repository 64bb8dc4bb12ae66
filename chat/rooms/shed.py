"""Which messages of a crowded room its viewers are shown: its display budget, `shown_per_s`.

Rules. Pure, and the same on every shard, however the messages come in batches: each is judged by
itself, in the order of the room, by what stands before it in its window of the stream's own time
(the IDs of its entries are milliseconds of Redis' clock). Nothing waits and nothing looks ahead.

Of a window's budget all that is shown takes its part. What is more than chat is always shown, and
chat yields to it. Chat is shown while the budget lasts; a sender's second message only while less
than half of it is used, its third while less than a quarter, and so on: so whoever speaks for the
first time is never left out for one who speaks again. What is less than chat is judged as if its
sender had spoken once more than it has.

A shard that begins to follow in the middle of a window may choose otherwise until its end.

Danger: where Redis' clock was set back, its IDs stand still until it is past them, and a window
would last as long. Then they count what comes at the same moment; from a number on that no Redis
reaches in a millisecond, nothing is left out.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from chat.rooms.position import Arrival
from chat.wire.schema import CHAT_PRIORITY, Gap, LeftOut, Msg, Sequenced

WINDOW_MS: Final = 200
"""Short enough that a room is never silent for long."""
SLOW_WINDOW_MS: Final = 1000
"""Where the budget of a short window would be less than LEAST: there would be nothing to share."""
LEAST: Final = 5
STANDING: Final = 1000
"""Entries with the same millisecond: some ten times what a Redis publishes in one."""


class Display:
    """The budget of one room. `per_s` messages a second are shown, one at least."""

    __slots__ = ("_budget", "_by_sender", "_number", "_shown", "_window_ms", "per_s")

    def __init__(self, per_s: int) -> None:
        self.per_s = per_s
        self._window_ms = WINDOW_MS if per_s * WINDOW_MS >= 1000 * LEAST else SLOW_WINDOW_MS
        self._number = -1
        self._budget = self._shown = 0
        self._by_sender: dict[str, int] = {}

    def choose(
        self, arrivals: Sequence[Arrival], events: Sequence[Sequenced | Gap]
    ) -> list[Sequenced | Gap]:
        """The room's next events, with what is not shown as LeftOut."""
        return [
            LeftOut(event) if type(event) is Msg and not self.shows(event, arrival.at) else event
            for arrival, event in zip(arrivals, events, strict=True)
        ]

    def shows(self, msg: Msg, at: bytes) -> bool:  # hot: once per message of a room with a budget
        """Whether the next message is shown; `at` is its entry's ID."""
        ms, _, serial = at.partition(b"-")
        number = int(ms) // self._window_ms
        if number != self._number:
            self._begin(number)
        priority = CHAT_PRIORITY if msg.priority is UNSET else msg.priority
        if priority > CHAT_PRIORITY or int(serial) >= STANDING:
            self._shown += 1
            return True
        earlier = self._by_sender.get(msg.uid, 0)
        halvings = earlier + (priority < CHAT_PRIORITY)
        if self._shown << halvings >= self._budget:
            return False
        self._shown += 1
        self._by_sender[msg.uid] = earlier + 1
        return True

    def _begin(self, number: int) -> None:
        """A window: the budgets of a second's windows come to `per_s`."""
        a_second = self._window_ms * self.per_s
        self._number = number
        self._budget = (number + 1) * a_second // 1000 - number * a_second // 1000
        self._shown = 0
        self._by_sender.clear()
