"""Something that holds N connections and can be told to write one frame to each of them.

Rule: floor.c, pyloop.py and fanout_server.py all speak the same lines, so one class drives the
three, each with a viewers process of its own that stays connected for the whole run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.child import Child, build, python
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, Stopwatch, deferred_ns

WAIT_MS = 30_000


class Target:
    """A server child on one core, its viewers on the other."""

    def __init__(
        self, command: Sequence[str | Path], viewers: int, connect: str = "raw {}"
    ) -> None:
        self.size = viewers
        self.server = Child(command, SERVER_CORE)
        self.viewers = Child([build("viewers"), str(self.server.hello["port"])], CLIENT_CORE)
        self._fill(connect.format(viewers))

    @classmethod
    def floor(cls, viewers: int) -> Self:
        return cls([build("floor")], viewers)

    @classmethod
    def python_loop(cls, viewers: int) -> Self:
        return cls(python("bench.pyloop"), viewers)

    @classmethod
    def group(cls, viewers: int, *options: str) -> Self:
        return cls(python("bench.fanout_server", *options), viewers, "connect {} 256 /")

    def _fill(self, connect: str) -> None:
        self.viewers.tell(connect)
        self.server.ask(f"accept {self.size}")
        connected = self.viewers.answer()
        if connected["failed"]:
            raise RuntimeError(f"{self.server.name}: {connected['failure']}")

    def payload(self, size: int) -> None:
        self.server.ask(f"frame {size}")

    def flush(self, times: int, pace_us: int = 0) -> Figures:
        """`times` frames to everyone; CPU per delivery that the viewers really received."""
        wanted = times * self.size
        self.viewers.ask("reset")
        watch, deferred = Stopwatch(self.server.pid, self.viewers.pid), deferred_ns()
        self.server.tell(f"flush {times} {pace_us}")
        sent = self.server.answer()
        counted = self.viewers.ask(f"wait frames {wanted} {WAIT_MS}")
        taken, deferred = watch.read(), deferred_ns() - deferred
        if counted["frames"] != wanted:
            raise RuntimeError(f"{self.server.name}: {counted['frames']} of {wanted} arrived")
        return {
            "us": (sent["cpu_ns"] + deferred) / wanted / 1e3,
            "deferred_us": deferred / wanted / 1e3,
            "per_s": wanted / (sent["wall_ns"] / 1e9),
            "wall_s": sent["wall_ns"] / 1e9,
            "server_busy": sent["cpu_ns"] / sent["wall_ns"],
            "client_busy": taken.client_busy,
            "deliveries": wanted,
        }

    def close(self) -> None:
        self.viewers.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
