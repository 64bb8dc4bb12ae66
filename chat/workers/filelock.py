"""One writer a file.

Rules. The lock is a descriptor of the file itself: who dies lets go of it. It stands while it is
open, and is given back after everything else of the file was closed, because closing any descriptor
of a file ends the locks that SQLite has on it.
"""

import fcntl
import os
from pathlib import Path


class CannotArchive(Exception):
    """There can be no archive; in a sentence, why, and what to do."""


def lock(path: Path) -> int:
    """The file's descriptor, made if it was not there. Raises CannotArchive."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CannotArchive(f"{path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotArchive(
            f"{path} is being written by another archive: end that one, or name another file"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise CannotArchive(f"{path} cannot be locked: {error.strerror}") from None
    return descriptor
