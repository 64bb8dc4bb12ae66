"""What the connections of a group say: bytes off their sockets, to the handler.

Rules. Everyone is heard in turns: one scratch buffer of one connection, then the next one. Nothing
is parsed for who is over; who is closing is listened to for its close only, and that not for long.
A fault of the peer closes it with the fault's code, anything else is ours: logged, and the end of
that one connection.
"""

import random
from collections.abc import Callable

from shard.closecodes import CloseCode, ProtocolError
from shard.connections import CLOSED_ABNORMALLY, Connections
from shard.counters import Count
from shard.inbound import Inbound
from shard.phases import CLOSING, HANDSHAKE, OPEN, QUARANTINED
from shard.settings import Settings
from shard.wires.wire import ALIVE, BINARY, CLOSE, REPLY

# Looked up once: a member of an enum takes 50 ns, and a turn may be one frame.
BYTES_IN, FRAMES_IN, CONTROLS_IN = Count.BYTES_IN, Count.FRAMES_IN, Count.CONTROLS_IN


class Intake(Connections):
    """Connections, and what comes in from them. As Connections."""

    def __init__(
        self,
        settings: Settings,
        counts: "memoryview[int]",
        wake: Callable[[], object],
        chance: random.Random,
        rows: int,
    ) -> None:
        super().__init__(settings, counts, wake, chance, rows)
        self._inbound = Inbound(
            settings.terms.offers, settings.message_bytes, settings.controls_per_tick
        )
        self._reads = 0
        self._bytes_in = 0
        self._events_in = 0

    def _take_request(self, fd: int, size: int) -> None:
        """`size` bytes of a request were received; what comes of them is the group's."""
        raise NotImplementedError

    def _count_heard(self) -> None:
        """What came in since the last time: the scoreboard costs more than the sum."""
        counts, inbound = self._counts, self._inbound
        counts[BYTES_IN] += self._bytes_in
        counts[FRAMES_IN] += self._events_in
        if inbound.controls:
            counts[CONTROLS_IN] += inbound.controls
            inbound.controls = 0
        self._reads = self._bytes_in = self._events_in = 0

    def _read(self, fd: int) -> None:
        self._reads += 1
        size = self._inbound.receive(fd)
        if size is not None:
            self._take_in(fd, size)

    def _take_in(self, fd: int, size: int) -> None:  # hot: once per message from a viewer
        """Take in what was received. Never raises for the connection's sake."""
        if not size:
            self._end(fd, CLOSED_ABNORMALLY)
            return
        phase = self._table.phase[fd]
        self._bytes_in += size
        self._table.seen[fd] = self.tick
        try:
            if phase == HANDSHAKE:
                self._take_request(fd, size)
                return
            variant = self._table.variant[fd]
            inbound, lone = self._inbound, None
            if phase == OPEN and fd not in inbound.partials:
                lone = inbound.lone[variant](inbound.scratch, size)
            if lone is None:
                self._hear(fd, variant, inbound.received(size))
                return
            self._events_in += 1
            kind, payload = lone
            if kind != ALIVE:
                self._handler.on_message(fd, payload, kind == BINARY)
            else:
                inbound.count(fd)
        except ProtocolError as error:
            self._broke(fd, error)
        except Exception:
            self._fail(fd, self._our_fault(fd))

    def _hear(self, fd: int, variant: int, data: bytes | memoryview) -> None:
        """Events in order, until the connection is over; replies go out together."""
        replies: list[bytes] = []
        try:
            for kind, payload in self._inbound.events(fd, variant, data):
                self._events_in += 1
                if kind == CLOSE:
                    self._peer_closes(fd, payload)
                    return
                phase = self._table.phase[fd]
                if phase == QUARANTINED:
                    return
                if phase == CLOSING:
                    self._inbound.count(fd)  # only the peer's close means anything now
                    continue
                if kind == REPLY:
                    replies.append(payload)
                elif kind != ALIVE:
                    self._reply(fd, replies)
                    self._handler.on_message(fd, payload, kind == BINARY)
            self._reply(fd, replies)
        except ProtocolError as error:
            self._reply(fd, replies)
            self._broke(fd, error)

    def _broke(self, fd: int, error: ProtocolError) -> None:
        if error.code is not CloseCode.FLOODING:  # which is counted as what it is
            self._counts[Count.CLOSED_PROTOCOL] += 1
        self._fail(fd, error.code, str(error))

    def _reply(self, fd: int, replies: list[bytes]) -> None:
        if replies and self._table.phase[fd] == OPEN:
            self.send(fd, b"".join(replies))
        replies.clear()
