"""All that an object of ours is made of, as plain values by their paths: to compare two of them."""

import inspect
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

OURS: Final = ("chat.", "shard.", "pool.")
DEEPEST: Final = 40
PLAIN: Final = (int, float, str, bytes, type(None))


def parts(found: Any, path: str = "") -> dict[str, object]:
    """Every plain value that is reached from `found` through objects, containers and functions of
    ours; each object once, by the first path to it."""
    return dict(_walk(found, path, set()))


def _walk(found: Any, path: str, seen: set[int]) -> Iterator[tuple[str, object]]:
    if isinstance(found, PLAIN):
        yield path, found
        return
    if id(found) in seen or path.count(".") > DEEPEST:
        return
    seen.add(id(found))
    if hasattr(found, "hexdigest"):  # a hash that has begun
        yield path, found.hexdigest()
        return
    for name, part in _named(found):
        yield from _walk(part, f"{path}.{name}", seen)


def _named(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, Mapping):
        yield from ((repr(key), part) for key, part in list(found.items()))
    elif isinstance(found, Set):
        yield from ((repr(part), True) for part in found)
    elif isinstance(found, list | tuple | deque):
        yield "len", len(found)
        yield from ((str(place), part) for place, part in enumerate(found))
    elif isinstance(found, array | memoryview):
        return
    elif inspect.ismethod(found):
        yield "self", found.__self__
    elif inspect.isfunction(found):
        if found.__module__.startswith(OURS):
            cells = zip(found.__code__.co_freevars, found.__closure__ or (), strict=True)
            yield from ((name, cell.cell_contents) for name, cell in cells)
    elif hasattr(found, "func") and hasattr(found, "args"):  # a partial
        yield from (("func", found.func), ("args", found.args), ("keywords", found.keywords))
    elif type(found).__module__.startswith(OURS):
        yield from _attributes(found)


def _attributes(found: Any) -> Iterator[tuple[str, Any]]:
    names = [*getattr(found, "__dict__", ()), *getattr(found, "__struct_fields__", ())]
    for kind in type(found).__mro__:
        slots = getattr(kind, "__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    for name in dict.fromkeys(names):
        if not name.startswith("__") and hasattr(found, name):
            yield name, getattr(found, name)
