"""Those who publish: they number their messages and write down what became of each.

Rules. A producer sends one message after the other, each once the one before has its outcome. An
outcome is an acknowledgement with a place, a refusal, or unknown; after the last two it sends the
same message with the same id again until it is acknowledged, as docs/wire.md tells a client, and
perhaps to another node. One message in four is sent once only: what a refusal means shows on those.
One in thirty is sent again although it was acknowledged.

Danger: nothing but an acknowledgement may be written down as one; and a message that has no outcome
when the time is up is neither owed nor forbidden.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
import jwt
import msgspec

from tests.faults.books import Ack, Book, Line, Place, Refusal
from tests.faults.texts import CHANTS, chanted, written
from tests.faults.wires import Event, WebSocket

ANSWER_S: Final = 6.0
AGAIN_S: Final = (0.1, 0.6)
ONCE: Final = 0.25
REPEAT: Final = 0.03
SECRET: Final = "a secret of the ledger's own, 32 bytes long"


CHAT: Final = 5
MODERATORS: Final = 6
"""Priorities, as docs/wire.md has them."""
BUSY: Final = "room_busy"
RANKS: Final[tuple[Mapping[str, Any], ...]] = (
    *({}, {}, {}, {"priority": 5}, {"priority": 3, "data": [1, {"a": "弹"}]}, {"priority": 1}),
    *({"kind": "gift"}, {"kind": "superchat", "priority": 9}, {"priority": 7}),
)
CHANTED: Final = 0.8
MANY: Final = 20


class Refused(Exception):
    """The message was not published, says the server; again in `after_s`."""

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s


class Busy(Refused):
    """More is said in the room than may be."""


class Unknown(Exception):
    """There was no answer."""


class Desk:
    """What all producers of a run share: numbers, books, chance, and when to stop.

    stop   no new messages; give_up: no new attempts
    odd    answers a server must never give; refusals: how many there were, `busy` of them because
           too much was said; taken: how often messages were taken back
    """

    def __init__(self, books: dict[str, Book], padding: int, chance: random.Random) -> None:
        self.books = books
        self.crowded = any(book.crowded for book in books.values())
        self.busy = 0
        self.taken = 0
        self.stop = asyncio.Event()
        self.give_up = asyncio.Event()
        self.odd: list[str] = []
        self.refusals = 0
        self.padding = padding
        self.chance = chance
        self._numbers = itertools.count(1)

    def number(self, room: str) -> int:
        """A new message."""
        number = next(self._numbers)
        self.books[room].sent.add(number)
        return number

    def line(self, room: str, number: int, uid: str, rank: Mapping[str, Any]) -> str:
        """The text of a message, and a line in the book that says whose it is; where the room
        merges what many say, most say the same."""
        book = self.books[room]
        chance = random.Random(number)
        chant = chance.choice(CHANTS) if book.merges and chance.random() < CHANTED else ""
        above = "kind" in rank or rank.get("priority", CHAT) > CHAT
        merged = chant if not above and "data" not in rank else ""
        book.lines[number] = Line(uid, above, merged)
        return chanted(number, chant) if chant else written(number, self.padding)

    def refused(self, room: str, number: int, code: str) -> None:
        """An answer says why a message was not published."""
        if code == BUSY:
            self.busy += 1
            if self.books[room].lines[number].above:
                self.odd.append(f"{number} is more than chat, and was refused: {code}")

    async def pause(self, seconds: float, until: asyncio.Event) -> None:
        """Wait, but not beyond `until`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await until.wait()


def token_for(uid: str, role: str = "user") -> str:
    """What lets in a user."""
    claims = {"sub": uid, "role": role, "exp": int(time.time()) + 86_400}
    return jwt.encode(claims, SECRET, "HS256")


class Producer:
    """One that sends in turn. `attempt` is the way it sends."""

    def __init__(self, name: str, desk: Desk, interval_s: float) -> None:
        self.name = name
        self.desk = desk
        self.interval_s = interval_s
        self.chance = random.Random(desk.chance.random())

    async def live(self) -> None:
        """Send until it is told to stop."""
        rooms = list(self.desk.books)
        while not self.desk.stop.is_set():
            room = self.chance.choice(rooms)
            await self.one(room, self.desk.number(room), self.chance.random() < ONCE)
            await self.desk.pause(self.interval_s * self.chance.uniform(0.5, 1.5), self.desk.stop)

    async def one(self, room: str, number: int, once: bool = False, sent: float = 0.0) -> None:
        """Send one message until there is no more to be done about it."""
        book, sent = self.desk.books[room], sent or time.monotonic()
        while not self.desk.give_up.is_set():
            try:
                place = await self.attempt(room, number)
            except Refused as refused:
                self.desk.refusals += 1
                if once:
                    book.refused[number] = Refusal(sent, time.monotonic())
                    return
                after_s = refused.after_s
            except Unknown:
                if once:
                    return
                after_s = self.chance.uniform(*AGAIN_S)
            else:
                book.acks.append(Ack(number, place, sent, time.monotonic()))
                book.in_turn.setdefault(self.name, []).append(number)
                if not once and self.chance.random() < REPEAT:
                    await self._repeat(room, number, sent)
                return
            await self.desk.pause(min(after_s, 1.0), self.desk.give_up)
            book.resent.add(number)

    async def _repeat(self, room: str, number: int, sent: float) -> None:
        """The same once more, though it was acknowledged: it is where it was."""
        book = self.desk.books[room]
        book.resent.add(number)
        with suppress(Refused, Unknown):
            place = await self.attempt(room, number)
            book.acks.append(Ack(number, place, sent, time.monotonic()))

    async def attempt(self, room: str, number: int) -> Place:
        """Send it. Raises Refused or Unknown."""
        raise NotImplementedError


class Backend(Producer):
    """By the HTTP API of any node, a message a request."""

    def __init__(self, name: str, desk: Desk, interval_s: float, pages: Sequence[str]) -> None:
        super().__init__(name, desk, interval_s)
        self.pages = pages
        self.session: aiohttp.ClientSession

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be able to ask."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as self.session:
            yield

    async def live(self) -> None:
        async with self.open():
            await super().live()

    async def attempt(self, room: str, number: int) -> Place:
        body = msgspec.json.encode(self.written(room, number))
        try:
            found = await self.post(room, body, "json")
        except Busy:
            self.desk.refused(room, number, BUSY)
            raise
        return Place(found["epoch"], found["last"])

    def written(self, room: str, number: int) -> dict[str, Any]:
        rank, uid = self._rank(number), self._uid(number)
        text = self.desk.line(room, number, uid, rank)
        return {"text": text, "uid": uid, "id": f"n{number}", **rank}

    def _rank(self, number: int) -> Mapping[str, Any]:
        """Beside what others say, some of a crowd say what is more, or less."""
        return random.Random(number).choice(RANKS) if self.desk.crowded else {}

    def _uid(self, number: int) -> str:
        return self.name

    async def post(self, room: str, body: bytes, kind: str) -> dict[str, Any]:
        """The answer to a request that was fulfilled. Raises Refused or Unknown."""
        url = f"{self.chance.choice(self.pages)}/v1/rooms/{room}/messages"
        headers = {"Content-Type": f"application/{kind}"}
        try:
            async with self.session.post(url, data=body, headers=headers) as answer:
                status, said = answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unknown from error
        if status == 503:
            raise Refused(self.chance.uniform(*AGAIN_S))
        if status == 429:
            raise Busy(msgspec.json.decode(said)["error"]["retry_after"])
        if status >= 500:
            raise Unknown
        if status != 200:
            self.desk.odd.append(f"{status} {said[:200]!r}")
            raise Unknown
        found: dict[str, Any] = msgspec.json.decode(said)
        return found


class Bulk(Backend):
    """By the API, many lines a request. What is not clear of a request is asked line by line.

    In a crowd they are many users', and none is of those that may be refused for there being many.
    """

    def _rank(self, number: int) -> Mapping[str, Any]:
        rank = super()._rank(number)
        return {} if "priority" in rank else rank

    def _uid(self, number: int) -> str:
        return f"{self.name}-{number % MANY}" if self.desk.crowded else self.name

    async def live(self) -> None:
        async with self.open():
            rooms = itertools.cycle(self.desk.books)
            while not self.desk.stop.is_set():
                await self._many(next(rooms), self.chance.randint(5, 25))
                await self.desk.pause(self.interval_s, self.desk.stop)

    async def _many(self, room: str, count: int) -> None:
        book, sent = self.desk.books[room], time.monotonic()
        numbers = [self.desk.number(room) for _ in range(count)]
        lines = b"\n".join(msgspec.json.encode(self.written(room, number)) for number in numbers)
        with suppress(Refused, Unknown):
            found = await self.post(room, lines, "x-ndjson")
            first, last = found.get("first", 0), found.get("last", 0)
            if found["accepted"] == count == last - first + 1:
                now = time.monotonic()
                for seq, number in enumerate(numbers, first):
                    book.acks.append(Ack(number, Place(found["epoch"], seq), sent, now))
                book.in_turn.setdefault(self.name, []).extend(numbers)
                return
        for number in numbers:
            book.resent.add(number)
            await self.one(room, number, sent=sent)


class Typist(Producer):
    """By a WebSocket of any node, with a token, so that it is the same user when it comes back."""

    def __init__(
        self,
        name: str,
        desk: Desk,
        interval_s: float,
        ports: Sequence[int],
        role: str = "user",
    ) -> None:
        super().__init__(name, desk, interval_s)
        self._ports = ports
        self._token = token_for(name, role)
        self._rank = {"priority": MODERATORS} if role == "moderator" else {}
        self._wire: WebSocket | None = None
        self._waiting: dict[int, asyncio.Future[Event]] = {}
        self._joined: set[str] = set()

    async def live(self) -> None:
        try:
            await super().live()
        finally:
            if self._wire is not None:
                self._wire.close()

    async def attempt(self, room: str, number: int) -> Place:
        if self._wire is None:
            await self._connect()
        wire = self._wire
        if wire is None or room not in self._joined:
            await asyncio.sleep(0.1)
            raise Refused(self.chance.uniform(*AGAIN_S))  # it was not sent
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        text = self.desk.line(room, number, self.name, self._rank)
        wire.say({"t": "send", "room": room, "text": text, "id": f"n{number}", "ref": number})
        if self.desk.crowded:
            wire.say({"t": "like", "room": room, "count": 3})
        try:
            async with asyncio.timeout(ANSWER_S):
                event = await answer
        except TimeoutError as error:
            wire.vanish()
            raise Unknown from error
        finally:
            self._waiting.pop(number, None)
        if event["t"] == "ack":
            return Place(event["id"].rpartition("-")[0], event["seq"])
        self.desk.refused(room, number, event["code"])
        if "retry_after" not in event:
            self.desk.odd.append(f"{self.name} was answered {event}")
        raise Refused(event.get("retry_after", 0.5))

    async def _connect(self) -> None:
        port = self.chance.choice(self._ports)
        named = "&".join(f"room={room}" for room in self.desk.books)
        url = f"ws://127.0.0.1:{port}/ws?{named}&token={self._token}"
        self._joined = set()
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                _, self._wire = await loop.create_connection(
                    lambda: WebSocket(
                        url, False, False, self._take, self.desk.odd.append, self._down
                    ),
                    "127.0.0.1",
                    port,
                )
                while len(self._joined) < len(self.desk.books) and self._wire is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                return
        if self._wire is not None:
            self._wire.vanish()

    def _down(self) -> None:
        self._wire = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unknown())

    def _take(self, events: list[Event], position: str) -> None:
        for event in events:
            if event["t"] == "joined":
                self._joined.add(event["room"])
            answer = self._waiting.get(event.get("ref", 0))
            if answer is not None and not answer.done():
                answer.set_result(event)
