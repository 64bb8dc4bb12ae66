"""Who takes messages back while others speak.

Rules. It writes down what it asks for before it asks, and that it is done only when it is told so.
What it takes back has been said a while ago. Where what is shown is compared between shards, it
takes back one at a time: a shard that has not read all of a user's messages when they are taken
back fills the room from its history, which leaves nothing out.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from typing import Final

import aiohttp

from tests.faults.books import Book, Taking
from tests.faults.producers import Backend, Desk

LATELY: Final = 20
SETTLED_S: Final = 1.0
"""Before that a message may be on its way to a shard, which then never has it."""
CLEARED: Final = 0.2


class Censor(Backend):
    """Takes back by the API, now and then, what was said lately; in one of `rooms`."""

    def __init__(
        self, desk: Desk, interval_s: float, pages: Sequence[str], rooms: Sequence[str]
    ) -> None:
        super().__init__("censor", desk, interval_s, pages)
        self._rooms = rooms

    async def live(self) -> None:
        async with self.open():
            while not self.desk.stop.is_set():
                await self.desk.pause(self.interval_s, self.desk.stop)
                await self._take_back(self.chance.choice(self._rooms))

    async def _take_back(self, room: str) -> None:
        book, now = self.desk.books[room], time.monotonic()
        said = [ack for ack in book.acks[-LATELY:] if ack.at + SETTLED_S < now]
        if not said:
            return
        ack = self.chance.choice(said)
        line = book.lines[ack.number]
        unread = book.budget and not book.merges  # then a clear may make a shard choose otherwise
        if not unread and line.uid.startswith("backend") and self.chance.random() < CLEARED:
            taking = Taking(None, line.uid, inf)
            done = await self._delete(f"{room}/messages?uid={line.uid}", book, taking)
        else:
            taking = Taking(ack.place, "", inf)
            done = await self._delete(f"{room}/messages/{ack.place.seq}", book, taking)
        self.desk.taken += done

    async def _delete(self, what: str, book: Book, taking: Taking) -> bool:
        """Whether it is known to be done; it may be in any case."""
        book.takings.append(taking)
        url = f"{self.chance.choice(self.pages)}/v1/rooms/{what}"
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self.session.delete(url) as answer:
                said = await answer.read()
            if answer.status == 200:
                book.takings.remove(taking)
                book.takings.append(taking._replace(done=time.monotonic()))
                return True
            if answer.status < 500:
                self.desk.odd.append(f"{answer.status} {said[:200]!r}")
        return False
