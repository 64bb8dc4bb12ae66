"""Files of the configuration, read whole.

Rules. What is read is bounded in bytes. Only at a start, when somebody is there to see it, may it
be waited for. Later a pipe is refused: it would be waited for as long as nobody writes it, and one
that was read already is empty, which would mean that every key has its default.
"""

import errno
import os
import stat
from pathlib import Path


class BadFile(Exception):
    """A file that is not taken; why, as the end of a sentence about it."""


def read_file(path: Path, most: int, waits: bool = False) -> bytes:
    """All bytes of a file; `waits`: also of a pipe, once it is written.

    Raises OSError, ValueError for a path there cannot be, and BadFile for a pipe and for a file of
    more than `most` bytes.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (0 if waits else os.O_NONBLOCK)
    with open(os.open(path, flags), "rb") as file:
        if not waits and stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise BadFile("is a pipe, which can be read only once, at a start")
        found: bytes | None = file.read(most + 1)
    if found is None:  # a terminal
        raise BlockingIOError(errno.EAGAIN, "nothing is there now")
    if len(found) > most:
        raise BadFile(f"is longer than {most} bytes")
    return found
