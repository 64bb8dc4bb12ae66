"""What is asked of this shard: which connections of a user it has.

Rules. It says that it lives, so that it is waited for, and answers every question, also when it has
nothing. A viewer's address is personal data: it is told where it was asked for, and else not.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.entries import Inquired
from chat.bus.inquiry import ALIVE_S, MOST_LISTED, Connection, Found, Inquiry
from chat.hub.users import Users
from chat.policy.roles import role_in
from chat.rooms.members import Members
from chat.tasks import Tasks
from shard.connections import Connections

log = logging.getLogger(__name__)

GONE_S: Final = 0.5
"""How long an end waits for Redis to be told of it; else it is noticed."""


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
        self._tasks.spawn(self._answer(asked.inquiry, self._found(asked)))

    async def _answer(self, inquiry: str, found: Found) -> None:
        try:
            await self._inquiry.answer(inquiry, self._shard, found)
        except StoreError as error:
            log.debug("a question is not answered: %s", error)

    def _found(self, asked: Inquired) -> Found:
        fds = [fd for fd in self._users.find(asked.uid) if self._connections.is_open(fd)]
        listed = [self._connection(fd, asked) for fd in fds[:MOST_LISTED]]
        return Found(len(fds), listed)

    def _connection(self, fd: int, asked: Inquired) -> Connection:
        name = self._users.name(self._connections.handle(fd))
        rooms = [room.name for room in self._members.of(fd) if self._members.has(fd, room)]
        address = self._connections.address(fd) if asked.addresses else None
        return Connection(name, role_in(self._users.of(fd), asked.room), rooms, address)
