"""The second floor: the same deliveries as floor.c by `for fd in fds: os.write(fd, frame)`.

What it measures: CPU of this process per delivery when CPython does nothing per viewer but one
system call. The distance to floor.c is the interpreter; a Python server cannot be below it.
Lines in and answers out as floor.c.  It reads no socket and knows no protocol.
"""

import ctypes
import os
import signal
import socket
import sys
import time

MAX_SECONDS = 900
_PR_SET_PDEATHSIG = 1


def text_frame(payload_bytes: int) -> bytes:
    """An unmasked WebSocket text frame (RFC 6455, 5.2), the same bytes floor.c sends."""
    head = b"\x81" + bytes([payload_bytes])
    if payload_bytes >= 126:
        head = b"\x81\x7e" + payload_bytes.to_bytes(2, "big")
    return head + b"x" * payload_bytes


def live_no_longer_than_parent() -> None:
    """Die with the harness, and after MAX_SECONDS whatever happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(MAX_SECONDS)


def say(text: str) -> None:
    print(text, flush=True)


class Loop:
    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.fds: list[int] = []
        self.frame = text_frame(128)

    def accept(self, wanted: int) -> None:
        self.listener.settimeout(30)
        for _ in range(wanted):
            taken, _ = self.listener.accept()
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            taken.setblocking(False)
            self.fds.append(taken.detach())
        say(f'{{"accepted":{wanted}}}')

    def flush(self, times: int, pace_us: int) -> None:
        refused = spent = 0
        began = due = time.monotonic_ns()
        for _ in range(times):
            time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
            due += pace_us * 1000
            cpu = time.process_time_ns()
            refused += self._write_all()
            spent += time.process_time_ns() - cpu
        wall = time.monotonic_ns() - began
        sends = times * len(self.fds) - refused
        say(f'{{"sends":{sends},"refused":{refused},"cpu_ns":{spent},"wall_ns":{wall}}}')

    def _write_all(self) -> int:
        write, frame, refused = os.write, self.frame, 0
        for fd in self.fds:
            try:
                write(fd, frame)
            except BlockingIOError:
                refused += 1
        return refused


def main() -> None:
    live_no_longer_than_parent()
    loop = Loop()
    say(f'{{"port":{loop.listener.getsockname()[1]}}}')
    for line in sys.stdin:
        word, *numbers = line.split()
        if word == "frame":
            loop.frame = text_frame(int(numbers[0]))
            say(f'{{"frame":{len(loop.frame)}}}')
        elif word == "accept":
            loop.accept(int(numbers[0]))
        elif word == "flush":
            loop.flush(int(numbers[0]), int(numbers[1]))
        else:
            say('{"error":"unknown command"}')


if __name__ == "__main__":
    main()
