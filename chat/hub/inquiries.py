"""What is asked of this shard: which connections of a user it has, or which users.

Rules. It says that it lives, so that it is waited for, and answers every question, also when it has
nothing. A viewer's address is personal data: it is told where it was asked for, and else not.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.entries import Inquired
from chat.bus.inquiry import (
    ALIVE_S,
    MOST_FOUND,
    MOST_LISTED,
    Connection,
    Found,
    Inquiry,
    Seen,
)
from chat.hub.users import Users
from chat.policy.identity import Identity
from chat.policy.roles import role_in
from chat.rooms.members import Members
from chat.tasks import Tasks
from shard.connections import Connections

log = logging.getLogger(__name__)

GONE_S: Final = 0.5
"""How long an end waits for Redis to be told of it; else it is noticed."""
SLICE: Final = 500
"""Connections looked at in one go: less than a millisecond."""


class Inquiries:
    """Those of one shard, called `shard`."""

    def __init__(
        self,
        connections: Connections,
        users: Users,
        members: Members,
        inquiry: Inquiry,
        shard: str,
    ) -> None:
        self._connections = connections
        self._users = users
        self._members = members
        self._inquiry = inquiry
        self._shard = shard
        self._tasks = Tasks("inquiries")

    def start(self) -> None:
        """Say from now on that this shard lives; it reads the broadcast stream."""
        self._tasks.spawn(self._live())

    async def _live(self) -> None:
        while True:
            with suppress(StoreError):
                await self._inquiry.alive(self._shard)
            await asyncio.sleep(ALIVE_S)

    async def stop(self) -> None:
        """It is waited for no longer."""
        await self._tasks.stop()
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(GONE_S):
                await self._inquiry.gone(self._shard)

    def hear(self, asked: Inquired) -> None:
        """A question."""
        self._tasks.spawn(self._answer(asked))

    async def _answer(self, asked: Inquired) -> None:
        found = await self._searched(asked.like) if asked.like else self._found(asked)
        try:
            await self._inquiry.answer(asked.inquiry, self._shard, found)
        except StoreError as error:
            log.debug("a question is not answered: %s", error)

    def _found(self, asked: Inquired) -> Found:
        fds = [fd for fd in self._users.find(asked.uid) if self._connections.is_open(fd)]
        listed = [self._connection(fd, asked) for fd in fds[:MOST_LISTED]]
        return Found(len(fds), listed)

    async def _searched(self, like: str) -> Found:
        """Who has this in uid or name; looked for in slices, so that everybody has their turns."""
        like, seen = like.casefold(), dict[Identity, list[int]]()
        for number, fd in enumerate(self._connections.open_connections(), 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            if self._connections.is_open(fd):
                who = self._users.of(fd)
                if like in who.uid.casefold() or like in who.name.casefold():
                    seen.setdefault(who, []).append(fd)
            if len(seen) > MOST_FOUND:
                break
        return Found(0, [], [self._seen(who, fds) for who, fds in seen.items()])

    def _seen(self, who: Identity, fds: list[int]) -> Seen:
        here = [fd for fd in fds if self._connections.is_open(fd)]
        rooms = {room for fd in here for room in self._rooms(fd)}
        return Seen(who.uid, who.name, who.role, len(here), sorted(rooms)[:MOST_LISTED])

    def _rooms(self, fd: int) -> list[str]:
        return [room.name for room in self._members.of(fd) if self._members.has(fd, room)]

    def _connection(self, fd: int, asked: Inquired) -> Connection:
        name = self._users.name(self._connections.handle(fd))
        rooms = self._rooms(fd)
        address = self._connections.address(fd) if asked.addresses else None
        return Connection(name, role_in(self._users.of(fd), asked.room), rooms, address)
