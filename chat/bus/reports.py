"""Messages that viewers reported: a queue in Redis for those who look at them.

Rules. One queue a server, a stream, so that a worker may follow what moderators page through.
Whoever deals with a report takes it out; a worker that comes later does not see it any more. Crowds
report together: a message is queued for its first reporters only, and the others change nothing.

A report holds the message as it was, also once it is removed from its room: that is what has to be
judged.

Danger: anybody who reaches Redis can append to a stream. What is no report of ours is passed over.
"""

from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from chat.bus.pages import page
from chat.bus.scripts import Script
from chat.bus.store import Store
from chat.wire.schema import UNREADABLE, Msg

MOST: Final = 10_000
"""Reports in the queue; at 500 bytes each, 5 MB. Beyond it the oldest go."""
MOST_OF_ONE: Final = 10
"""Reports of one message: as many different reasons as anybody reads."""
REPORTERS_S: Final = 86_400
"""How long it is known who reported a message."""


class Report(Struct):
    """`reporter` is a uid, `ts` milliseconds since 1970."""

    ts: int
    reporter: str
    message: Msg
    reason: str | UnsetType = UNSET


Listed = tuple[str, Report]
"""A report and its ID in the queue."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Report).decode


class Reports:
    """The queue. What goes wrong is StoreError."""

    def __init__(self, store: Store, most: int = MOST) -> None:
        self._store = store
        self._keys = store.keys
        self._most = most
        self._script = Script(store.servers, "report")

    async def add(self, report: Report) -> tuple[bool, int]:
        """Whether it was needed, and how many of the oldest had to go for it."""
        message = report.message
        keys = [self._keys.reports, self._keys.reporters(message.room, message.id)]
        args: list[Any] = [report.reporter, _encode(report), self._most, MOST_OF_ONE, REPORTERS_S]
        queued, gone = await self._script.run(keys, args)
        return bool(queued), gone

    async def page(self, after: str, limit: int) -> tuple[list[Listed], str | None]:
        """At most `limit` reports behind an ID, oldest first; and behind which to go on."""
        entries, more = await page(self._store, self._keys.reports, after, limit)
        listed: list[Listed] = []
        for entry_id, entry in entries:
            with suppress(*UNREADABLE):
                listed.append((entry_id, _decode(entry)))
        return listed, more

    async def waiting(self) -> int:
        """How many there are."""
        key = self._keys.reports
        return int(await self._store.servers.ask(key, lambda pipe, on: pipe.xlen(key)))

    async def find(self, report_id: str) -> Report | None:
        """A report that is in the queue."""
        key = self._keys.reports
        found = await self._store.servers.ask(
            key, lambda pipe, on: pipe.xrange(key, report_id, report_id)
        )
        with suppress(*UNREADABLE):
            return _decode(found[0][1].get(b"m", b"")) if found else None
        return None

    async def take(self, report_id: str) -> bool:
        """Take a report out of the queue, as it is dealt with; whether it was there."""
        key = self._keys.reports
        return bool(await self._store.servers.ask(key, lambda pipe, on: pipe.xdel(key, report_id)))
