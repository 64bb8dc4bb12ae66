"""A whole server with its viewers in one room, to which we publish: the same verbs as a `Target`.

What it measures: CPU of all the server's processes per delivery, the taking in of the message
included. The next message is published once every viewer has the last, so none is merged or lost.
"""

import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Any, Self

from bench.child import Child, build
from bench.harness import CLIENT_CORE, Figures, cpu_ns, deferred_ns, settle
from bench.targets import WAIT_MS


class Published(ABC):
    """One server; a subclass says how it starts and how a message gets in."""

    path = "/"
    greeting = ""
    counted = "frames"
    quiet_s = 1.0
    pids: list[int]
    port: int

    def __init__(self, viewers: int) -> None:
        self.size = viewers
        with ExitStack() as stack:
            self.start(stack)
            child = Child([build("viewers"), str(self.port)], CLIENT_CORE)
            self.viewers = stack.enter_context(child)
            self._fill()
            self._open = stack.pop_all()

    @abstractmethod
    def start(self, stack: ExitStack) -> None:
        """Start it, set `pids` and `port`; what has to end goes on the stack."""

    @abstractmethod
    def publish(self) -> None:
        """Hand it one message for everyone."""

    @abstractmethod
    def payload(self, size: int) -> None:
        """Have viewers get WebSocket payloads of `size` bytes, or as near as it can."""

    def _fill(self) -> None:
        if self.greeting:
            self.viewers.ask(f"greet {self.greeting}")
        connected = self.viewers.ask(f"connect {self.size} 256 {self.path}")
        if connected["failed"]:
            raise RuntimeError(f"{connected['failed']} not connected: {connected['failure']}")
        self._wait_until_quiet()
        for pid in self.pids:
            settle(pid)

    def _wait_until_quiet(self) -> None:
        """Greetings and first pings are frames, too; let them all be in."""
        before = -1
        while (now := self.viewers.ask("count")["frames"]) != before:
            before = now
            time.sleep(self.quiet_s)

    def flush(self, times: int) -> Figures:
        """`times` messages to everyone, one after the other."""
        self.viewers.ask("reset")
        began, cpu, deferred = time.monotonic_ns(), self._cpu_ns(), deferred_ns()
        for turn in range(times):
            self.publish()
            seen = self.viewers.ask(f"wait {self.counted} {(turn + 1) * self.size} {WAIT_MS}")
            if not seen["reached"]:
                break
        wall, cpu = time.monotonic_ns() - began, self._cpu_ns() - cpu
        return self._figures(times * self.size, seen, wall, cpu, deferred_ns() - deferred)

    def _figures(
        self, wanted: int, seen: dict[str, Any], wall: int, cpu: int, deferred: int
    ) -> Figures:
        if seen[self.counted] != wanted:
            raise RuntimeError(f"{seen[self.counted]} of {wanted} arrived")
        return {
            "us": (cpu + deferred) / wanted / 1e3,
            "deferred_us": deferred / wanted / 1e3,
            "bytes": seen["bytes"] / seen["frames"],
            "per_s": wanted / (wall / 1e9),
            "wall_s": wall / 1e9,
            "server_busy": cpu / wall,
            "deliveries": wanted,
        }

    def _cpu_ns(self) -> int:
        return sum(cpu_ns(pid) for pid in self.pids)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
