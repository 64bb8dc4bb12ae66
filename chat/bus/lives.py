"""Lives of partitions: which of them began anew, where everything was lost.

Rules. A life is a name in Redis, one for each partition, made by whoever finds none. A Redis that
comes back empty has none and gets another; one that comes back as it was goes on. It costs nobody a
failure: where none can be made, it is not known.
"""

from collections.abc import Mapping
from contextlib import suppress

from chat.bus.connect import StoreError
from chat.bus.keys import Keys
from chat.bus.names import new_epoch
from chat.bus.servers import Request, Servers


class Lives:
    """Those of all partitions, as they were last read."""

    def __init__(self, servers: Servers, keys: Keys) -> None:
        self._servers = servers
        self._keys = keys
        self._known: dict[int, str] = {}

    def of(self, partition: int) -> str:
        """A partition's life; "" where it is not known."""
        return self._known.get(partition, "")

    def asked(self, partition: int) -> Request:
        """What reads one."""
        key = self._keys.life(partition)
        return key, lambda pipe, on: pipe.get(key)

    async def read(self, found: Mapping[int, bytes | None]) -> None:
        """They were read; those that there are not begin."""
        self._known.update({one: life.decode() for one, life in found.items() if life})
        new = [one for one, life in found.items() if not life]
        for one in new:
            self._known.pop(one, None)
        if new:
            with suppress(StoreError):
                await self._begin(new)

    async def _begin(self, partitions: list[int]) -> None:
        keys = [self._keys.life(one) for one in partitions]
        asked = [request for key in keys for request in first(key, new_epoch())]
        begun = (await self._servers.ask_all(asked))[1::2]
        both = zip(partitions, begun, strict=True)
        self._known.update({one: life.decode() for one, life in both if life})


def first(key: str, value: str) -> list[Request]:
    """Set a key that there is not, and read it: all who do have the same."""
    return [
        (key, lambda pipe, on: pipe.set(key, value, nx=True)),
        (key, lambda pipe, on: pipe.get(key)),
    ]
