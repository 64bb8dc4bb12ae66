"""The connection group: one epoll set, and the life of every connection in it.

    accept -> handshake -> row -> wheel slot -> handler
           -> (bytes in -> messages; data -> bytes out) -> close or expiry -> quarantine -> reuse

Rules. It knows descriptors and events, not viewers: what a message means is the Handler's, what
bytes mean the wire's. The door, what comes in, what goes out and what is due when return what
happened; what follows from it for a connection is decided here and in `connections`. An idle
connection is a table row and a wheel entry, nothing else.

Every turn is bounded: accepts, what comes in, wheel visits, one fan-out slice. Connections that
have something to say take turns, a scratch buffer each; where that comes to more than MAX_WORK, the
rest of them are first in the next turn. Nothing is freed in the middle of a turn: connections end
in `_sweep`, after which the handler has forgotten them. Exceptions become closes here and in
`intake`: ProtocolError with its code, anything else is logged and closes that one connection.

Danger: the kernel reuses descriptor numbers. A closed connection's descriptor is shut down at once
but held open, in quarantine, for a tick and until no fan-out may name it; the pause also lets the
peer read our farewell before a reset could destroy it.

Time is a tick, one second, passed to `advance`.
"""

import logging
import os
import random
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pool.table import FREE
from shard.accepting import Accepting, Share
from shard.backlog import Keep
from shard.closecodes import CloseCode
from shard.connections import IN
from shard.counters import Count
from shard.deadlines import Due
from shard.door import FULL, LATE, Door
from shard.handler import Handler
from shard.handshake import Accepted, Answer
from shard.intake import Intake
from shard.levels import Levels
from shard.phases import CLOSING, HANDSHAKE, OPEN, QUARANTINED
from shard.settings import Settings

log = logging.getLogger(__name__)

# Looked up once: a member of an enum takes 50 ns, and a crowd may come at once.
ACCEPTED, UPGRADED, CONNECTIONS = Count.ACCEPTED, Count.UPGRADED, Count.CONNECTIONS

GONE: Final = (FREE, QUARANTINED)
SILENCE: Final = (Due.PING, Due.SILENT)

MAX_EVENTS: Final = 512

MAX_WORK: Final = 512
"""Reads and frames a turn, some 5 ms of them: the longest a fan-out waits for those who talk."""
REQUEST_WORK: Final = 8
"""A request costs as much as so many frames."""
MAKES_ROOM_FOR: Final = 16
"""How many may come to a full shard in a turn because others have not made their request."""


class ConnectionGroup(Intake):
    """All connections of one shard, and the turns that serve them.

    listener  a listening, non-blocking TCP socket; the group accepts from it, never closes it
    share     its part in that, where other shards accept from it, too

    The rest as in Intake.
    """

    def __init__(
        self,
        listener: socket.socket,
        settings: Settings,
        counts: "memoryview[int]",
        wake: Callable[[], object],
        chance: random.Random,
        rows: int,
        share: Share | None = None,
    ) -> None:
        super().__init__(settings, counts, wake, chance, rows)
        self._door = Door(listener, settings, rows, counts)
        self._behind = self._door.behind
        self._accepting = Accepting(
            self._epoll, listener, settings.capacity, share or Share(Levels(1))
        )
        self._requests = self._opened = 0
        self._waiting: list[tuple[int, int]] = []
        self._starved = False

    def start(self, handler: Handler, tick: int) -> None:
        """Begin to accept; `tick` is the time now."""
        self._handler = handler
        self.tick = self._outbox.tick = tick
        self._deadlines.start(tick)
        for gauge in (Count.CONNECTIONS, Count.SLOW_READERS, Count.BACKLOG_BYTES):
            self._counts[gauge] = 0
        self._accepting.start(tick)

    def fileno(self) -> int:
        """The epoll descriptor: readable when a turn has something to do."""
        return self._epoll.fileno()

    def allow_origins(self, origins: Sequence[str]) -> None:
        """Pages from there may connect from now on, and no others."""
        self._door.allow_origins(origins)

    def turn_newcomers_away(self) -> None:
        """Let nobody in any more: who comes is other shards', or told so if there are none. Health
        is still asked for and answered."""
        self._door.leave()
        self._accepting.leave()

    def stop_accepting(self) -> None:
        """Accept no more; the listener stays open for whoever holds it."""
        self._accepting.stop()

    def shut(self) -> None:
        """End every connection without ceremony and release all descriptors."""
        self.stop_accepting()
        for fd, phase in enumerate(self._table.phase):
            if phase in (HANDSHAKE, OPEN, CLOSING):
                self._end(fd, CloseCode.GOING_AWAY)
        self._sweep()
        for fd in self._table.reclaim(self.tick + 1):
            os.close(fd)
        self._door.shut()
        self._outbox.shut()
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
        if self._outbox.pending or self._deadlines.behind or self._waiting:
            self._ask_turn()

    def _turn(self) -> None:
        self._take_turns()
        self._count_heard()
        # Not before everybody was heard: what has come in time is in time.
        if self._deadlines.behind and not self._waiting:
            self._meet_deadlines()
        if self._outbox.pending:
            self._act_all(self._outbox.run_slice())
        self._sweep()
        if self._starved and not self._outbox.pending:
            self._starved = False
            self._reclaim(self.tick + 1)

    def _take_turns(self) -> None:
        """Everyone of whom epoll tells, as far as a turn's work allows, and then who is left."""
        ready = iter(self._waiting or self._epoll.poll(0, MAX_EVENTS))
        self._requests = 0
        for fd, mask in ready:
            if self._table.phase[fd] not in GONE:
                if mask & select.EPOLLOUT:
                    self._flush(fd)
                if mask & ~select.EPOLLOUT:
                    self._read(fd)
            elif fd == self._accepting.fd:
                self._accept()
            elif fd == self._accepting.bell:
                self._accepting.look()
            # Else it has ended since epoll told of it.
            if self._worked_enough:
                break
        self._waiting = list(ready)

    @property
    def _worked_enough(self) -> bool:
        work = self._reads + self._events_in + self._inbound.controls
        return work + self._requests * REQUEST_WORK >= MAX_WORK

    def advance(self, tick: int) -> None:
        """Time has come to `tick`: visit the wheel, close the stalled, reclaim, then a turn."""
        self._sweep()  # whoever ended since the last turn must not be reclaimed before that
        self._inbound.pass_time(tick - self.tick)
        self.tick = self._outbox.tick = tick
        self._deadlines.advance(tick)
        self._close_stalled()
        self._reclaim(min(tick - 1, self._outbox.oldest_tick))
        self._accepting.advance(tick)
        self._handler.on_tick(tick)
        self.turn()
        self._counts[Count.SLOW_READERS] = len(self._outbox.slow)
        self._counts[Count.BACKLOG_BYTES] = self._outbox.backlog_bytes
        self._counts[Count.QUARANTINED] = self._table.quarantined

    def _close_stalled(self) -> None:
        stall = self._settings.stall_ticks
        if self._deadlines.awake(stall):
            for fd in self._outbox.stalled(self.tick - stall):
                if self.is_open(fd):
                    self._counts[Count.CLOSED_STALLED] += 1
                    self.close(fd, CloseCode.STALLED)

    # --- beginning -----------------------------------------------------------------------------

    def _accept(self) -> None:
        most = self._accepting.most()
        if not most:
            return
        if self._connections >= self._settings.capacity and self._make_room():
            return  # next turn, for those who wait
        arrivals, trouble = self._door.arrivals(self._connections, most)
        # Before they are answered: the next shard takes its turn meanwhile.
        self._accepting.took(self._connections + len(arrivals))
        accepted = len(arrivals)
        for fd in arrivals:
            # The request is here already, as a rule; read before epoll could tell of it.
            size = None if self._worked_enough else self._inbound.receive(fd)
            try:
                self._epoll.register(fd, IN)
            except OSError as error:  # no memory, or beyond fs.epoll.max_user_watches
                self._door.turn_away(fd)
                accepted -= 1
                trouble = error
                continue
            self._connections += 1
            self._table.take(fd, HANDSHAKE, self.tick)
            if size is not None:
                self._take_in(fd, size)
            if self._table.phase[fd] == HANDSHAKE:
                self._deadlines.arrived(fd)
        self._counts[ACCEPTED] += accepted
        if trouble is not None:
            self._out_of_descriptors(trouble)

    def _make_room(self) -> bool:
        """Full: end some who have been here for long and have not made their request; whether
        there were any. So nobody fills a shard by saying nothing."""
        ended = 0
        for fd in self._deadlines.half_open(MAKES_ROOM_FOR):
            self._read(fd)  # it may have, and waited for its turn
            if self._table.phase[fd] == HANDSHAKE:
                self._answer(fd, FULL)
                ended += 1
        self._counts[Count.REFUSED_FULL] += ended
        return ended > 0

    def _out_of_descriptors(self, error: OSError) -> None:
        """Cut the quarantine short, or else leave them to other shards, or else turn away, or else
        stop accepting until the next tick.

        The listener stays readable, so trying again at once would only burn the core.
        """
        self._accepting.count(self._connections)
        if self._table.quarantined and not self._outbox.pending:
            self._starved = True
            return
        if self._accepting.give_way() or self._door.turn_away_waiting(error):
            return
        self._counts[Count.ACCEPT_PAUSED] += 1
        log.warning("not accepting for a moment, %d connections: %s", self._connections, error)
        self._accepting.pause()

    def _open(self, fd: int, accepted: Accepted) -> None:
        self._table.move(fd, OPEN)
        self._table.variant[fd] = accepted.variant
        self._opened += 1
        self._deadlines.opened(fd)
        try:
            opening = self._handler.on_open(fd, accepted.request)
        except Exception:
            fault = self._our_fault(fd)
            opening = fault, fault.reason
        if isinstance(opening, Answer):
            self._answer(fd, opening)
        elif isinstance(opening, tuple):
            self.send(fd, accepted.response)
            self.close(fd, *opening)
        else:
            self.send(fd, accepted.response + opening, asked=True)
        if accepted.rest:
            self._hear(fd, accepted.variant, accepted.rest)

    def _count_opened(self) -> None:
        """Who was let in since the last time: likewise a sum, which costs less."""
        if self._opened:
            self._counts[UPGRADED] += self._opened
            self._counts[CONNECTIONS] += self._opened
            self._opened = 0

    def _answer(self, fd: int, reply: Answer) -> None:
        """It will be no connection: say why, and end."""
        with suppress(OSError):
            os.write(fd, reply.response)
        self._end(fd, CloseCode.NORMAL)

    # --- requests ------------------------------------------------------------------------------

    def _take_request(self, fd: int, size: int) -> None:
        reply = self._door.request(fd, bytes(self._inbound.received(size)))
        if reply is None:
            return
        self._requests += 1
        if isinstance(reply, Accepted):
            self._open(fd, reply)
        else:
            self._answer(fd, reply)

    # --- deadlines -----------------------------------------------------------------------------

    def _meet_deadlines(self) -> None:
        pings: dict[bytes, list[int]] = {}
        for fd, due in self._deadlines.due():
            if due in SILENCE and self._spared(fd, due):
                self._deadlines.spare(fd)
            elif due is Due.PING:
                pings.setdefault(self._wire(fd).ping, []).append(fd)
            elif due is Due.SILENT:
                self._counts[Count.CLOSED_HEARTBEAT] += 1
                self.close(fd, CloseCode.HEARTBEAT_TIMEOUT)
            elif due is Due.LATE:
                self._counts[Count.REFUSED_HANDSHAKE_TIMEOUT] += 1
                self._answer(fd, LATE)
            else:
                self._end(fd, CloseCode.NORMAL)
        for ping, fds in pings.items():
            self._counts[Count.PINGS] += len(fds)
            self.fan_out(fds, ping, Keep.ALWAYS, ping)

    def _spared(self, fd: int, due: Due) -> bool:
        """Whether the silent is judged by others: who does not read, by the stall limit; who was
        sent something, by TCP."""
        if fd in self._outbox.slow:
            return True  # a ping would wait behind what it has not read
        if due is Due.SILENT or not self._settings.trust_tcp or not self._wire(fd).answers_pings:
            return False
        try:
            return self._handler.lately_sent(fd, self.tick - self._settings.ping_ticks)
        except Exception:
            self._fail(fd, self._our_fault(fd))
            return True

    # --- end -----------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """The one place where connections are let go of. Who was let in is counted before."""
        self._count_opened()
        self._tell_the_handler()
        if self._ended:
            self._accepting.count(self._connections - len(self._ended))
        while self._ended:
            fd = self._ended.pop()
            self._connections -= 1
            self._counts[Count.CLOSED] += 1
            self._epoll.unregister(fd)
            if fd in self._door.passed:
                self._door.let_go(fd)
            else:
                _shut_down(fd)
            self._door.forget(fd)
            self._inbound.forget(fd, self._table.variant[fd])
        self._outbox.end_turn()

    def _reclaim(self, before: int) -> None:
        for fd in self._table.reclaim(before):
            self._outbox.readmit(fd)
            os.close(fd)


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
