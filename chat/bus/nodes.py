"""What nodes tell each other of themselves: a field of one hash each, written every few seconds.

Rules. What a node tells is bytes here; what it means is who tells it's. Its age is by Redis' clock,
as nodes' own need not agree. One that says nothing for STALE_S is none any more, and is taken out.

Danger: anybody who reaches Redis can write into the hash. What is no field of ours is passed over.
"""

import os
import socket
from typing import Final

from chat.bus.store import Store

TELL_S: Final = 2.0
"""How often a node tells of itself."""
STALE_S: Final = 10.0
"""Silence after which a node is gone: five times that."""
GONE_S: Final = 2 * STALE_S
"""How long the hash outlives who wrote into it last."""


def own_name(port: int) -> str:
    """What this node is called, in a process of its: by machine, viewers' port and supervisor,
    which stays the same when one of its processes begins again."""
    return f"{socket.gethostname()}:{port}:{os.getppid()}"


class Nodes:
    """The hash. What goes wrong is StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.keys.nodes

    async def tell(self, node: str, told: bytes) -> dict[str, bytes]:
        """What a node tells of itself, and what all of them have told lately, by their names."""
        key = self._key
        now = await self._store.clock_ms(key)
        _, _, found = await self._store.servers.ask_all(
            [
                (key, lambda pipe, on: pipe.hset(key, node, b"%d:%b" % (now, told))),
                (key, lambda pipe, on: pipe.expire(key, int(GONE_S))),
                (key, lambda pipe, on: pipe.hgetall(key)),
            ]
        )
        fresh, silent = _sorted(found, now)
        if silent:
            await self._store.servers.ask(key, lambda pipe, on: pipe.hdel(key, *silent))
        return fresh

    async def all(self) -> dict[str, bytes]:
        """What all of them have told lately."""
        key = self._key
        now = await self._store.clock_ms(key)
        found = await self._store.servers.ask(key, lambda pipe, on: pipe.hgetall(key))
        return _sorted(found, now)[0]

    async def begun(self, node: str, place: str) -> None:
        """A node begins at a place: who was there before it, and did not say that it ends, is gone.
        Names begin with their place; who is there all the same tells of itself again."""
        key, before = self._key, f"{place}:".encode()
        names = await self._store.servers.ask(key, lambda pipe, on: pipe.hkeys(key))
        ended = [one for one in names if one.startswith(before) and one != node.encode()]
        if ended:
            await self._store.servers.ask(key, lambda pipe, on: pipe.hdel(key, *ended))

    async def has_others(self) -> bool:
        """Whether any but this one has told something lately. Asked in a process of its."""
        machine, _, supervisor = own_name(0).rsplit(":", 2)
        names = [name.rsplit(":", 2) for name in await self.all()]
        return any((one[0], one[-1]) != (machine, supervisor) for one in names)

    async def gone(self, node: str) -> None:
        """A node is about to end."""
        key = self._key
        await self._store.servers.ask(key, lambda pipe, on: pipe.hdel(key, node))


def _sorted(found: dict[bytes, bytes], now: int) -> tuple[dict[str, bytes], list[bytes]]:
    """What was told lately, and whose is too old or no field of ours."""
    fresh, silent = {}, []
    for name, value in found.items():
        at, colon, told = value.partition(b":")
        # As many digits as a time has: int() refuses thousands of them.
        if colon and at.isdigit() and len(at) < 16 and now - int(at) <= STALE_S * 1000:
            fresh[name.decode(errors="replace")] = told
        else:
            silent.append(name)
    return fresh, silent
