"""A connection's handle: what to keep of it beyond the turn in which one heard of it.

Rules. A descriptor's number alone means a connection only until the end of a turn, because the
kernel gives it out again. Whoever answers later keeps a Handle and asks the owner whether it is
still alive.
"""

from msgspec import Struct


class Handle(Struct, frozen=True, gc=False):
    """Descriptor, and how many connections had it before."""

    fd: int
    generation: int
