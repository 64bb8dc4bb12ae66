"""A viewer that does exactly what docs/wire.md asks of a client, and writes down all it was told.

Rules. It connects, comes back after every end, and keeps a log a room; it judges nothing. Whether
it comes back with its position is its `Way`. What a client is to do about numbers that are missing
it does: over a WebSocket it joins again from its position and takes nothing until that is answered;
an event stream it leaves, to come back with its last id.

Two hundred of these are cheap: no task while connected, a few tuples a batch.
"""

import asyncio
import random
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.faults.books import (
    NOTHING,
    UNSPOKEN,
    Cut,
    Gap,
    Hole,
    Joined,
    Live,
    Log,
    Odd,
    Place,
    Shed,
    Stalled,
)
from tests.faults.texts import number_of
from tests.faults.ways import Way
from tests.faults.wires import Event, EventStream, WebSocket

CONNECT_S: Final = 3.0
WELCOME_S: Final = 5.0
BACK_S: Final = (0.05, 0.6)
"""How long to stay away: a client's first back-off, with its jitter."""


class Viewer:
    """One; it connects to any of `ports` and watches `rooms` until it is told to leave.

    logs     what it was told, by room
    at       where it is, by room; `ts` when what stands there was published, where that was told
    controls  where it was told that messages are taken back, by room
    longest  the longest time without a message, seconds; since the first
    ends     connections that ended

    `buffer` is the kernel's for what it has not read, bytes; 0: as the kernel has it. `token` says
    that it is `uid`; "": it is a guest. Where its rooms are `crowded`, not all there is is shown.
    """

    def __init__(
        self,
        name: str,
        way: Way,
        rooms: Sequence[str],
        ports: Sequence[int],
        chance: random.Random,
        buffer: int,
        uid: str = "",
        token: str = "",
        crowded: bool = False,
    ) -> None:
        self.name = name
        self.crowded = crowded
        self.uid = uid
        self.way = way
        self.rooms = tuple(rooms)
        self.logs: dict[str, Log] = {room: [] for room in rooms}
        self.at: dict[str, Place] = {}
        self.ts: dict[str, int] = {}
        self.controls: dict[str, set[Place]] = {room: set() for room in rooms}
        self.longest = 0.0
        self.ends = 0
        self._ports = ports
        self._buffer = buffer
        self._token = [f"token={token}"] if token else []
        self._spanned: set[str] = set()
        self._chance = chance
        self._wire: WebSocket | EventStream | None = None
        self._welcomed = False
        self._stalled = False
        self._asked: dict[str, Place | None] = {}
        self._last_id = ""
        self._heard_at = 0.0
        self._over = asyncio.Event()
        self._leaving = asyncio.Event()

    def has_come_to(self, room: str, place: Place, number: int) -> bool:
        """Whether it has come as far as the message of that number there."""
        at = self.at.get(room)
        return at is not None and at.epoch == place.epoch and at.seq >= place.seq

    # --- its life ------------------------------------------------------------------------------

    async def live(self) -> None:
        """Watch until `leave`."""
        while not self._leaving.is_set():
            if await self._connect():
                try:
                    async with asyncio.timeout(WELCOME_S):
                        await self._welcome()
                except TimeoutError:
                    self.vanish()
                await self._over.wait()
            self._down()
            await self._pause(self._chance.uniform(*BACK_S))

    def leave(self) -> None:
        """Watch no longer."""
        self._leaving.set()
        if self._wire is not None:
            self._wire.close()

    def vanish(self) -> None:
        """Lose the connection, as a phone does."""
        if self._wire is not None:
            self._wire.vanish()

    async def stall(self, seconds: float) -> None:
        """Read nothing for so long."""
        wire = self._wire
        if wire is None:
            return
        self._stalled = True
        self._tell_all(Stalled(time.monotonic()))
        wire.stall()
        await self._pause(seconds)
        wire.read_on()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        except TimeoutError:
            pass

    async def _connect(self) -> bool:
        loop = asyncio.get_running_loop()
        self._over.clear()
        port = self._chance.choice(self._ports)
        sock = socket.socket()
        sock.setblocking(False)
        if self._buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.sock_connect(sock, ("127.0.0.1", port))
                _, self._wire = await loop.create_connection(lambda: self._dial(port), sock=sock)
        except (OSError, TimeoutError):
            sock.close()
            return False
        return True

    def _dial(self, port: int) -> WebSocket | EventStream:
        named = [f"room={room}" for room in self.rooms]
        if self.way.kind == "sse":
            last_id = self._last_id if self.way.resumes else ""
            places = [_place(one) for one in last_id.split(",")] if last_id else []
            self._asked = dict(zip(self.rooms, places, strict=False))
            target = f"/sse?{'&'.join([*named, *self._token])}"
            return EventStream(target, last_id, self._take, self._odd, self._over.set)
        query = "&".join([*(() if self._comes_back else named), *self._token])
        return WebSocket(
            f"ws://127.0.0.1:{port}/ws?{query}",
            self.way.kind == "msgpack",
            self.way.deflate,
            self._take,
            self._odd,
            self._over.set,
        )

    @property
    def _comes_back(self) -> bool:
        """Whether it has a position to come back with."""
        return self.way.resumes and bool(self.at)

    async def _welcome(self) -> None:
        while not self._welcomed and not self._over.is_set():  # noqa: ASYNC110 - told by a callback
            await asyncio.sleep(0.02)

    def _down(self) -> None:
        if self._welcomed:
            self.ends += 1
            self._tell_all(Cut(time.monotonic()))
            if self._stalled:
                # What it missed is much, and comes at once: it is behind again until it has that.
                self._tell_all(Stalled(time.monotonic()))
            self._stalled = False
        self._wire = None
        self._welcomed = False
        self._asked = {}
        if not self.way.resumes:
            self.at, self.ts = {}, {}

    def _tell_all(self, item: Cut | Stalled | Odd) -> None:
        for log in self.logs.values():
            log.append(item)

    def _odd(self, what: str) -> None:
        self.logs[self.rooms[0]].append(Odd(time.monotonic(), what))

    # --- what it is told -----------------------------------------------------------------------

    def _take(self, events: list[Event], position: str) -> None:
        shed: dict[str, Event] = {}
        self._spanned.clear()
        for event in events:
            match event["t"]:
                case "msgs":
                    self._batch(event["room"], event)
                case "joined":
                    self._joined(event["room"], event)
                case "gap":
                    self._gap(event["room"], event)
                case "delete" | "clear" | "state":
                    self._other(event["room"], event)
                case "shed":
                    shed[event["room"]] = event
                case "welcome":
                    self._introduced()
                case "error":
                    self._refused(event)
        for room in self._spanned:
            counted = shed.get(room, {"seq": 0, "count": 0})
            self.logs[room].append(Shed(time.monotonic(), counted["seq"], counted["count"]))
        if position:
            self._last_id = position
            told, here = position.split(","), list(map(self._written, self.rooms))
            if len(told) != len(here) or not all(map(_is_at, told, here)):
                self._odd(f"an id of {position} at {here}")

    def _introduced(self) -> None:
        self._welcomed = True
        if self.way.kind != "sse" and self._comes_back:
            for room in self.rooms:
                self._join(room)

    def _join(self, room: str) -> None:
        self._asked[room] = self.at.get(room)
        command: dict[str, Any] = {"t": "join", "room": room, "ref": room}
        if room in self.at:
            command["since"] = self.at[room]._asdict()
            if room in self.ts:
                command["since"]["ts"] = self.ts[room]
        assert isinstance(self._wire, WebSocket)
        self._wire.say(command)

    def _refused(self, event: Event) -> None:
        """A join comes too early: it is sent again when that may help."""
        room, wire = event.get("ref"), self._wire
        if room is None:
            return
        if "retry_after" not in event:
            self._odd(f"a join was refused: {event}")
            return
        asyncio.get_running_loop().call_later(event["retry_after"], self._join_again, room, wire)

    def _join_again(self, room: str, wire: WebSocket | EventStream | None) -> None:
        if self._wire is wire:
            self._join(room)

    def _joined(self, room: str, event: Event) -> None:
        place = Place(event["epoch"], event["seq"])
        since = self._asked.pop(room, None)
        history = list(_places(event["history"], 0))
        self.controls[room] |= {
            Place(place.epoch, seq) for seq, told in _numbered(event["history"], 0) if "t" in told
        }
        now = time.monotonic()
        self.logs[room].append(Joined(now, place, since, event["recovered"], history))
        self._move(room, place, event.get("ts"))
        shown = _time_at(event["history"], 0, place.seq)
        if shown not in (None, event.get("ts")):
            self._odd(f"a ts of {event.get('ts')} at {place}, which is of {shown}")

    def _gap(self, room: str, event: Event) -> None:
        if room in self._asked and self.way.kind != "sse":
            return
        place, here = Place(event["epoch"], event["seq"]), self.at.get(room)
        self.logs[room].append(Gap(time.monotonic(), place, event["lost"]))
        if here is None or here.epoch != place.epoch or here.seq < place.seq:
            self._move(room, place, None)

    def _other(self, room: str, event: Event) -> None:
        seq, ts = event["seq"], event["ts"]
        epoch = self.at[room].epoch if room in self.at else UNSPOKEN
        if epoch == UNSPOKEN and self.way.kind != "sse":
            self._join(room)  # in which epoch that was, only the answer tells
            return
        self.controls[room].add(Place(epoch, seq))
        self._span(room, Live(epoch, seq, seq, [(seq, NOTHING)]), ts)

    def _batch(self, room: str, event: Event) -> None:
        places = list(_places(event["m"], event["seq"]))
        ts = _time_at(event["m"], event["seq"], event["to"])
        merged = tuple(_merged(event["m"], event["seq"]))
        self._span(room, Live(event["epoch"], event["seq"], event["to"], places, merged), ts)

    def _span(self, room: str, live: Live, ts: int | None) -> None:
        now = self._heard()
        if room in self._asked and self.way.kind != "sse":
            return  # what answers the join has it, or it comes behind that
        here = self.at[room].in_epoch(live.epoch) if room in self.at else None
        if here is None or live.epoch != here.epoch or live.seq > here.seq + 1:
            self.logs[room].append(Hole(now, Place(live.epoch, live.seq)))
            if self.way.kind == "sse":
                self.vanish()
            else:
                self._join(room)
            return
        self.logs[room].append(live)
        self._spanned.add(room)
        self.at[room] = here
        if live.to > here.seq:
            self._move(room, Place(live.epoch, live.to), ts)

    def _heard(self) -> float:
        """Something new came; when that is."""
        now = time.monotonic()
        if self._heard_at:
            self.longest = max(self.longest, now - self._heard_at)
        self._heard_at = now
        return now

    def _move(self, room: str, place: Place, ts: int | None) -> None:
        self.at[room] = place
        self.ts.pop(room, None)
        if ts is not None:
            self.ts[room] = ts

    def _written(self, room: str) -> str:
        """Its position in a room, as an event stream's id has it: until it is answered, the one it
        came with, and it may have seen more without an id."""
        waits = self.way.kind == "sse" and room in self._asked
        place = self._asked[room] if waits else self.at.get(room)
        if place is None:
            return ""
        known = room in self.ts and not waits
        return "-".join(map(str, (*place, self.ts[room]) if known else place))


def _numbered(messages: Sequence[Event], seq: int) -> Iterator[tuple[int, Event]]:
    """Written messages with their seqs; `seq` is the first one's, unless that has its own."""
    for message in messages:
        seq = message.get("seq", seq)
        yield seq, message
        seq += 1


def _places(messages: Sequence[Event], seq: int) -> Iterator[tuple[int, int]]:
    """Written messages as (seq, producer number)."""
    for here, message in _numbered(messages, seq):
        yield here, number_of(message["text"]) if "text" in message else NOTHING


def _merged(messages: Sequence[Event], seq: int) -> Iterator[tuple[int, int]]:
    """Those of written messages that stand for more than one, as (seq, how many)."""
    for here, message in _numbered(messages, seq):
        if "times" in message:
            yield here, message["times"]


def _time_at(messages: Sequence[Event], seq: int, at: int) -> int | None:
    """When what stands at `at` was published, if it is among written messages."""
    for here, message in _numbered(messages, seq):
        if here == at and "ts" in message:
            return int(message["ts"])
    return None


def _is_at(told: str, here: str) -> bool:
    """Whether a position is that; its ts may be one that the viewer was not told."""
    return told == here or (here.count("-") == 1 and told.startswith(f"{here}-"))


def _place(told: str) -> Place | None:
    epoch, known, rest = told.partition("-")
    return Place(epoch, int(rest.partition("-")[0])) if known else None
