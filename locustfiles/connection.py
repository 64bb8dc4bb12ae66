"""One viewer's WebSocket under Locust: what it asks and waits for becomes Locust's statistics.

    connect   from dialling to the `welcome` event
    join      from `join` to `joined`, and so for every other command
    send→ack  from a typed message to its `ack`
    delivery  from typing to the frame that brings it to each viewer

Rules. Protocol is here, what is right is `watch.py`'s to say, behaviour is the scenarios'. Delivery
is reported once per frame, for its oldest message. A refusal nobody expected, a close nobody asked
for, an answer that never came and whatever the Watch objects to are failures, and Locust then exits
with 1. What was typed and not answered when the connection ended is said again on the next one,
with the same id.

Needs `websocket-client`; Locust has patched its blocking sockets for gevent by the time it runs.
Danger: the reader is a greenlet of its own; nothing it calls may wait.
"""

import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gevent
import msgspec
import websocket
from gevent.event import AsyncResult, Event
from locust.exception import StopUser

from chat.wire.schema import (
    Ack,
    Bye,
    Done,
    Error,
    Joined,
    Left,
    Muted,
    Paged,
    ServerEvent,
    Welcome,
)
from locustfiles.books import Books, Source
from locustfiles.watch import Seen, Watch

PATIENCE_S = 15.0
"""How long an answer, or what is owed, is waited for; no judgement of how fast it should be."""
POLL_S = 0.05
OK = "ok"
NO_CODE = 1006
TOO_SLOW = (4001, 4002, NO_CODE)
"""How a viewer that reads too slowly is let go; the last where no code could be sent any more."""

_decode = msgspec.json.Decoder(list[ServerEvent]).decode


class Lost(StopUser):
    """This user cannot go on. What was wrong has been reported."""


@dataclass
class Asked:
    """A command without its answer. `right` are the error codes that are right answers, OK for
    none; `text` is what it types."""

    name: str
    began: float
    right: tuple[str, ...] = (OK,)
    text: str = ""
    answer: Any = None


class Report:
    """Where Locust is told: `fire` is its request event."""

    def __init__(self, fire: Callable[..., None]) -> None:
        self._fire = fire

    def done(self, name: str, began: float, failure: str | None = None, size: int = 0) -> None:
        """Something ended that began then, by the monotonic clock, well or with a failure."""
        self._fire(
            request_type="ws",
            name=name,
            response_time=(time.monotonic() - began) * 1e3,
            response_length=size,
            exception=Failure(failure) if failure else None,
            context={},
        )

    def now(self, name: str, failure: str | None = None) -> None:
        """Something happened."""
        self.done(name, time.monotonic(), failure)


class Failure(Exception):
    """The server did something it must not; Locust lists failures by this text."""


class Connection:
    """A viewer's connection, over as many sockets as its life takes.

    lenient         it reads slowly on purpose, so it may be told that it misses something
    receive_buffer  bytes the kernel may keep for it; 0 leaves that to the kernel

    `uid` is who it is; `muted` the rooms it was told that it is muted in.
    """

    def __init__(
        self,
        report: Report,
        url: str,
        books: Books,
        lenient: bool = False,
        receive_buffer: int = 0,
    ) -> None:
        self._report, self._url, self._books = report, url, books
        self._lenient, self._receive_buffer = lenient, receive_buffer
        self._refs = itertools.count(1)
        self._source = Source(os.urandom(6).hex())
        self._socket = websocket.WebSocket()
        self._asked: dict[int, Asked] = {}
        self._unanswered: dict[str, dict[str, Any]] = {}
        self._welcomed, self._hurry = Event(), Event()
        self._hurry.set()
        self._bytes_per_s = 0.0
        self._reader: gevent.Greenlet | None = None
        self._guest = ""
        self.uid = ""
        self.muted: set[str] = set()
        self.watch = Watch(books, lenient)

    # ---- what a viewer does ----

    def connect(self) -> None:
        """Dial and wait to be welcomed. Raises Lost when that fails."""
        began = time.monotonic()
        self._welcomed.clear()
        try:
            url = f"{self._url}?guest={self._guest}" if self._guest else self._url
            size = [(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)]
            self._socket = websocket.create_connection(
                url, timeout=PATIENCE_S, sockopt=size if self._receive_buffer else []
            )
            self._socket.settimeout(None)
        except (OSError, websocket.WebSocketException) as problem:
            self._report.done("connect", began, f"{type(problem).__name__}: {problem}")
            raise Lost from problem
        self._reader = gevent.spawn(self._read)
        if not self._welcomed.wait(PATIENCE_S):
            self._report.done("connect", began, "no welcome")
            raise Lost
        self._report.done("connect", began)

    def join(self, room: str, right: tuple[str, ...] = (OK,), name: str = "join") -> ServerEvent:
        """Join, or resume where we were; the answer."""
        command: dict[str, Any] = {"t": "join", "room": room}
        if since := self.watch.since(room):
            command["since"] = msgspec.to_builtins(since)
        return self.ask(command, name, right)

    def leave(self, room: str) -> None:
        """Leave a room; nothing of it may come afterwards."""
        self.ask({"t": "leave", "room": room}, "leave")

    def page(self, room: str, before: int | None = None) -> Paged | None:
        """A page of a room's history, the newest or that before a seq."""
        command: dict[str, Any] = {"t": "history", "room": room, "limit": 20}
        if before is not None:
            command["before"] = before
        answer = self.ask(command, "history")
        return answer if isinstance(answer, Paged) else None

    def say(self, room: str, words: str) -> None:
        """Type a message; its ack and its deliveries are reported as they come."""
        command = self._message(room, words)
        self._unanswered[command["id"]] = command
        self._put(command, Asked("send→ack", time.monotonic(), text=command["text"]))

    def try_to_say(self, room: str, words: str, right: tuple[str, ...] = (OK,)) -> ServerEvent:
        """Type a message and wait for the answer; where OK is not `right`, it has to be refused."""
        command = self._message(room, words)
        name = "send→ack" if OK in right else f"refused: {right[0]}"
        return self.ask(command, name, right, command["text"])

    def ask(
        self, command: dict[str, Any], name: str, right: tuple[str, ...] = (OK,), text: str = ""
    ) -> ServerEvent:
        """Send a command and wait for its answer. Raises Lost when none comes, or a wrong one."""
        asked = Asked(name, time.monotonic(), right, text, AsyncResult())
        ref = self._put(command, asked)
        try:
            answer: ServerEvent = asked.answer.get(timeout=PATIENCE_S)
        except gevent.Timeout:
            if self._asked.pop(ref, None):
                self._report.done(name, asked.began, "no answer")
            raise Lost from None
        return answer

    def wait_for(self, told: Callable[[], object], name: str) -> None:
        """Wait for what one is to be told. Raises Lost when it does not come."""
        began = time.monotonic()
        while not told():
            if time.monotonic() > began + PATIENCE_S:
                self._report.done(name, began, "was never told")
                raise Lost
            gevent.sleep(POLL_S)
        self._report.done(name, began)

    def slow_down(self, bytes_per_s: float) -> None:
        """Read no more than so much from now on; 0 reads nothing."""
        self._bytes_per_s = bytes_per_s
        self._hurry.clear()

    def hurry(self) -> None:
        """Read as fast as it comes."""
        self._hurry.set()

    def settle(self) -> None:
        """Wait for what is owed, answers and messages; report what does not come."""
        self.hurry()
        goals, deadline = self.watch.goals(), time.monotonic() + PATIENCE_S
        while self._reader or self._lenient:
            missing = self.watch.missing(goals)
            if not (missing or self._asked):
                break
            if time.monotonic() > deadline:
                self._give_up(missing)
                break
            gevent.sleep(POLL_S)

    def _give_up(self, missing: dict[str, int]) -> None:
        for asked in self._asked.values():
            self._report.done(asked.name, asked.began, "no answer")
        for count in missing.values():
            wrong = (
                f"{count} that others were told of never came" if count else "never joined again"
            )
            self._report.now("order", wrong)

    def come_back(self, *rooms: str) -> None:
        """Dial again and resume. What was not answered is said again."""
        self.connect()
        for room in rooms or list(self.watch.positions):
            self.join(room)
        for command in list(self._unanswered.values()):
            self._put(command, Asked("send→ack", time.monotonic(), text=command["text"]))

    def cut(self, abort: bool) -> None:
        """Lose the connection without a word: by a reset, or as a process ends."""
        self._forget_socket()
        if (raw := self._socket.sock) and abort:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.shutdown()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Leave as a browser does."""
        self._forget_socket()
        with suppress(OSError, websocket.WebSocketException):
            self._socket.close(timeout=0)

    def _forget_socket(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.kill()
        self._asked.clear()
        self.watch.cut_off()

    # ---- what goes out ----

    def _message(self, room: str, words: str) -> dict[str, Any]:
        text = self._source.stamp(room, time.monotonic_ns(), words)
        return {"t": "send", "room": room, "text": text, "id": f"{next(self._refs)}"}

    def _put(self, command: dict[str, Any], asked: Asked) -> int:
        ref = next(self._refs)
        self._asked[ref] = asked
        if command["t"] == "history":
            self.watch.paging(command["room"], ref)
        try:
            self._socket.send(json.dumps(command | {"ref": ref}, separators=(",", ":")))
        except (OSError, websocket.WebSocketException) as problem:
            self._asked.pop(ref, None)
            if not self._lenient:
                self._report.done(asked.name, asked.began, f"{type(problem).__name__}: {problem}")
            raise Lost from problem
        return ref

    # ---- what comes back ----

    def _read(self) -> None:
        us, wire, ended, code = gevent.getcurrent(), self._socket, "", NO_CODE
        while not ended:
            try:
                opcode, data = wire.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    code = int.from_bytes(data[:2], "big")
                    ended = f"closed with {code}"
                else:
                    self._on_frame(_decode(data), len(data))
                    self._rest(len(data))
            except (OSError, websocket.WebSocketException) as problem:
                ended = f"{type(problem).__name__}: {problem}"
            except (
                Exception
            ) as problem:  # or a check that is wrong would look like a viewer at rest
                code, ended = 0, f"a frame that cannot be judged: {problem!r}"
        if self._reader is us:  # or else it was we who closed
            self._on_end(code, ended)

    def _rest(self, size: int) -> None:
        """As long as a slow line takes for so many bytes, unless there is hurry."""
        if not self._hurry.is_set():
            self._hurry.wait(size / self._bytes_per_s if self._bytes_per_s else None)

    def _on_end(self, code: int, ended: str) -> None:
        self._reader = None
        for asked in self._asked.values():
            if asked.answer is not None:
                asked.answer.set_exception(Lost())
        self._asked.clear()
        self.watch.cut_off()
        if self._lenient and code in TOO_SLOW:
            self._report.now(f"told: {code}")
            gevent.spawn(self._again)
        else:
            self._report.now("connection", ended)

    def _again(self) -> None:
        with suppress(Lost):
            self.come_back()

    def _on_frame(self, events: list[ServerEvent], size: int) -> None:
        seen = self.watch.take(events)
        self._judge(seen)
        for event in events:
            match event:
                case Ack() | Error() | Joined() | Done() | Paged() | Left(reason=msgspec.UNSET):
                    self._answered(event)
                case Muted(until=int()):
                    self.muted.add(event.room)
                case Muted():
                    self.muted.discard(event.room)
                case Welcome():
                    self._guest, self.uid = event.guest or self._guest, event.uid
                    self._welcomed.set()
                case Bye() if not self._lenient:
                    self._report.now("connection", f"sent away: {event.reason}")
        if seen.oldest:
            self._report.done("delivery", seen.oldest, size=size)

    def _judge(self, seen: Seen) -> None:
        for problem in seen.problems:
            self._report.now("order", problem)
        for told in seen.told:
            self._report.now(told)
        for room in seen.rejoin:
            gevent.spawn(self._rejoin, room)

    def _rejoin(self, room: str) -> None:
        """Ask where a room is, now that something of it is missing."""
        with suppress(Lost):
            self.join(room)

    def _answered(self, event: Any) -> None:
        asked = self._asked.pop(event.ref, None)
        code = str(event.code) if isinstance(event, Error) else OK
        if asked is None:
            if code is not OK:
                self._report.now("unasked", f"refused: {code}")
            return
        if isinstance(event, Ack):
            self._judge(self.watch.acked(event, asked.text))
        if asked.text:
            self._said(asked.text, code)
        wrong = None if code in asked.right else f"refused: {code}" if code != OK else "not refused"
        self._report.done(asked.name, asked.began, wrong)
        if asked.answer is not None:
            asked.answer.set_exception(Lost()) if wrong else asked.answer.set(event)

    def _said(self, text: str, code: str) -> None:
        """It is answered, so it need not be said again; what is refused is owed to nobody."""
        if code != OK:
            self._books.refused.add(text)
        for known, command in self._unanswered.items():
            if command["text"] == text:
                del self._unanswered[known]
                return
