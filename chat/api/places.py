"""How many connections the API has, in all and from each address.

Rules. A place is taken before a byte is read and given back when the connection is gone. Who gets
none is told so, and holds a descriptor until it has read that: at most MOST_TOLD at once.
"""

from typing import Final

from shard.addresses import PerAddress

MOST_TOLD: Final = 100


class Places:
    """`total` places, of which one address may have `each` (0: all of them)."""

    def __init__(self, total: int, each: int) -> None:
        self._free = list(range(total))
        self._addresses = PerAddress(each, total)
        self._told = 0

    @property
    def full(self) -> bool:
        """Whether nobody gets a place, whoever it is."""
        return not self._free

    def take(self, address: str) -> int | None:
        """A place for a connection from `address`; None when all, or all of its own, are taken."""
        if not self._free or not self._addresses.enter(self._free[-1], address):
            return None
        return self._free.pop()

    def turn_away(self) -> bool:
        """Whether one without a place may be told so; else it only goes. It leaves either way."""
        self._told += 1
        return self._told <= MOST_TOLD

    def leave(self, place: int | None) -> None:
        """The connection is gone, which had that place or none."""
        if place is None:
            self._told -= 1
            return
        self._addresses.leave(place)
        self._free.append(place)
