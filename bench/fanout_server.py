"""A shard with nothing in it but its connections: the child that measures `group.fan_out`.

What it measures: CPU of this process per delivery when one ready-made frame goes to every open
connection through the real shard process (uvloop, nested epoll, slices, wheel), without rooms,
dialects or streams. The next fan-out begins when the last slice of the one before is out.
Lines in and answers out as floor.c, but its viewers upgrade first. --os-write: without io_uring.
"""

import asyncio
import os
import sys
import time
from dataclasses import replace

from bench.pyloop import live_no_longer_than_parent, say, text_frame
from pool.scoreboard import Scoreboard
from shard import process
from shard.connections import Connections
from shard.counters import FIELDS, Count
from shard.echo import SETTINGS
from shard.handshake import Request
from shard.listen import RESERVED_DESCRIPTORS, listen, raise_descriptor_limit

SEND_BUFFER = 65_536


class FanOutService:
    """Keeps every open descriptor in one set; lines on stdin say what to send them."""

    def __init__(self, connections: Connections, counts: "memoryview[int]") -> None:
        self.handler = self
        self._connections = connections
        self._counts = counts
        self._fds: set[int] = set()
        self._frame = text_frame(128)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted = 0
        self._enough = asyncio.Event()

    def on_open(self, fd: int, request: Request) -> bytes:
        self._fds.add(fd)
        if len(self._fds) == self._wanted:
            self._enough.set()
        return b""

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None: ...

    def on_unblocked(self, fd: int) -> None: ...

    def on_caught_up(self, fd: int) -> None: ...

    def on_close(self, fd: int, code: int) -> None:
        self._fds.discard(fd)

    def on_tick(self, tick: int) -> None: ...

    def lately_sent(self, fd: int, since: int) -> bool:
        return False

    async def start(self) -> None:
        asyncio.get_running_loop().add_reader(0, self._read_commands)

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...

    def _read_commands(self) -> None:
        data = os.read(0, 4096)
        if not data:
            os._exit(0)
        for line in data.decode().splitlines():
            task = asyncio.get_running_loop().create_task(self._obey(*line.split()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _obey(self, word: str, *numbers: str) -> None:
        if word == "frame":
            self._frame = text_frame(int(numbers[0]))
            say(f'{{"frame":{len(self._frame)}}}')
        elif word == "accept":
            self._wanted = int(numbers[0])
            await self._enough.wait()
            say(f'{{"accepted":{len(self._fds)}}}')
        elif word == "flush":
            await self._flush(int(numbers[0]), int(numbers[1]))
        else:
            say('{"error":"unknown command"}')

    async def _flush(self, times: int, pace_us: int) -> None:
        dropped = self._counts[Count.DROPPED_SLOW]
        began, cpu = time.monotonic_ns(), time.process_time_ns()
        for turn in range(times):
            if pace_us:
                due = began + turn * pace_us * 1000
                await asyncio.sleep(max(0, due - time.monotonic_ns()) / 1e9)
            self._connections.fan_out(self._fds, self._frame)
            # The group announces no end of a fan-out; a pass of the loop later is soon enough.
            while self._connections.fanning_out:  # noqa: ASYNC110
                await asyncio.sleep(0)
        cpu, wall = time.process_time_ns() - cpu, time.monotonic_ns() - began
        dropped = self._counts[Count.DROPPED_SLOW] - dropped
        sends = times * len(self._fds) - dropped
        say(f'{{"sends":{sends},"refused":{dropped},"cpu_ns":{cpu},"wall_ns":{wall}}}')


def main() -> None:
    live_no_longer_than_parent()
    if "--os-write" in sys.argv:
        sys.modules["shard.ring"] = None  # type: ignore[assignment] # as where it was not built
    rows = raise_descriptor_limit()
    settings = replace(SETTINGS, capacity=rows - RESERVED_DESCRIPTORS)
    listener = listen("127.0.0.1", 0, backlog=4096, send_buffer=SEND_BUFFER)
    counts = Scoreboard(FIELDS, 1).row(0)
    say(f'{{"port":{listener.getsockname()[1]}}}')
    process.run(listener, settings, counts, rows, lambda ours: FanOutService(ours, counts))


if __name__ == "__main__":
    main()
