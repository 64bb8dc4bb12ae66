"""The connection group: one epoll set, and the life of every connection in it.

    accept -> handshake -> row -> wheel slot -> handler
           -> (bytes in -> messages; data -> bytes out) -> close or expiry -> quarantine -> reuse

Rules. The only file that calls epoll. It knows descriptors and WebSocket frames, not viewers: what
a message means is the Handler's. An idle connection is a table row and a wheel entry, nothing
else; half a request, half a message and a backlog live in dicts keyed by descriptor.

Every turn is bounded: accepts, events, wheel visits, one fan-out slice. Nothing is freed in the
middle of a turn: connections end in `_sweep`, after which the handler has forgotten them.
Exceptions become closes here and nowhere else: ProtocolError with its code, anything else is
logged and closes that one connection.

Danger: the kernel reuses descriptor numbers. A closed connection's descriptor is shut down at once
but held open, in quarantine, for a tick and until no fan-out may name it; the pause also lets the
peer read our close frame before a reset could destroy it.

Time is a tick, one second, passed to `advance`.
"""

import logging
import os
import random
import select
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from pool.buffers import BufferPool
from pool.table import ConnectionTable
from shard import frames, phases, writing
from shard.closecodes import CloseCode
from shard.counters import Count
from shard.deflate import inflate
from shard.door import CROWDED, FULL, LATE, Door
from shard.frames import Event, FrameParser, Partial, ProtocolError
from shard.handler import Handler
from shard.handshake import Answer, Upgrade
from shard.outbox import Outbox, Sent
from shard.phases import CLOSING, HANDSHAKE, OPEN, QUARANTINED
from shard.settings import Settings
from shard.wheel import TimingWheel

log = logging.getLogger(__name__)

MAX_EVENTS: Final = 512
MAX_VISITS: Final = 2048
SCRATCH_BYTES: Final = 65_536

SLEPT_TICKS: Final = 10
"""After so long without a tick it was us who slept: nobody is closed for having been silent."""

IN: Final = select.EPOLLIN | select.EPOLLRDHUP
PINGED: Final = 1
PING: Final = frames.encode(frames.PING, b"")


class ConnectionGroup:
    """All connections of one shard.

    listener  a listening, non-blocking TCP socket; the group accepts from it, never closes it
    counts    a scoreboard row of `shard.counters.Count` fields
    wake      asks for one more `turn` soon; called when work is left that no descriptor announces
    chance    jitters first deadlines
    rows      size of the table: one more than the largest descriptor that may occur
    """

    def __init__(
        self,
        listener: socket.socket,
        settings: Settings,
        counts: "memoryview[int]",
        wake: Callable[[], object],
        chance: random.Random,
        rows: int,
    ) -> None:
        self.tick = 0
        self.table = ConnectionTable(rows)
        self.buffers = BufferPool()
        self.outbox = Outbox(
            self.table,
            counts,
            settings.backlog_soft_bytes,
            settings.backlog_hard_bytes,
            on_blocked=self._watch_writable,
            on_lost=self._lose,
            on_overflow=self._overflow,
            on_caught_up=self._caught_up,
            write_all=writing.best(),
        )
        self._settings = settings
        self._plain = settings.terms.plain
        self._counts = counts
        self._wake = wake
        self._chance = chance
        self._door = Door(listener, settings, rows)
        self._accepting = False
        self._draining = False
        self._handler: Handler
        self._epoll = select.epoll()
        self._wheel = TimingWheel(self.table.due)
        self._wheel_behind = False
        self._parser = FrameParser(self.buffers, settings.message_bytes)
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._into_scratch = [self._scratch]
        self._partials: dict[int, Partial] = {}
        self._left: list[tuple[int, int]] = []
        self._ended: list[int] = []
        self._connections = 0
        self._bytes_in = 0
        self._frames_in = 0
        self._in_turn = False
        self._woken = False
        self._starved = False
        self._slept = False

    def start(self, handler: Handler, tick: int) -> None:
        """Begin to accept; `tick` is the time now."""
        self._handler = handler
        self.tick = self.outbox.tick = tick
        self._wheel.start(tick)
        for gauge in (Count.CONNECTIONS, Count.SLOW_READERS, Count.BACKLOG_BYTES):
            self._counts[gauge] = 0
        self._resume_accepting()

    def fileno(self) -> int:
        """The epoll descriptor: readable when a turn has something to do."""
        return self._epoll.fileno()

    @property
    def connections(self) -> int:
        """Connections accepted and not ended, handshakes included."""
        return self._connections

    @property
    def fanning_out(self) -> bool:
        """Whether a fan-out is unfinished: some have not been sent it yet."""
        return self.outbox.pending

    def is_open(self, fd: int) -> bool:
        """Whether messages may be sent to `fd`."""
        return self.table.phase[fd] == OPEN

    def alive(self, fd: int, generation: int) -> bool:
        """Whether `fd` is still the connection it was, and open."""
        return self.table.phase[fd] == OPEN and self.table.generation[fd] == generation

    def open_connections(self) -> list[int]:
        """All connections that messages may be sent to."""
        return [fd for fd, phase in enumerate(self.table.phase) if phase == OPEN]

    def send(self, fd: int, data: bytes, droppable: bool = False) -> Sent:
        """Send frames to one connection."""
        return self.outbox.send(fd, data, droppable)

    def fan_out(self, fds: Collection[int], data: bytes, droppable: bool = True) -> None:
        """Send the same frames to many connections, in order, a slice a turn."""
        self.outbox.fan_out(fds, data, droppable)
        if self.outbox.pending:
            self._ask_turn()

    def close(self, fd: int, code: CloseCode, reason: str | None = None) -> None:
        """Begin the closing handshake. Does nothing when the connection is not open."""
        if self.table.phase[fd] != OPEN:
            return
        self._leave(fd, code, frames.encode_close(code, reason or code.reason))
        self._wheel.file(fd, self.tick + self._settings.close_ticks)

    def stop_accepting(self) -> None:
        """Accept no more; the listener stays open for whoever holds it."""
        self._draining = True
        self._pause_accepting()

    def shut(self) -> None:
        """End every connection without ceremony and release all descriptors."""
        self.stop_accepting()
        for fd, phase in enumerate(self.table.phase):
            if phase in (HANDSHAKE, OPEN, CLOSING):
                self._end(fd, CloseCode.GOING_AWAY)
        self._sweep()
        for fd in self.table.reclaim(self.tick + 1):
            os.close(fd)
        self.outbox.shut()
        self._epoll.close()

    # --- turns ---------------------------------------------------------------------------------

    def turn(self) -> None:
        """Do what is due, within bounds. Never raises for a connection's sake."""
        if self._epoll.closed:
            return  # asked for before `shut`
        self._in_turn, self._woken = True, False
        try:
            self._turn()
        finally:
            self._in_turn = False
        if self.outbox.pending or self._wheel_behind:
            self._ask_turn()

    def _turn(self) -> None:
        for fd, mask in self._epoll.poll(0, MAX_EVENTS):
            if fd == self._door.fd:
                self._accept()
                continue
            if mask & select.EPOLLOUT:
                self._flush(fd)
            if mask & ~select.EPOLLOUT:
                self._read(fd)
        self._count_in()
        if self._wheel_behind:
            self._visit_due()
        if self.outbox.pending:
            self.outbox.run_slice()
        self._sweep()
        if self._starved and not self.outbox.pending:
            self._starved = False
            self._reclaim(self.tick + 1)

    def advance(self, tick: int) -> None:
        """Time has come to `tick`: visit the wheel, close the stalled, reclaim, then a turn."""
        self._sweep()  # whoever ended since the last turn must not be reclaimed before that
        self._slept = tick - self.tick > SLEPT_TICKS
        self.tick = self.outbox.tick = tick
        self._wheel_behind = True
        for fd in self.outbox.stalled(tick - self._settings.stall_ticks):
            if self.is_open(fd):
                self._counts[Count.CLOSED_STALLED] += 1
                self.close(fd, CloseCode.STALLED)
        self._reclaim(min(tick - 1, self.outbox.oldest_tick))
        if not self._accepting and not self._draining:
            self._resume_accepting()
        self._handler.on_tick(tick)
        self.turn()
        self._counts[Count.SLOW_READERS] = len(self.outbox.slow)
        self._counts[Count.BACKLOG_BYTES] = self.outbox.backlog_bytes
        self._counts[Count.QUARANTINED] = self.table.quarantined

    def _count_in(self) -> None:
        """What came in since the last turn: the scoreboard costs more than the sum."""
        self._counts[Count.BYTES_IN] += self._bytes_in
        self._counts[Count.FRAMES_IN] += self._frames_in
        self._bytes_in = self._frames_in = 0

    def _ask_turn(self) -> None:
        if not self._in_turn and not self._woken:
            self._woken = True
            self._wake()

    def _our_fault(self, fd: int) -> CloseCode:
        """Log and count the exception being handled; what to close the connection with."""
        log.exception("connection %d is closed after an error of ours", fd)
        self._counts[Count.HANDLER_ERRORS] += 1
        return CloseCode.INTERNAL_ERROR

    # --- beginning -----------------------------------------------------------------------------

    def _accept(self) -> None:
        arrivals, trouble = self._door.accept()
        for fd, peer in arrivals:
            if fd >= self.table.capacity or self._connections >= self._settings.capacity:
                self._turn_away(fd, FULL, Count.REFUSED_FULL)
                continue
            if not self._door.greet(fd, peer):
                self._turn_away(fd, CROWDED, Count.REFUSED_PER_ADDRESS)
                continue
            # The request is here already, as a rule; read before epoll could tell of it.
            size = self._receive(fd)
            try:
                self._epoll.register(fd, IN)
            except OSError as error:  # no memory, or beyond fs.epoll.max_user_watches
                self._door.forget(fd)
                self._turn_away(fd, FULL, Count.REFUSED_FULL)
                trouble = error
                continue
            self._counts[Count.ACCEPTED] += 1
            self._connections += 1
            self.table.take(fd, HANDSHAKE, self.tick)
            if size is not None:
                self._digest(fd, size)
            if self.table.phase[fd] == HANDSHAKE:
                # One tick more: the current one has partly gone by.
                self._wheel.file(fd, self.tick + self._settings.handshake_ticks + 1)
        if trouble is not None:
            self._out_of_descriptors(trouble)

    def _turn_away(self, fd: int, reply: Answer, reason: Count) -> None:
        self._counts[reason] += 1
        with suppress(OSError):
            os.write(fd, reply.response)
        os.close(fd)

    def _out_of_descriptors(self, error: OSError) -> None:
        """Cut the quarantine short, or else stop accepting until the next tick.

        The listener stays readable, so trying again at once would only burn the core.
        """
        if self.table.quarantined and not self.outbox.pending:
            self._starved = True
            return
        self._counts[Count.ACCEPT_PAUSED] += 1
        log.warning("not accepting for a moment, %d connections: %s", self._connections, error)
        self._pause_accepting()

    def _pause_accepting(self) -> None:
        if self._accepting:
            self._epoll.unregister(self._door.fd)
            self._accepting = False

    def _resume_accepting(self) -> None:
        try:
            self._epoll.register(self._door.fd, select.EPOLLIN)
        except OSError as error:
            log.warning("not accepting for another second: %s", error)
        else:
            self._accepting = True

    def _request(self, fd: int, data: bytes) -> None:
        """Bytes of a handshake: answer it when it is complete."""
        reply = self._door.hear(fd, data)
        if isinstance(reply, Upgrade):
            self._open(fd, reply)
        elif reply is not None:
            if reply is CROWDED:
                self._counts[Count.REFUSED_PER_ADDRESS] += 1
            elif reply.status != HTTPStatus.OK:
                self._counts[Count.REFUSED_HANDSHAKE] += 1
            self._goodbye(fd, reply)

    def _open(self, fd: int, reply: Upgrade) -> None:
        phases.check(self.table.phase[fd], OPEN)
        self.table.phase[fd] = OPEN
        self.table.variant[fd] = reply.variant
        self._counts[Count.UPGRADED] += 1
        self._counts[Count.CONNECTIONS] += 1
        ping = self._settings.ping_ticks
        self._wheel.cancel(fd)
        # Jitter: those who came together are not pinged together. It lies in `seen`, because a
        # visit before its time only files again.
        self.table.seen[fd] = max(0, self.tick - int(self._chance.random() * ping / 2))
        self._wheel.file(fd, self.table.seen[fd] + ping)
        try:
            opening = self._handler.on_open(fd, reply.request)
        except Exception:
            opening = self._our_fault(fd)
        if isinstance(opening, CloseCode):
            self.send(fd, reply.response)
            self.close(fd, opening)
        else:
            self.send(fd, reply.response + opening)
        if reply.rest:
            self._frames(fd, reply.rest)

    def _goodbye(self, fd: int, reply: Answer) -> None:
        with suppress(OSError):
            os.write(fd, reply.response)
        self._end(fd, CloseCode.NORMAL)

    # --- bytes in ------------------------------------------------------------------------------

    def _flush(self, fd: int) -> None:
        try:
            self.outbox.flush(fd)
        except Exception:
            self._fail(fd, self._our_fault(fd))

    def _read(self, fd: int) -> None:
        size = self._receive(fd)
        if size is not None:
            self._digest(fd, size)

    def _receive(self, fd: int) -> int | None:
        """Fill the scratch: bytes read, 0 when the connection is over, None when there are none."""
        try:
            return os.readv(fd, self._into_scratch)
        except BlockingIOError:
            return None
        except OSError:
            return 0

    def _digest(self, fd: int, size: int) -> None:  # hot: once per inbound frame
        """Take in what was read. Never raises for the connection's sake."""
        phase = self.table.phase[fd]
        if not size:
            self._lose(fd)
            return
        self._bytes_in += size
        self.table.seen[fd] = self.tick
        scratch = self._scratch
        try:
            if phase == OPEN:
                lone = None if fd in self._partials else self._parser.lone(scratch, size)
                if lone is None:
                    self._frames(fd, scratch[:size])
                    return
                self._frames_in += 1
                opcode, payload = lone
                if opcode != frames.PONG:
                    self._handler.on_message(fd, payload, opcode == frames.BINARY)
            elif phase == HANDSHAKE:
                self._request(fd, bytes(scratch[:size]))
            elif phase == CLOSING:
                self._frames(fd, scratch[:size])
        except Exception:
            self._fail(fd, self._our_fault(fd))

    def _frames(self, fd: int, data: bytes | memoryview) -> None:
        events: list[Event] = []
        partial = self._partials.pop(fd, None) if self._partials else None
        fault = None
        try:
            compression = self.table.variant[fd] >= self._plain
            partial = self._parser.feed(data, partial, events, compression)
        except ProtocolError as error:
            # Not the error itself: its traceback holds this frame, which would make a cycle.
            fault, partial = (error.code, str(error)), None
        if partial is not None:
            self._partials[fd] = partial
        self._frames_in += len(events)
        try:
            self._dispatch(fd, events)
        except ProtocolError as error:
            fault = error.code, str(error)
        if fault is not None:
            self._counts[Count.CLOSED_PROTOCOL] += 1
            self._fail(fd, *fault)

    def _dispatch(self, fd: int, events: list[Event]) -> None:
        phase = self.table.phase
        pongs = []
        for opcode, payload in events:
            if opcode == frames.CLOSE:
                self._peer_closes(fd, payload)
                return
            if phase[fd] != OPEN:
                continue
            if opcode == frames.PING:
                pongs.append(frames.encode(frames.PONG, payload))
            elif opcode != frames.PONG:
                if pongs:
                    self.send(fd, b"".join(pongs))
                    pongs.clear()
                if opcode & frames.COMPRESSED:
                    opcode &= ~frames.COMPRESSED
                    payload = inflate(payload, self._settings.message_bytes)
                    if opcode == frames.TEXT:
                        frames.check_utf8(payload)
                self._handler.on_message(fd, payload, opcode == frames.BINARY)
        if pongs:
            self.send(fd, b"".join(pongs))

    # --- deadlines -----------------------------------------------------------------------------

    def _visit_due(self) -> None:
        rows, reached = self._wheel.turn_to(self.tick, MAX_VISITS)
        self._wheel_behind = not reached
        for fd in rows:
            phase = self.table.phase[fd]
            if phase == OPEN:
                self._visit_open(fd)
            elif phase == HANDSHAKE:
                self._counts[Count.REFUSED_HANDSHAKE_TIMEOUT] += 1
                self._goodbye(fd, LATE)
            elif phase == CLOSING:
                self._end(fd, CloseCode.NORMAL)

    def _visit_open(self, fd: int) -> None:
        """Ping the silent, close the dead, file everyone again."""
        silent = self.tick - self.table.seen[fd]
        settings = self._settings
        if silent < settings.ping_ticks:
            self.table.flags[fd] &= ~PINGED
            self._wheel.file(fd, self.table.seen[fd] + settings.ping_ticks)
        elif (
            self.table.flags[fd] & PINGED and silent >= settings.ping_ticks + settings.timeout_ticks
        ):
            if self._slept:
                self._wheel.file(fd, self.tick + settings.timeout_ticks)
                return
            self._counts[Count.CLOSED_HEARTBEAT] += 1
            self.close(fd, CloseCode.HEARTBEAT_TIMEOUT)
        else:
            # For the first time, or silent again since an answer: a timeout may be the longer one.
            self.table.flags[fd] |= PINGED
            self._counts[Count.PINGS] += 1
            self.send(fd, PING)
            self._wheel.file(fd, self.tick + settings.timeout_ticks)

    # --- end -----------------------------------------------------------------------------------

    def _leave(self, fd: int, code: int, last: bytes) -> None:
        """OPEN to CLOSING: `last` is all that is still sent."""
        phases.check(self.table.phase[fd], CLOSING)
        self.table.phase[fd] = CLOSING
        self._left.append((fd, code))
        self.outbox.part(fd, last)
        self._ask_turn()

    def _peer_closes(self, fd: int, payload: bytes) -> None:
        """Answer the peer's close frame in kind, or take it as the answer to ours."""
        code, _ = frames.parse_close(payload)
        if self.table.phase[fd] == OPEN:
            last = frames.encode_close(code) if payload else frames.encode(frames.CLOSE, b"")
            self._leave(fd, code, last)
        self._end(fd, code)

    def _fail(self, fd: int, code: CloseCode, reason: str | None = None) -> None:
        """Fail the connection (RFC 6455 section 7.1.7): say why and do not wait for an answer."""
        if self.table.phase[fd] == OPEN:
            self._leave(fd, code, frames.encode_close(code, reason or code.reason))
        self._end(fd, code)

    def _overflow(self, fd: int) -> None:
        self._counts[Count.CLOSED_SLOW] += 1
        self.close(fd, CloseCode.SLOW_READER)

    def _caught_up(self, fd: int) -> None:
        if self.table.phase[fd] == OPEN:
            self._handler.on_caught_up(fd)

    def _lose(self, fd: int) -> None:
        self._end(fd, 1006)

    def _end(self, fd: int, code: int) -> None:
        """To QUARANTINED, and for the sweep at the end of the turn."""
        phase = self.table.phase[fd]
        if phase not in (HANDSHAKE, OPEN, CLOSING):
            return
        if phase == OPEN:
            self._left.append((fd, code))
        self.outbox.forget(fd)
        self._wheel.cancel(fd)
        self.table.retire(fd, QUARANTINED, self.tick)
        self._ended.append(fd)
        self._ask_turn()

    def _sweep(self) -> None:
        """The one place where connections are let go of."""
        while self._left:
            fd, code = self._left.pop()
            self._counts[Count.CONNECTIONS] -= 1
            try:
                self._handler.on_close(fd, code)
            except Exception:
                log.exception("the handler failed to forget connection %d", fd)
                self._counts[Count.HANDLER_ERRORS] += 1
        while self._ended:
            fd = self._ended.pop()
            self._connections -= 1
            self._counts[Count.CLOSED] += 1
            self._epoll.unregister(fd)
            _shut_down(fd)
            self._door.forget(fd)
            partial = self._partials.pop(fd, None)
            if partial is not None:
                self._parser.discard(partial)
        self.outbox.settle()

    def _reclaim(self, before: int) -> None:
        for fd in self.table.reclaim(before):
            self.outbox.readmit(fd)
            os.close(fd)

    def _watch_writable(self, fd: int, wanted: bool) -> None:
        self._epoll.modify(fd, IN | select.EPOLLOUT if wanted else IN)


def _shut_down(fd: int) -> None:
    """Send FIN behind what is queued; the descriptor stays ours."""
    # The family is not looked at by shutdown, and naming it spares three system calls.
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the peer was first
    finally:
        connection.detach()
