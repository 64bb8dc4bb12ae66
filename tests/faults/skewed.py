"""`python -m tests.faults.skewed FILE serve …`: `danmaku` with a wall clock that can be set.

The file holds the seconds by which its wall clock is ahead, a double; it may change at any time.
Only what asks Python's `time` module is deceived, which is all that a node does.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

OFFSET = struct.Struct("=d")


def set_clock(file: Path, seconds: float) -> None:
    """Set the clock of who runs on `file`."""
    if not file.exists():
        file.write_bytes(OFFSET.pack(0.0))
    with file.open("r+b") as opened:
        opened.write(OFFSET.pack(seconds))


def skew(file: Path) -> None:
    """Have `time.time` and `time.time_ns` of this process, and its children, follow `file`."""
    with file.open("rb") as opened:
        shared = mmap.mmap(opened.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    real, real_ns = time.time, time.time_ns

    def ahead() -> float:
        (seconds,) = OFFSET.unpack_from(shared)
        return float(seconds)

    time.time = lambda: real() + ahead()
    time.time_ns = lambda: real_ns() + int(ahead() * 1e9)


if __name__ == "__main__":
    skew(Path(sys.argv[1]))
    sys.argv[1:2] = []
    from chat.cli import main

    main()
