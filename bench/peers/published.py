"""A whole server with its viewers in one room, to which we publish: the same verbs as a `Target`.

What it measures: CPU of all the server's processes per delivery, the taking in of the message
included. The next message is published once every viewer has the last, so none is merged or lost.
"""

import time
from abc import abstractmethod
from typing import Any, Self

from bench.harness import Figures, deferred_ns
from bench.peers.server import Server
from bench.targets import WAIT_MS


class Published(Server):
    """A server that a backend can publish to."""

    counted = "frames"
    size = 0

    @classmethod
    def filled(cls, viewers: int) -> Self:
        """One with so many viewers in its first room, and nothing left to do."""
        server = cls()
        try:
            server._fill(viewers)
        except BaseException:
            server.__exit__()
            raise
        return server

    @abstractmethod
    def publish(self) -> None:
        """Hand it one message for everyone."""

    @abstractmethod
    def payload(self, size: int) -> None:
        """Have viewers get WebSocket payloads of `size` bytes, or as near as it can."""

    def _fill(self, viewers: int) -> None:
        self.size = viewers
        self.connect(viewers)
        self._wait_until_quiet()
        self.settle()

    def _wait_until_quiet(self) -> None:
        """Greetings and first pings are frames, too; let them all be in."""
        before = -1
        while (now := self.viewers.ask("count")["frames"]) != before:
            before = now
            time.sleep(self.quiet_s)

    def flush(self, times: int) -> Figures:
        """`times` messages to everyone, one after the other."""
        self.viewers.ask("reset")
        began, cpu, deferred = time.monotonic_ns(), self.cpu_ns(), deferred_ns(*self.cores)
        for turn in range(times):
            self.publish()
            seen = self.viewers.ask(f"wait {self.counted} {(turn + 1) * self.size} {WAIT_MS}")
            if not seen["reached"]:
                break
        wall, cpu = time.monotonic_ns() - began, self.cpu_ns() - cpu
        deferred = deferred_ns(*self.cores) - deferred
        return self._figures(times * self.size, seen, wall, cpu, deferred)

    def _figures(
        self, wanted: int, seen: dict[str, Any], wall: int, cpu: int, deferred: int
    ) -> Figures:
        if seen[self.counted] != wanted:
            gone = f"{seen['closed']} viewers sent away with {seen['close_code']}"
            raise RuntimeError(f"{seen[self.counted]} of {wanted} arrived; {gone}")
        return {
            "us": cpu / wanted / 1e3,
            "deferred_us": deferred / wanted / 1e3,
            "bytes": seen["bytes"] / seen["frames"],
            "per_s": wanted / (wall / 1e9),
            "wall_s": wall / 1e9,
            "server_busy": (cpu - deferred) / wall,
            "deliveries": wanted,
        }
