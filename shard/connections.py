"""The connections of a group: what may be done with those that are open, and how they end.

    OPEN -(close)-> CLOSING -(answered, or in vain)-> QUARANTINED
    OPEN -(lost, failed)--------------------------> QUARANTINED

Rules. Whoever serves the connections calls what is public here and nothing below it. Every phase
after OPEN is entered here. Nothing is freed in the middle of a turn: who has ended is told to the
handler, once, when the group sweeps.

What outlives a turn is kept as a Handle, never as a descriptor.
"""

import logging
import random
import select
import socket
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Final

from pool.handle import Handle
from pool.table import ConnectionTable
from shard import phases, writing
from shard.addresses import canonical
from shard.backlog import Keep
from shard.closecodes import CloseCode
from shard.counters import Count
from shard.deadlines import ASKED, Deadlines
from shard.handler import Handler
from shard.outbox import Flushed, Happened, Outbox, Sent
from shard.phases import CLOSING, HANDSHAKE, OPEN, QUARANTINED
from shard.settings import Settings
from shard.wires.wire import Wire

log = logging.getLogger(__name__)

IN: Final = select.EPOLLIN | select.EPOLLRDHUP
CLOSED_ABNORMALLY: Final = 1006


class Connections:
    """Those of one group.

    counts  a scoreboard row of `shard.counters.Count` fields
    wake    asks for one more turn soon; called when work is left that no descriptor announces
    chance  jitters first deadlines
    rows    size of the table: one more than the largest descriptor that may occur
    """

    def __init__(
        self,
        settings: Settings,
        counts: "memoryview[int]",
        wake: Callable[[], object],
        chance: random.Random,
        rows: int,
    ) -> None:
        self.tick = 0
        self._settings = settings
        self._wires = tuple(offer.wire for offer in settings.terms.offers)
        self._counts = counts
        self._wake = wake
        self._table = ConnectionTable(rows, phases.FOLLOWS, phases.NAMES)
        self._outbox = Outbox(
            self._table,
            counts,
            settings.backlog_soft_bytes,
            settings.backlog_hard_bytes,
            settings.backlog_total_bytes,
            writing.best(),
        )
        self._deadlines = Deadlines(self._table, settings, chance)
        self._handler: Handler
        self._epoll = select.epoll()
        self._left: list[tuple[int, int]] = []
        self._ended: list[int] = []
        self._behind: Mapping[int, str] = {}
        self._connections = 0
        self._in_turn = False
        self._woken = False

    @property
    def connections(self) -> int:
        """Connections accepted and not ended, handshakes included."""
        return self._connections

    @property
    def fanning_out(self) -> bool:
        """Whether a fan-out is unfinished: some have not been sent it yet."""
        return self._outbox.pending

    def fanning_out_in(self, lane: Hashable) -> bool:
        """Whether a fan-out of that lane is unfinished."""
        return self._outbox.pending_in(lane)

    def left_beside(self, lane: Hashable) -> int:
        """Writes that unfinished fan-outs of all other lanes still come to."""
        return self._outbox.left_beside(lane)

    @property
    def backlog_total(self) -> int:
        """Bytes that wait to be sent, of all connections; each counted where it waits."""
        return self._outbox.backlog_bytes

    @property
    def backlog_bound(self) -> int:
        """What `backlog_total` may come to; beyond it the connections with most are closed."""
        return self._settings.backlog_total_bytes

    def backlog(self, fd: int) -> int:
        """Bytes that wait to be sent to `fd`. When there are none any more, after there were, the
        handler's `on_unblocked` is called."""
        return self._outbox.backlog(fd) if fd in self._outbox.slow else 0

    def has_hole(self, fd: int) -> bool:
        """Whether something was left out of what waits for `fd`: when it has read all, the
        handler's `on_caught_up` is called."""
        return self._outbox.has_hole(fd)

    def handle(self, fd: int) -> Handle:
        """What to keep of the connection that has `fd` now."""
        return Handle(fd, self._table.generation[fd])

    def generation(self, fd: int) -> int:
        """That of the handle, without the handle."""
        return self._table.generation[fd]

    def alive(self, handle: Handle) -> bool:
        """Whether it is still that connection, and open."""
        return self._table.phase[handle.fd] == OPEN and self._table.alive(handle)

    def has(self, handle: Handle) -> bool:
        """As `alive`, for a handle that nobody may ever have had."""
        return handle.fd < self._table.capacity and self.alive(handle)

    def is_open(self, fd: int) -> bool:
        """Whether messages may be sent to `fd`."""
        return self._table.phase[fd] == OPEN

    def variant(self, fd: int) -> int:
        """Which of the offers the connection took."""
        return self._table.variant[fd]

    def was_pinged(self, fd: int) -> bool:
        """Whether the connection was ever asked whether it lives."""
        return bool(self._table.flags[fd] & ASKED)

    def address(self, fd: int) -> str:
        """A client's address, as a trusted proxy says it or as it connected; "" for none."""
        return self._behind.get(fd) or peer(fd)

    def become(self, fd: int, variant: int) -> None:
        """The connection turns out to be of another variant, whose wire reads the same."""
        assert type(self._wires[variant]) is type(self._wires[self._table.variant[fd]])
        self._table.variant[fd] = variant

    def open_connections(self) -> list[int]:
        """All connections that messages may be sent to."""
        return [fd for fd, phase in enumerate(self._table.phase) if phase == OPEN]

    def send(self, fd: int, data: bytes, keep: Keep = Keep.ALWAYS, asked: bool = False) -> Sent:
        """Send wrapped messages to one connection. What it `asked` for may be larger than its
        limits, and is sent when it has no backlog."""
        sent = self._outbox.send(fd, data, keep, asked)
        if sent is not Sent.SENT:
            self._act(fd, sent)
            self._bound_backlogs()
        return sent

    def fan_out(
        self,
        fds: Collection[int],
        data: bytes,
        keep: Keep = Keep.NORMAL,
        lane: Hashable = None,
    ) -> None:
        """Send the same wrapped messages to many connections, in order within a lane, a slice a
        turn. Lanes share the turns; what slow readers are spared says `keep`."""
        self._outbox.fan_out(fds, data, keep, lane)
        if self._outbox.pending:
            self._ask_turn()

    def close(self, fd: int, code: CloseCode, reason: str | None = None) -> None:
        """Say farewell and close. Does nothing when the connection is not open.

        Who floods is not listened to any more, not even for its close.
        """
        if self._table.phase[fd] != OPEN:
            return
        if code is CloseCode.FLOODING:
            self._fail(fd, code, reason)
        else:
            wire = self._wire(fd)
            self._leave(fd, code, wire.farewell(code, reason or code.reason))
            if wire.half_closes or fd in self._outbox.slow:
                self._deadlines.closing(fd)
            else:
                self._end(fd, code)

    # --- bytes out -----------------------------------------------------------------------------

    def _act(self, fd: int, sent: Sent) -> None:
        """What follows from what became of data for a connection."""
        if sent is Sent.BLOCKED:
            self._epoll.modify(fd, IN | select.EPOLLOUT)
        elif sent is Sent.LOST:
            self._end(fd, CLOSED_ABNORMALLY)
        elif sent is Sent.OVERFLOWED and self.is_open(fd):
            self._counts[Count.CLOSED_SLOW] += 1
            self.close(fd, CloseCode.SLOW_READER)

    def _act_all(self, happened: Happened) -> None:
        for fd, sent in happened:
            self._act(fd, sent)
        self._bound_backlogs()

    def _bound_backlogs(self) -> None:
        """Give up the largest where all together are too much. They are not waited for: what
        they have of a frame that is half out is to go, too."""
        for fd in self._outbox.surplus():
            self._counts[Count.CLOSED_LARGEST_BACKLOG] += 1
            self._fail(fd, CloseCode.SLOW_READER)

    def _flush(self, fd: int) -> None:
        flushed = self._outbox.flush(fd)
        if flushed is Flushed.LOST:
            self._end(fd, CLOSED_ABNORMALLY)
        elif flushed is not Flushed.WAITING:
            self._epoll.modify(fd, IN)
            if self._table.phase[fd] == CLOSING and not self._wire(fd).half_closes:
                self._end(fd, CloseCode.NORMAL)
            elif self.is_open(fd):
                try:
                    self._handler.on_unblocked(fd)
                    if flushed is Flushed.CAUGHT_UP and self.is_open(fd):
                        self._handler.on_caught_up(fd)
                except Exception:
                    self._fail(fd, self._our_fault(fd))

    # --- end -----------------------------------------------------------------------------------

    def _leave(self, fd: int, code: int, last: bytes) -> None:
        """OPEN to CLOSING: `last` is all that is still sent."""
        self._table.move(fd, CLOSING)
        self._left.append((fd, code))
        if code == CloseCode.FLOODING:
            self._counts[Count.CLOSED_FLOODING] += 1
        sent = self._outbox.send_last(fd, last)
        if sent is Sent.QUEUED:
            self._flush(fd)
        else:
            self._act(fd, sent)
        self._ask_turn()

    def _peer_closes(self, fd: int, payload: bytes) -> None:
        """Answer the peer's close in kind, or take it as the answer to ours."""
        code, last = self._wire(fd).close_reply(payload)
        if self._table.phase[fd] == OPEN:
            self._leave(fd, code, last)
        self._end(fd, code)

    def _fail(self, fd: int, code: CloseCode, reason: str | None = None) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): say why and do not wait for an answer."""
        if self._table.phase[fd] == OPEN:
            self._leave(fd, code, self._wire(fd).farewell(code, reason or code.reason))
        self._end(fd, code)

    def _end(self, fd: int, code: int) -> None:
        """To QUARANTINED, and for the sweep at the end of the turn."""
        phase = self._table.phase[fd]
        if phase not in (HANDSHAKE, OPEN, CLOSING):
            return
        if phase == OPEN:
            self._left.append((fd, code))
        self._outbox.forget(fd)
        self._deadlines.over(fd)
        self._table.retire(fd, QUARANTINED, self.tick)
        self._ended.append(fd)
        self._ask_turn()

    def _tell_the_handler(self) -> None:
        """At a turn's end: the handler forgets who is not open any more."""
        while self._left:
            fd, code = self._left.pop()
            self._counts[Count.CONNECTIONS] -= 1
            try:
                self._handler.on_close(fd, code)
            except Exception:
                log.exception(
                    "the handler failed to forget connection %d", fd, extra=self._about(fd)
                )
                self._counts[Count.HANDLER_ERRORS] += 1

    # --- turns ---------------------------------------------------------------------------------

    def _ask_turn(self) -> None:
        if not self._in_turn and not self._woken:
            self._woken = True
            self._wake()

    def _our_fault(self, fd: int) -> CloseCode:
        """Log and count the exception being handled; what to close the connection with."""
        log.exception("connection %d is closed after an error of ours", fd, extra=self._about(fd))
        self._counts[Count.HANDLER_ERRORS] += 1
        return CloseCode.INTERNAL_ERROR

    def _about(self, fd: int) -> dict[str, str]:
        """Which connection a line is about, as it is called but for the shard's name."""
        return {"connection": f"{self._table.generation[fd]:x}-{fd:x}"}

    def _wire(self, fd: int) -> Wire:
        return self._wires[self._table.variant[fd]]


def peer(fd: int) -> str:
    """The address at a socket's other end; "" where there is none any more."""
    # Which family it is of is told by the answer; to leave it out would be three more calls.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fd)
    try:
        return canonical(sock.getpeername()[0]) or ""
    except OSError:
        return ""
    finally:
        sock.detach()
