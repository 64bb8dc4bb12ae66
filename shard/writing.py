"""The fan-out loop: the same bytes to many descriptors, which must be non-blocking.

Rules. `write_some` is the reference and works everywhere. `ring.c` does the same through io_uring,
with one system call for hundreds of sends, of one fan-out or of many small ones, where it was built
and where the kernel allows it; `best` says which a process has. Nothing else happens per viewer.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable
from errno import EIO

log = logging.getLogger(__name__)

Part = tuple[Collection[int], bytes]
"""Whom to send what: 1 to 512 descriptors."""
WriteSome = Callable[[list[Part]], tuple[int, list[tuple[int, int, int]]]]


def write_some(parts: list[Part]) -> tuple[int, list[tuple[int, int, int]]]:
    """Write the first of `parts`, and as many more as one go takes: how many it took, and who did
    not take all bytes: (part, fd, bytes taken or -errno).

    It ends before a part that names a descriptor again, which may be half written by then.
    """
    fds, data = parts[0]
    return 1, [(0, fd, took) for fd, took in write_all(fds, data)]


def write_all(fds: Iterable[int], data: bytes) -> list[tuple[int, int]]:
    """Write `data` to all `fds`; those that did not take all of it: (fd, bytes taken or -errno)."""
    write, size = os.write, len(data)
    unsent: list[tuple[int, int]] = []
    fd, batch = -1, iter(fds)
    while True:
        try:
            for fd in batch:  # hot: once per viewer per flush
                wrote = write(fd, data)
                if wrote != size:
                    unsent.append((fd, wrote))
            return unsent
        except OSError as error:
            unsent.append((fd, -(error.errno or EIO)))


def best() -> WriteSome:
    """The fastest way this process has: the ring's, which is then its own, or `write_some`."""
    try:
        from shard.ring import Ring

        return Ring().write_some
    except ImportError:
        why = "shard/ring.c was not built"
    except OSError as error:
        why = f"the kernel refuses: {error}"
    log.info("fan-out by os.write, not by io_uring: %s", why)
    return write_some
