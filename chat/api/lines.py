"""A stream of lines, published while it comes: how far that has got, and what is wrong with it.

Rules. Lines are gathered until there are BATCH of them or the first has waited GATHER_S, whichever
is sooner; there is no task and no timer per line. What came whole is published, however the stream
ends. Bad lines are listed, the others published; bad is also an id that another message has.

Danger: what is gathered belongs to nobody yet. Every way out of `publish` goes by `_flush`.
"""

import asyncio
import math
from bisect import insort
from typing import Final

from chat.api.bodies import MAX_LISTED, BadBody, LineSplitter, read_line
from chat.api.incoming import BOM, Incoming, Interrupted, Unfinished
from chat.api.models import MessageIn, Problem, PublishedOut
from chat.api.publishing import BATCH, Publishing, tally
from chat.bus.publisher import Unpublished
from chat.bus.store import Receipt
from chat.config.sections import Limits

GATHER_S: Final = 0.03
"""How long a line waits for others: as good as at once for who reads it, and thirty lines a batch
for a stream that brings a thousand a second."""
REFUSED: Final = {
    "id_reused": ("id", "the id was given to another message; give each its own"),
    "room_busy": ("", "more is said in the room than its messages_per_s"),
}
"""What is listed of a line that the bus refuses by itself, by the outcome's reason: path, words."""


class Lines:
    """The lines of one stream, to be published in one room; none longer than `most` bytes."""

    def __init__(self, publishing: Publishing, room: str, limits: Limits, most: int) -> None:
        self._publishing = publishing
        self._room = room
        self._limits = limits
        self._most = most
        self._clock = asyncio.get_running_loop().time
        self._splitter = LineSplitter(most)
        self._batch: list[tuple[int, MessageIn]] = []
        self._due = math.inf
        self._number = 0
        self._done = 0
        self._published = PublishedOut(0, 0)

    async def publish(self, body: Incoming) -> PublishedOut:
        """Publish all of them; what became of them.

        Raises Unfinished, which says how far it got, and BadBody when nothing was to be published.
        """
        try:
            await self._take_all(body)
        except Unfinished as end:
            end.accepted += self._published.accepted
            end.lines = self._done
            raise
        if self._published.accepted or self._published.duplicates:
            return self._published
        if self._published.rejected:
            bad = f"none of the {self._published.rejected} lines is a message"
            raise BadBody(self._published.problems, bad)
        raise BadBody([Problem("the stream has no messages")])

    async def _take_all(self, body: Incoming) -> None:
        try:
            while (chunk := await body.chunk(self._due)) is not None:
                for line in self._splitter.feed(chunk):
                    await self._take(line)
                if self._clock() >= self._due:
                    await self._flush()
            for line in self._splitter.finish():
                await self._take(line)
        except Interrupted:
            await self._flush()
            raise
        await self._flush()

    async def _take(self, line: bytes | None) -> None:
        self._number += 1
        if self._number % BATCH == 0:
            await asyncio.sleep(0)  # bad lines and blank ones wait for nothing else
        if line is None:
            self._reject(self._number, Problem(f"the line is longer than {self._most} bytes"))
            return
        if self._number == 1:
            line = line.removeprefix(BOM)
        if not line.strip():
            return
        found = read_line(line, self._limits)
        if isinstance(found, Problem):
            self._reject(self._number, found)
            return
        if not self._batch:
            self._due = self._clock() + GATHER_S
        self._batch.append((self._number, found))
        if len(self._batch) == BATCH:
            await self._flush()

    def _reject(self, number: int, problem: Problem) -> None:
        problem.line = number
        self._published.rejected += 1
        listed = self._published.problems
        insort(listed, problem, key=lambda one: one.line or 0)
        del listed[MAX_LISTED:]

    async def _flush(self) -> None:
        batch, self._batch, self._due = self._batch, [], math.inf
        messages = [message for _, message in batch]
        outcomes = await self._publishing.publish_each([self._room], messages)
        tally(self._published, [one for one in outcomes if isinstance(one, Receipt)])
        for (number, _), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Unpublished):
                path, words = REFUSED[outcome.reason]
                self._reject(number, Problem(words, path))
        self._done = self._number
