"""Slow readers: viewers on lines that carry less than the room says, or nothing for a while.

Shows that who reads slowly harms nobody else and is lied to by nobody: what it is not sent it is
told of, by a jump in the numbers, a `gap`, or a close with 4001 or 4002; it comes back with its
position and is sent what it missed, or told that it is gone. Those who read at once miss nothing.
"""

from locust import between, constant_throughput, task

from locustfiles.users import Backend, Viewer, Watcher
from locustfiles.verdict import must_happen
from locustfiles.watch import BEHIND, LOST

ROOM = "load:slow"
LONG = "弹" * 230
"""A text of some 750 bytes."""
AT_ONCE = 10
TRICKLE_BYTES_PER_S = 8_000
RECEIVE_BUFFER = 8_192

must_happen("POST messages", method="POST")
must_happen("caught up")
must_happen(BEHIND, LOST, "told: 4001", "told: 4002", any_of=True)


class Flood(Backend):
    """Says 120 messages a second, some 90 KB."""

    fixed_count = 1
    wait_time = constant_throughput(12)

    @task
    def say_much(self) -> None:
        self.publish(ROOM, [{"text": self.stamped(ROOM, LONG)} for _ in range(AT_ONCE)])


class Fast(Watcher):
    """Reads at once, and is to notice nothing of the others."""

    def rooms(self) -> list[str]:
        return [ROOM]


class Slow(Viewer):
    """Reads at a trickle, for some seconds at a time."""

    lenient = True
    receive_buffer = RECEIVE_BUFFER
    bytes_per_s = TRICKLE_BYTES_PER_S
    wait_time = between(6, 8)

    def rooms(self) -> list[str]:
        return [ROOM]

    def on_start(self) -> None:
        super().on_start()
        self.connection.slow_down(self.bytes_per_s)

    @task
    def catch_up(self) -> None:
        """After a while on a bad line, a good one for as long as it takes."""
        watch, goals = self.connection.watch, self.connection.watch.goals()
        self.connection.hurry()
        self.connection.wait_for(lambda: not watch.missing(goals), "caught up")
        self.connection.slow_down(self.bytes_per_s)


class Stalled(Slow):
    """Reads nothing at all, as a phone in a tunnel, for longer than a node is told to wait."""

    bytes_per_s = 0
    wait_time = between(8, 9)
