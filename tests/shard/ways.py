"""The ways of writing to many that a machine has: Python's, and the ring's where there is one."""

from collections.abc import Callable

import pytest

from shard.writing import WriteAll, best, write_all

Way = Callable[[], WriteAll]


def ring() -> WriteAll:
    """A ring's; skips the test where it was not built or the kernel does not allow it."""
    way = best()
    if way is write_all:
        pytest.skip("no io_uring here: shard/ring.c was not built, or the kernel refuses")
    return way


WAYS: list[Way] = [lambda: write_all, ring]
NAMES = ["python", "ring"]
