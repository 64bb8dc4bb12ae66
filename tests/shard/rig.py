"""A connection group on a real loopback socket, driven by hand, and clients to speak to it.

Rules. No asyncio, no threads, no sleeps: `run_until` turns the group only when its descriptor is
readable or it asked to be woken, as a loop would, and gives up after a bound. Time is `advance`.
A client queues what it sends and reads what came whenever the rig steps, unless `reading` is off.

Leaving the `with` block closes everything and checks what must hold after any test: every opened
connection was closed exactly once, no buffer is on loan, nothing is kept of anyone, and nothing of
ours failed but what the test announced in `faults`.
"""

import random
import select
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pool.scoreboard import Scoreboard
from shard.counters import FIELDS, GAUGES, Count
from shard.frames import CLOSE
from shard.group import ConnectionGroup
from shard.handler import Opening
from shard.handshake import END_OF_HEADERS, Request
from shard.listen import listen
from shard.settings import Settings
from tests.patience import PATIENCE_S
from tests.shard.wire import REQUEST, Message, client_frame, server_frames, terms


class Client:
    """A socket that never blocks; `fd` is the server's descriptor of it once it is open."""

    def __init__(
        self, address: tuple[str, int], receive_buffer: int = 0, source: str = "127.0.0.1"
    ) -> None:
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.fd = -1
        self.received = b""
        self.unsent = b""
        self.ended = False
        self.reading = True

    def send(self, data: bytes) -> None:
        """Queue `data` and send what the kernel takes."""
        self.unsent += data
        self._send_unsent()

    def step(self) -> None:
        """Send and read what is possible now."""
        self._send_unsent()
        while self.reading and not self.ended:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            self.received += data
            self.ended = not data

    def _send_unsent(self) -> None:
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.unsent = b""

    @property
    def status(self) -> int:
        """The HTTP status that came, 0 when none has come in full."""
        head, found, _ = self.received.partition(END_OF_HEADERS)
        return int(head.split(b" ", 2)[1]) if found else 0

    @property
    def stream(self) -> bytes:
        """What came after the response's headers."""
        return self.received.partition(END_OF_HEADERS)[2]

    @property
    def messages(self) -> list[Message]:
        """The whole frames that came."""
        return server_frames(self.stream)[0]

    @property
    def close_code(self) -> int:
        """The code of the close frame that came last; 0 when the last frame is another."""
        messages = self.messages
        if not messages or messages[-1][0] != CLOSE:
            return 0
        return int.from_bytes(messages[-1][1][:2], "big") or 1005

    def vanish(self) -> None:
        """Go away with a reset instead of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
        self.reading, self.unsent, self.ended = False, b"", True

    def close(self) -> None:
        self.socket.close()


class Recorder:
    """A handler that writes down what it is told."""

    def __init__(self) -> None:
        self.opening: Opening = b""
        self.requests: list[Request] = []
        self.opened: list[int] = []
        self.messages: list[tuple[int, bytes, bool]] = []
        self.closed: list[tuple[int, int]] = []
        self.ticks: list[int] = []
        self.caught_up: list[int] = []
        self.unblocked: list[int] = []
        self.sent_at: dict[int, int] = {}

    def on_open(self, fd: int, request: Request) -> Opening:
        self.opened.append(fd)
        self.requests.append(request)
        return self.opening

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        self.messages.append((fd, payload, binary))

    def on_unblocked(self, fd: int) -> None:
        self.unblocked.append(fd)

    def on_caught_up(self, fd: int) -> None:
        self.caught_up.append(fd)

    def on_close(self, fd: int, code: int) -> None:
        self.closed.append((fd, code))

    def on_tick(self, tick: int) -> None:
        self.ticks.append(tick)

    def lately_sent(self, fd: int, since: int) -> bool:
        return self.sent_at.get(fd, 0) > since

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload, _ in self.messages]


class Chance(random.Random):
    """Chance that says `value`, so deadlines are exact."""

    value = 0.0

    def random(self) -> float:
        return self.value


class Counted:
    """A scoreboard row that a former process has written to, and what was counted since."""

    FORMER = 7

    def __init__(self) -> None:
        self.row = Scoreboard(FIELDS, 1).row(0)
        for count in Count:
            self.row[count] = self.FORMER

    def __getitem__(self, count: Count) -> int:
        return self.row[count] - (0 if FIELDS[count] in GAUGES else self.FORMER)


class Rig:
    """A group, its listener, its handler and its clients. `limits` go into Settings."""

    def __init__(
        self,
        handler: Recorder | None = None,
        *,
        send_buffer: int = 1 << 16,
        dead_after_s: int = 0,
        **limits: Any,
    ) -> None:
        self.handler = handler or Recorder()
        self.listener = listen("127.0.0.1", 0, 128, send_buffer, dead_after_s)
        self.address = self.listener.getsockname()
        self.counts = Counted()
        self.faults = 0
        self.wakes = 0
        self.tick = 1000
        self.chance = Chance()
        self.clients: list[Client] = []
        self.group = ConnectionGroup(
            self.listener,
            Settings(**({"terms": terms()} | limits)),
            self.counts.row,
            wake=self._wake,
            chance=self.chance,
            rows=4096,
        )
        self._woken = False
        self._poll = select.poll()
        self._poll.register(self.group.fileno(), select.POLLIN)

    def __enter__(self) -> "Rig":
        self.group.start(self.handler, self.tick)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.close()
        self.group.shut()
        self.listener.close()
        if error is None:
            opened, closed = self.handler.opened, [fd for fd, _ in self.handler.closed]
            assert sorted(opened) == sorted(closed), "on_close is called once per on_open"
            assert not self.group._inbound.buffers.on_loan
            assert not self.group._inbound.partials
            assert not self.group._door._unfinished
            assert not self.group._door._proxied
            assert not self.group._door.behind
            assert not self.group._door.passed
            assert not self.group._door._per_address._clients
            assert not self.group._outbox.slow
            assert not self.group._deadlines._half_open
            assert self.group.backlog_total == 0
            assert self.group.connections == 0
            assert self.counts[Count.CONNECTIONS] == 0
            assert self.counts[Count.HANDLER_ERRORS] == self.faults

    def _wake(self) -> None:
        self._woken = True
        self.wakes += 1

    def step(self, wait_ms: int = 0) -> bool:
        """One turn, if there is a reason for one; then let the clients read. Whether there was."""
        due = self._woken or bool(self._poll.poll(wait_ms))
        if due:
            self._woken = False
            self.group.turn()
        for client in self.clients:
            client.step()
        return due

    def run_until(self, condition: Callable[[], object]) -> None:
        """Turn until `condition` holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "what was waited for never came"
            self.step(wait_ms=5)

    def settle(self) -> None:
        """Turn until there is nothing left to do."""
        for _ in range(100_000):
            if not self.step():
                return
        raise AssertionError("the group always finds something to do")

    def advance(self, ticks: int = 1) -> None:
        """Let `ticks` seconds pass, one by one."""
        for _ in range(ticks):
            self.tick += 1
            self.group.advance(self.tick)
            self.settle()

    def connect(self, receive_buffer: int = 0, source: str = "127.0.0.1") -> Client:
        """A TCP connection, no more."""
        client = Client(self.address, receive_buffer, source)
        self.clients.append(client)
        return client

    def open(self, request: bytes = REQUEST, receive_buffer: int = 0) -> Client:
        """A connection that was let in."""
        client = self.connect(receive_buffer)
        before = len(self.handler.opened)
        client.send(request)
        self.run_until(lambda: client.status)
        assert client.status == 101
        [client.fd] = self.handler.opened[before:]
        return client

    def say(self, client: Client, data: bytes) -> None:
        """Send `data` and turn until the group has read it."""
        total = self.counts[Count.BYTES_IN] + len(data)
        client.send(data)
        self.run_until(lambda: self.counts[Count.BYTES_IN] >= total)

    def serves_others(self) -> bool:
        """Whether a newcomer is let in and heard."""
        client = self.open()
        client.send(client_frame(2, b"are you there"))
        self.run_until(lambda: (client.fd, b"are you there", True) in self.handler.messages)
        return True
