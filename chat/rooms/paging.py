"""Paging back in a room's history: what stood before a place, asked for by a member.

    ask -> (the room is joined, all that was sent is taken) -> read with others -> answered

Rules. Every question gets one answer, a page or an error; who closes first gets none. Those of a
connection are answered in order, and behind the joins of their rooms before them. A page costs a
read of Redis and may be large, so a connection has few questions open and is given the next page
when it has taken the last, and few are read at once. A page never goes beyond what its room has
come to here, and never shows what the room knows to be taken back. Some dialects also read onward.

Danger: answers come later than questions. Whoever waits is kept as a Handle.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chat.bus.connect import StoreError
from chat.bus.places import Page
from chat.bus.store import Store
from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.policy.gate import OPENING_S
from chat.rooms.members import Members
from chat.rooms.position import UNSPOKEN
from chat.rooms.queue import JoinQueue
from chat.rooms.resume import Resume
from chat.rooms.room import Room
from chat.tasks import Tasks
from chat.wire.batch import shorten
from chat.wire.commands import History
from chat.wire.foreign import Declined, Excerpt, Fault, Read
from chat.wire.schema import Error, ErrorCode, Paged
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections
from shard.counters import Count

OPEN_QUESTIONS: Final = 4
"""Of one connection, beside the one that is being answered."""
READS: Final = 16
"""Questions looked at together, each at most a read."""
SHARE: Final = 4
"""Pages not read yet are within this part of what joins may take."""
TRIES: Final = 5
"""How often a read is made again because the room has gone another way meanwhile."""
AGAIN_S: Final = (1.0, 3.0)
"""When to ask again for what Redis is away for: not everybody at once."""
CATCH_UP_S: Final = 0.02

Found = Paged | Excerpt | Declined | Error
Tell = Callable[[int, Found], None]
"""Sends a connection an answer that it asked for."""
Span = tuple[int, int | None]
"""Behind which place, and before which: the first of these, or the last where there is a second."""


@dataclass(slots=True, eq=False)
class Question:
    """A question that has no answer yet."""

    resume: Resume
    handle: Handle
    room: Room
    wanted: History | Read
    tries: int = 0
    left: bool = False

    @property
    def fd(self) -> int:
        return self.handle.fd

    @property
    def ready(self) -> bool:
        return not self.resume.waits(self.fd, self.room)


class Paging:
    """Pages for one shard's connections, which join rooms by `resume`."""

    def __init__(
        self,
        connections: Connections,
        members: Members,
        resume: Resume,
        store: Store,
        limits: Limits,
        counts: "memoryview[int]",
        chance: random.Random,
        tell: Tell,
    ) -> None:
        self._connections = connections
        self._members = members
        self._resume = resume
        self._store = store
        self._stall_s = limits.stall_s
        self._counts = counts
        self._chance = chance
        self._tell = tell
        most_bytes = limits.resume_bytes // SHARE
        self._queue: JoinQueue[Question] = JoinQueue(connections.backlog, most_bytes)
        self._tasks = Tasks("pages")
        self._serving = False

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def ask(self, fd: int, wanted: History | Read) -> Found | None:
        """Why there is no page, or the answer for which nothing is read; None when it comes
        later."""
        room = self._members.named(fd, wanted.room)
        if room is None:
            self._counts[ChatCount.REFUSED_NOT_JOINED] += 1
            return Error(ErrorCode.NOT_JOINED, "not in this room", wanted.ref)
        waits = self._resume.waits(fd, room)
        if not waits and not self._members.has(fd, room):
            self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
            message = "the room is being opened"
            return Error(ErrorCode.UNAVAILABLE, message, wanted.ref, OPENING_S)
        if not waits and self._queue.clear(fd) and (found := _without_reading(room, wanted)):
            return found
        if self._queue.length(fd) >= OPEN_QUESTIONS:
            self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
            message = f"{OPEN_QUESTIONS} pages wait for you to read them"
            return Error(ErrorCode.RATE_LIMITED, message, wanted.ref, self._after_s())
        handle = self._connections.handle(fd)
        self._queue.add(Question(self._resume, handle, room, wanted))
        self._go_on()
        return None

    def close(self, fd: int) -> None:
        """A connection is over."""
        self._queue.close(fd)
        self._go_on()

    def look_at(self, fd: int) -> None:
        """A join of a connection waits no more."""
        self._queue.look_at(fd)
        self._go_on()

    def unblocked(self, fd: int) -> None:
        """A connection has taken all that was sent to it."""
        self._queue.unblocked(fd)
        self._go_on()

    def tick(self, tick: int) -> None:
        """Who takes a page so slowly that others have to wait for it is given up."""
        for fd in self._queue.hoarders(tick - self._stall_s):
            if self._connections.is_open(fd):
                self._counts[Count.CLOSED_SLOW] += 1
                self._connections.close(fd, CloseCode.SLOW_READER)

    def _after_s(self) -> float:
        return round(self._chance.uniform(*AGAIN_S), 2)

    # --- answering in turn ---------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._queue.due and not self._serving:
            self._serving = True
            self._tasks.spawn(self._serve())

    async def _serve(self) -> None:
        """Answer those whose turn it is, until nobody's is; who asks the same shares a read."""
        try:
            while taken := self._queue.take(READS):
                alike: dict[tuple[Room, Span, int], list[Question]] = defaultdict(list)
                for question in taken:
                    alike[question.room, _span(question), question.wanted.limit].append(question)
                pages = await asyncio.gather(*(self._read(*one) for one in alike))
                late = [
                    question
                    for group, page in zip(alike.values(), pages, strict=True)
                    for question in group
                    if not self._answer(question, page)
                ]
                self._queue.put_back(late)
                await asyncio.sleep(CATCH_UP_S if late else 0)
        finally:
            self._serving = False

    async def _read(self, room: Room, span: Span, limit: int) -> Page | None:
        """A page; None while Redis is away, and where none is wanted."""
        if not limit:
            return None
        after, before = span
        try:
            if before is None:
                return await self._store.page(room.name, after, limit)
            return await self._store.page_before(room.name, before, limit)
        except StoreError:
            return None

    def _answer(self, question: Question, page: Page | None) -> bool:
        """Whether a question has its answer, or needs none any more."""
        if self._connections.alive(question.handle) and not question.left:
            answer = self._found(question, page)
            if answer is None or self._connections.backlog(question.fd):
                return False
            self._tell(question.fd, answer)
        self._queue.answered(question, self._connections.tick)
        return True

    def _found(self, question: Question, page: Page | None) -> Found | None:
        """The answer; None when the read has to be made again."""
        room, wanted = question.room, question.wanted
        if not self._members.has(question.fd, room):
            self._counts[ChatCount.REFUSED_NOT_JOINED] += 1
            return Error(ErrorCode.NOT_JOINED, "not in this room any more", wanted.ref)
        if (found := _without_reading(room, wanted)) is not None:
            return found
        if page is not None and _is_of(page, room):
            if isinstance(wanted, Read):
                return _excerpt(room, wanted, page)
            history = shorten(page.places, None)
            return Paged(room.name, page.epoch, history, page.more, wanted.ref)
        question.tries += 1
        if page is not None and question.tries < TRIES:
            return None
        self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
        message = f"the history of {room.name} cannot be read now; ask again"
        return Error(ErrorCode.UNAVAILABLE, message, wanted.ref, self._after_s())


def _without_reading(room: Room, wanted: History | Read) -> Excerpt | Declined | None:
    """The answer, where it is the position only, or that the one asked for is of another epoch."""
    if isinstance(wanted, History):
        return None
    here = room.position
    known = (UNSPOKEN, here.epoch, room.life)
    if wanted.since is not None and wanted.since.epoch not in known:
        return Declined(Fault.OTHER_EPOCH, "the epoch is another one now", wanted.ref)
    if wanted.limit:
        return None
    return Excerpt(room.name, here.epoch or room.life, here.seq, [], wanted.ref)


def _span(question: Question) -> Span:
    """At most what its room has come to here; what is behind that is left out of what is read."""
    end = question.room.position.seq + 1
    match question.wanted:
        case Read(since=since, backwards=False):
            return (since.seq if since else 0), None
        case Read(since=since):
            return 0, min(since.seq, end) if since else end
        case History(before=before):
            return 0, end if before is None else min(before, end)


def _excerpt(room: Room, wanted: Read, page: Page) -> Excerpt:
    here = room.position
    places = [place for place in page.places if place.seq <= here.seq]
    found = places[::-1] if wanted.backwards else places
    return Excerpt(room.name, here.epoch or room.life, here.seq, found, wanted.ref)


def _is_of(page: Page, room: Room) -> bool:
    """Whether a page may be shown: of the room's epoch, and read when all was removed by then that
    the room knows to be taken back.

    Who has heard of no epoch has heard of no message, so its page is empty whatever was read.
    """
    here = room.position
    if here.epoch == UNSPOKEN:
        return not page.places
    return page.epoch == here.epoch and page.seq >= room.redacted_at
