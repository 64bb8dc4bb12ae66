"""The rooms of one shard on a real Valkey, without connections: what they say is written down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis

from chat.bus.reader import Reader
from chat.bus.store import RoomState
from chat.config import sections
from chat.counters import FIELDS, ChatCount
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.wire.schema import Aside, Gap, Msg, Online, Sequenced
from pool.scoreboard import Scoreboard
from tests.chat.rig import a_store, publish, until

ROOM = "live:42"
MEMBER = 7


def texts(places: Iterable[Sequenced]) -> list[str]:
    """What the messages say, when they are all messages."""
    messages = [place for place in places if isinstance(place, Msg)]
    assert messages == list(places)
    return [message.text for message in messages]


@dataclass
class Waiter:
    """Somebody who asked to join."""

    desk: "Desk"
    patient: bool
    fd: int = MEMBER
    gone: bool = False

    def let_in(self, room: Room) -> None:
        self.desk.readied.append(room.name)

    def turn_away(self, room: Room) -> bool:
        self.desk.sent_away.append(room.name)
        return self.patient


class Desk:
    """The rooms of one shard, and everything they said. A member never leaves by itself."""

    def __init__(
        self,
        url: str,
        prefix: str,
        shard: str = "s1",
        timeout_s: float = 5.0,
        bounds: sections.Limits | None = None,
        **limits: Any,
    ) -> None:
        self.limits = sections.Rooms(**({"history": 50, "history_on_join": 3} | limits))
        self.store = a_store(url, prefix, history=self.limits.history, timeout_s=timeout_s)
        self.raw: Any = redis.from_url(url, protocol=2)
        self.keys = self.store.keys
        self.everything = f"{prefix}:*"
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.emitted: list[tuple[str, Sequenced | Gap | Aside]] = []
        self.batches: list[Sequence[Sequenced | Gap | Aside]] = []
        self.readied: list[str] = []
        self.sent_away: list[str] = []
        self._fed: dict[str, bytes] = {}
        self.reader = Reader(self.store, shard, 0.001, 1_000, lambda: False, self.counts)
        self.rooms = Rooms(
            *(self.store, self.reader, self.limits, shard, 1, self.counts, self._emit), bounds
        )

    async def __aenter__(self) -> "Desk":
        await self.reader.start(self.rooms.deliver, lambda notices: None, self.rooms.resync)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reader.stop()
        await self.rooms.stop()
        await self.store.close()
        await self.raw.aclose()

    def _emit(self, room: Room, events: Sequence[Sequenced | Gap | Aside]) -> int:
        self.emitted += [(room.name, event) for event in events]
        self.batches.append(events)
        return 0

    def wait(self, room: Room, patient: bool = False) -> Waiter:
        """Somebody waits for a room, and writes down what comes of it."""
        waiter = Waiter(self, patient)
        room.waiting.append(waiter)
        return waiter

    async def stop_reading(self) -> None:
        await self.reader.stop()

    async def open(self, name: str = ROOM) -> Room:
        """A room with a member in it."""
        room = self.rooms.enter(name)
        room.members[0].add(MEMBER)
        if not room.live:
            self.wait(room, patient=True)
        await until(lambda: name in self.readied, f"room {name}")
        return room

    async def tick(self, tick: int) -> None:
        """A second has passed, and what it had reported is known."""
        self.rooms.tick(tick)
        reporting = self.rooms._online._tasks
        await until(lambda: not reporting.busy, "the report")

    def heard(self, room: str = ROOM) -> list[Any]:
        """Texts and gaps, in order."""
        return [
            event.text if isinstance(event, Msg) else event
            for name, event in self.emitted
            if name == room and isinstance(event, Msg | Gap)
        ]

    async def until_heard(self, *what: Any, room: str = ROOM) -> None:
        """Wait until exactly this was said in a room, since the beginning."""
        await until(lambda: len(self.heard(room)) >= len(what), f"{what}")
        assert self.heard(room) == list(what)

    def online(self) -> list[int]:
        """The counts that were told."""
        return [event.count for _, event in self.emitted if isinstance(event, Online)]

    async def until_live(self, room: Room) -> None:
        await until(lambda: room.live, "the repair")

    async def feed(self, *without: str, room: str = ROOM) -> None:
        """Deliver by hand what is new in a room's stream, but for some texts, instead of a reader.

        When this returns it was delivered a moment ago: nothing else has run since.
        """
        stream = self.keys.fanout(self.keys.partition(room))
        start = b"(" + self._fed.get(stream, b"0-0")
        entries = [
            [at, [part for field in fields.items() for part in field]]
            for at, fields in await self.raw.xrange(stream, start)
        ]
        if entries:
            self._fed[stream] = entries[-1][0]
            lost = [text.encode() for text in without]
            self.rooms.deliver(
                [one for one in entries if not any(text in one[1][5] for text in lost)]
            )

    def after_reading(self, *texts: str) -> None:
        """When Redis has next been asked for the room, these come before its answer does."""
        ask = self.store.open_room

        async def slow(*args: Any, **options: Any) -> RoomState:
            self.store.open_room = ask  # type: ignore[method-assign]
            state = await ask(*args, **options)
            await publish(self.store, ROOM, *texts)
            await self.feed()
            return state

        self.store.open_room = slow  # type: ignore[method-assign]

    async def set_back(self, seq: int, name: str = ROOM) -> None:
        """What a failover to a replica that lags does to a room."""
        history = self.keys.history(name)
        kept = await self.raw.xrange(history, "-", f"{seq}-0")
        await self.raw.delete(history)  # or the stream's own last ID would remain
        for entry_id, fields in kept:
            await self.raw.xadd(history, fields, id=entry_id)
        await self.raw.hset(self.keys.room(name), "seq", seq)

    def count(self, what: ChatCount) -> int:
        return self.counts[what]
