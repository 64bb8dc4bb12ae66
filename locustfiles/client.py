"""A thin WebSocket viewer for Locust: what it does and waits for becomes Locust's statistics.

    connect   from dialling to the `welcome` event
    join      from `join` to `joined`
    send→ack  from a typed message to its `ack`
    delivery  from typing to the frame that brings it to each viewer

Rule: protocol and checks are here, behaviour is in the scenarios. Delivery is reported once per
frame, for its oldest message; typists stamp their text with the machine's monotonic clock, so all
load processes must run on one machine. A gap, a repeat, an error event, a close that nobody asked
for or an answer that never came is a failure, and Locust then exits with 1.

Needs `websocket-client`; Locust has patched its blocking sockets for gevent by the time it runs.
"""

import itertools
import json
import logging
import time
from contextlib import suppress
from typing import Any

import gevent
import msgspec
import websocket
from locust import User, events
from locust.env import Environment
from locust.exception import StopUser
from msgspec import UnsetType

from chat.wire.batch import expand
from chat.wire.commands import Since
from chat.wire.schema import (
    Ack,
    Bye,
    Clear,
    Delete,
    Error,
    Gap,
    Joined,
    Msg,
    Msgs,
    Ref,
    Sequenced,
    ServerEvent,
    State,
    Welcome,
)
from locustfiles.order import Ledger, Position

ANSWER_TIMEOUT_S = 10.0
STAMP = "@"

ledger = Ledger()

_decode = msgspec.json.Decoder(list[ServerEvent]).decode


class Failure(Exception):
    """The server did something it must not; Locust lists failures by this text."""


class Lost(StopUser):
    """This user cannot go on. What was wrong has been reported."""


class Connection:
    """One WebSocket and the rooms it is in."""

    def __init__(self, environment: Environment, host: str) -> None:
        self._environment = environment
        self._url = f"{host.rstrip('/')}/ws"
        self._guest = ""
        self._socket = websocket.WebSocket()
        self._refs = itertools.count(1)
        self._asked: dict[int, tuple[str, float]] = {}
        self._welcomed = gevent.event.Event()
        self._joined: dict[int, gevent.event.Event] = {}
        self._reader: gevent.Greenlet | None = None
        self._rejoining: set[str] = set()
        self.positions: dict[str, Position] = {}

    # ---- what a viewer does ----

    def connect(self) -> None:
        """Dial and wait to be welcomed. Raises Lost when that fails."""
        began = time.monotonic()
        try:
            url = f"{self._url}?guest={self._guest}" if self._guest else self._url
            self._socket = websocket.create_connection(url, timeout=ANSWER_TIMEOUT_S)
            self._socket.settimeout(None)
        except (OSError, websocket.WebSocketException) as problem:
            self._report("connect", began, failure=f"{type(problem).__name__}: {problem}")
            raise Lost from problem
        self._reader = gevent.spawn(self._read)
        if not self._welcomed.wait(ANSWER_TIMEOUT_S):
            self._report("connect", began, failure="no welcome")
            raise Lost
        self._report("connect", began)

    def join(self, room: str) -> None:
        """Join, or resume where we were, and wait until the room said so."""
        command: dict[str, Any] = {"t": "join", "room": room}
        if known := self.positions.get(room):
            command["since"] = msgspec.to_builtins(Since(known.epoch, known.seq, known.ts))
            known.come_back()
        began = time.monotonic()
        ref = next(self._refs)
        done = self._joined[ref] = gevent.event.Event()
        self._ask(command, ref, "join")
        if not done.wait(ANSWER_TIMEOUT_S):
            self._asked.pop(ref, None)
            self._report("join", began, failure="no answer")
            raise Lost
        del self._joined[ref]

    def say(self, room: str, text: str) -> None:
        """Type a message; its ack and its deliveries are reported as they come."""
        stamped = f"{STAMP}{time.monotonic_ns()} {text}"
        self._ask({"t": "send", "room": room, "text": stamped}, next(self._refs), "send→ack")

    def close(self) -> None:
        """Leave, after a last look for messages and answers that never came."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.kill()
        self._report_overdue()
        self._asked.clear()
        self._welcomed.clear()
        self._socket.close(timeout=0)

    # ---- what comes back ----

    def _read(self) -> None:
        us, wire = gevent.getcurrent(), self._socket
        while True:
            try:
                opcode, data = wire.recv_data()
            except (OSError, websocket.WebSocketException) as problem:
                ended = f"{type(problem).__name__}: {problem}"
                break
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                ended = f"closed with {int.from_bytes(data[:2], 'big')}"
                break
            try:
                self._on_frame(_decode(data), len(data))
            except msgspec.MsgspecError as problem:
                ended = f"a frame that is no array of events: {problem}"
                break
        if self._reader is us:  # or else it was we who closed
            self._fail("connection", ended)

    def _on_frame(self, events: list[ServerEvent], size: int) -> None:
        oldest = None
        for event in events:
            match event:
                case Msgs():
                    oldest = oldest or self._on_batch(event)
                case Delete() | Clear() | State():
                    self._on_place(event)
                case Joined():
                    self._on_joined(event)
                case Ack():
                    self._answered(event.ref)
                    ledger.acked(event.room, event.seq, time.monotonic())
                case Welcome():
                    self._guest = event.guest or self._guest
                    self._welcomed.set()
                case Error():
                    self._answered(event.ref, failure=f"refused: {event.code}")
                case Gap():
                    self.positions[event.room] = Position(event.epoch, event.seq)
                    self._fail("order", f"the server lost {event.lost}")
                case Bye():
                    self._fail("connection", f"sent away: {event.reason}")
        if oldest:
            self._report("delivery", oldest, size=size)

    def _on_batch(self, batch: Msgs) -> float | None:
        """Check what it covers; when the oldest message with a stamp was typed."""
        oldest, before, ts = None, batch.seq - 1, 0
        for place in expand(batch.room, batch.epoch, batch.m, batch.seq):
            if not before < place.seq <= batch.to:
                self._fail("order", "a message that its batch does not cover")
            before, ts = place.seq, place.ts
            if isinstance(place, Msg):
                oldest = oldest or _stamp(place.text)
        self._on_span(batch.room, batch.epoch, batch.seq, batch.to, ts if before == batch.to else 0)
        return oldest

    def _on_place(self, place: Sequenced, epoch: str = "") -> None:
        """Check one place; what is an event of its own names no epoch."""
        self._on_span(place.room, epoch, place.seq, place.seq, place.ts)

    def _on_span(self, room: str, epoch: str, first: int, last: int, ts: int) -> None:
        """Check places; `ts` is of the last, 0 where that is not known."""
        position = self.positions.get(room)
        if position is None:
            self._fail("order", "a message of a room never joined")
            return
        problem = position.see(epoch or position.epoch, first, last)
        if position.seq == last:
            position.ts = ts
        if problem:
            self._fail("order", problem)
            if epoch not in ("", position.epoch) and room not in self._rejoining:
                self._rejoining.add(room)
                gevent.spawn(self._rejoin, room)

    def _rejoin(self, room: str) -> None:
        """Ask where a room is of which an epoch came that nobody told of."""
        with suppress(Lost):
            self.join(room)
        self._rejoining.discard(room)

    def _on_joined(self, event: Joined) -> None:
        known = self.positions.get(event.room)
        here = Position(event.epoch, event.seq, ts=event.ts or 0)
        if known is None:
            self.positions[event.room] = here
        elif not event.recovered:
            self._fail("order", "not recovered after coming back")
            self.positions[event.room] = here
        else:
            missed = [place.seq for place in expand(event.room, event.epoch, event.history)]
            if any(seq > event.seq for seq in missed) or event.seq < known.seq:
                self._fail("order", "resumed at another position than the room's")
            elif event.seq > known.seq:
                self._on_span(event.room, event.epoch, known.seq + 1, event.seq, here.ts)
        self._answered(event.ref)
        if isinstance(event.ref, int) and (waiting := self._joined.get(event.ref)):
            waiting.set()

    # ---- telling Locust ----

    def _ask(self, command: dict[str, Any], ref: int, name: str) -> None:
        self._asked[ref] = name, time.monotonic()
        try:
            self._socket.send(json.dumps(command | {"ref": ref}, separators=(",", ":")))
        except (OSError, websocket.WebSocketException) as problem:
            self._answered(ref, failure=f"{type(problem).__name__}: {problem}")
            raise Lost from problem

    def _answered(self, ref: Ref | UnsetType, failure: str | None = None) -> None:
        unasked = "unasked", time.monotonic()
        name, began = self._asked.pop(ref, unasked) if isinstance(ref, int) else unasked
        if name != "unasked" or failure:
            self._report(name, began, failure=failure)

    def _report_overdue(self) -> None:
        now = time.monotonic()
        for name, began in self._asked.values():
            if began < now - ledger.grace_s:
                self._report(name, began, failure="no answer")
        for room, position in self.positions.items():
            if missing := ledger.missing(room, position.seq, now):
                self._fail("order", f"{missing} acknowledged but never delivered")

    def _fail(self, name: str, what: str) -> None:
        self._report(name, time.monotonic(), failure=what)

    def _report(self, name: str, began: float, failure: str | None = None, size: int = 0) -> None:
        self._environment.events.request.fire(  # type: ignore[no-untyped-call]
            request_type="ws",
            name=name,
            response_time=(time.monotonic() - began) * 1e3,
            response_length=size,
            exception=Failure(failure) if failure else None,
            context={},
        )


def _stamp(text: str) -> float | None:
    """When a stamped text was typed, on the monotonic clock; None for what others wrote."""
    if not text.startswith(STAMP):
        return None
    digits = text[len(STAMP) :].partition(" ")[0]
    return int(digits) / 1e9 if digits.isdecimal() else None


class Viewer(User):
    """Base of the scenarios: a user with one connection, in the rooms of `rooms()`."""

    abstract = True

    def rooms(self) -> list[str]:
        raise NotImplementedError

    def on_start(self) -> None:
        self.connection = Connection(self.environment, self.host or "ws://127.0.0.1:8000")
        try:
            self.enter()
        except Lost:
            self.stop()

    def on_stop(self) -> None:
        self.connection.close()

    def enter(self) -> None:
        self.connection.connect()
        for room in self.rooms():
            self.connection.join(room)

    def come_back(self) -> None:
        """Lose the connection and resume: nothing may be missing afterwards."""
        self.connection.close()
        self.enter()


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def fail_when_nothing_was_delivered(environment: Environment, **_: object) -> None:
    """A run in which no message arrived proves nothing, so it must not look like success."""
    if not environment.stats.get("delivery", "ws").num_requests:
        logging.error("no message was delivered")
        environment.process_exit_code = 1
