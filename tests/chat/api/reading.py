"""Bodies that are read in steps, read to the end."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from chat.api import bodies
from chat.api.bodies import Steps

P = ParamSpec("P")
T = TypeVar("T")


def whole(reading: Callable[P, Steps[T]]) -> Callable[P, T]:
    """The same, without a turn of anybody's in between."""

    @wraps(reading)
    def read(*args: P.args, **kwargs: P.kwargs) -> T:
        steps = reading(*args, **kwargs)
        while True:
            try:
                next(steps)
            except StopIteration as last:
                found: T = last.value
                return found

    return read


read_messages = whole(bodies.read_messages)
read_broadcast = whole(bodies.read_broadcast)
