"""The ways of writing to many that a machine has: Python's, and the ring's where there is one."""

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from shard.writing import WriteSome, write_some

Way = Callable[[], WriteSome]


def ring() -> WriteSome:
    """A ring's; skips the test where it could not be built, or the kernel does not allow it."""
    try:
        from shard.ring import Ring
    except ImportError:
        headers = Path(sysconfig.get_path("include"), "Python.h")
        if shutil.which("cc") and headers.exists():
            pytest.fail("shard/ring.c could be built here, but is not: pip install --editable .")
        pytest.skip("no compiler or no Python.h to build shard/ring.c with")
    try:
        return Ring().write_some
    except OSError as error:
        pytest.skip(f"the kernel does not allow io_uring: {error}")


WAYS: list[Way] = [lambda: write_some, ring]
NAMES = ["python", "ring"]
