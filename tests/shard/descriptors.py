"""Descriptor numbers of this process: counting them, using up the low ones, running out."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


def open_descriptors() -> set[int]:
    """The numbers of all descriptors this process holds."""
    return {int(name) for name in os.listdir("/proc/self/fd")}


@contextmanager
def no_holes_below(top: int) -> Iterator[None]:
    """While it lasts, every descriptor number below `top` is in use."""
    fillers = []
    while (filler := os.dup(0)) < top:
        fillers.append(filler)
    os.close(filler)
    try:
        yield
    finally:
        for filler in fillers:
            os.close(filler)


@contextmanager
def descriptors_exhausted() -> Iterator[None]:
    """While it lasts, a descriptor can be had only after one of those in use is closed."""
    top = max(open_descriptors()) + 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with no_holes_below(top):
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
