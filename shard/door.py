"""The way in: connections off the listener, and requests until they are whole.

    arrivals -> (PROXY header, from a trusted proxy) -> request -> Accepted, Answer, or passed on

Rules. Decided here are sizes, how many there may be, and how many from one address; who else gets
in is `handshake`'s, what becomes of a connection is the group's. Whoever finds no place is told so
and counted at once. A connection whose request came in one piece, as nearly all do, leaves no trace
but its address's count.

One descriptor is kept in reserve: where there are no others, it is lent to those who wait, one
after the other, for as long as it takes to tell them.

Danger: an address is only what a trusted proxy says it is. Trust is settled on arrival, by who
connected, before a byte is looked at; from everyone else such headers mean nothing.
"""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from shard.addresses import Networks, PerAddress, forwarded
from shard.connections import peer
from shard.counters import Count
from shard.handshake import END_OF_HEADERS, Accepted, Answer, Elsewhere, Terms, answer
from shard.passing import BUSY, DOWN, PASSED, Passing
from shard.proxyprotocol import BadProxyHeader, parse
from shard.settings import Settings
from shard.upgradecache import UpgradeCache

MOST_TOLD: Final = 64
"""Who are told in a turn that there are no descriptors."""
MAX_PIECES: Final = 1_024
REQUEST_BYTES: Final = 8_192
NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)

FULL: Final = answer(HTTPStatus.SERVICE_UNAVAILABLE, "no room here now", "Retry-After: 5")
LATE: Final = answer(HTTPStatus.REQUEST_TIMEOUT, "the request took too long")
LONG: Final = answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too long"
)
CROWDED: Final = answer(
    HTTPStatus.TOO_MANY_REQUESTS, "too many connections from this address", "Retry-After: 30"
)
PIECES: Final = answer(HTTPStatus.BAD_REQUEST, "the request came in far too many pieces")
UNPROXIED: Final = answer(
    HTTPStatus.BAD_REQUEST, "a trusted proxy has to begin with a PROXY protocol header"
)


class Door:
    """One listener's, for `rows` descriptors.

    behind  clients of trusted proxies, by descriptor, as these say; other clients are who connected
    passed  descriptors that another process has now, until they are forgotten
    """

    def __init__(
        self, listener: socket.socket, settings: Settings, rows: int, counts: "memoryview[int]"
    ) -> None:
        self._listener = listener
        self._rows = rows
        self._capacity = settings.capacity
        self._counts = counts
        self._terms = settings.terms
        self._upgrades = UpgradeCache(self._terms)
        self._handshake_bytes = settings.handshake_bytes
        self._per_address = PerAddress(settings.connections_per_address, rows)
        self._trusted = Networks(settings.trusted_proxies)
        self._expects_header = settings.client_address == "proxy-protocol"
        self._direct = settings.client_address == "connection"
        self.behind: dict[int, str] = {}
        self._proxied: dict[int, str] = {}
        self._unfinished: dict[int, tuple[bytes, int]] = {}
        self._passing = Passing(settings.pass_to) if settings.pass_to else None
        self.passed: set[int] = set()
        self._reserve = -1
        self._keep_reserve()

    def arrivals(self, connections: int, most: int) -> tuple[list[int], OSError | None]:
        """At most so many of the connections that wait, non-blocking, beside `connections` that are
        here; and why there are no more, if that is trouble. `forget` each at its end."""
        fds: list[int] = []
        self._keep_reserve()
        for _ in range(most):
            try:
                # accept() would wrap the descriptor in an object, only for us to detach it.
                fd, peer = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                break
            except ConnectionAbortedError:
                continue  # it left while it waited in the queue
            except OSError as error:
                return fds, error
            os.set_blocking(fd, False)
            if fd >= self._rows or connections + len(fds) >= self._capacity:
                self.turn_away(fd)
            elif not self._may_enter(fd, peer[0]):
                self._counts[Count.REFUSED_PER_ADDRESS] += 1
                _refuse(fd, CROWDED)
            else:
                fds.append(fd)
        return fds, None

    def turn_away_waiting(self, trouble: OSError) -> bool:
        """There are no descriptors for those who wait: tell some of them, and whether that could be
        done."""
        told = 0
        while trouble.errno in NO_DESCRIPTORS and told < MOST_TOLD and self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
            try:
                fd, _ = self._listener._accept()  # type: ignore[attr-defined]
                os.set_blocking(fd, False)
                self.turn_away(fd)
                told += 1
            except OSError:
                break  # nobody waits any more, or somebody else took it
            finally:
                self._keep_reserve()
        return told > 0

    def _keep_reserve(self) -> None:
        if self._reserve < 0:
            with suppress(OSError):  # somebody took it; the next who leaves makes room
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def shut(self) -> None:
        """Nobody comes in any more."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        if self._passing is not None:
            self._passing.shut()

    def turn_away(self, fd: int) -> None:
        """There is no place for this arrival."""
        self._counts[Count.REFUSED_FULL] += 1
        self.forget(fd)
        _refuse(fd, FULL)

    def _may_enter(self, fd: int, peer: str) -> bool:
        if self._direct or peer not in self._trusted:
            return self._per_address.enter(fd, peer)
        self._proxied[fd] = peer
        return True

    def request(self, fd: int, data: bytes) -> Accepted | Answer | None:
        """Bytes of a request: what to say to it, or None while it is not whole. PASSED says
        nothing: another process will."""
        reply = self._reply(fd, data)
        if isinstance(reply, Answer):
            self._count(reply)
        return reply

    def _count(self, reply: Answer) -> None:
        if reply is PASSED:
            self._counts[Count.PASSED] += 1
        elif reply is DOWN:
            self._counts[Count.REFUSED_PASS_DOWN] += 1
        elif reply is BUSY:
            self._counts[Count.REFUSED_PASS_FULL] += 1
        elif reply is CROWDED:
            self._counts[Count.REFUSED_PER_ADDRESS] += 1
        elif reply.status != HTTPStatus.OK:
            self._counts[Count.REFUSED_HANDSHAKE] += 1

    def _reply(self, fd: int, data: bytes) -> Accepted | Answer | None:
        pieces = 0
        if self._unfinished:
            before, pieces = self._unfinished.pop(fd, (b"", 0))
            data = before + data
        if self._expects_header and fd in self._proxied:
            try:
                header = parse(data)
            except BadProxyHeader:
                return UNPROXIED
            if header is None:
                return self._wait(fd, data, pieces + 1)
            if not self._enter_behind(fd, header.source):
                return CROWDED
            data = data[header.size :]
        end = data.find(END_OF_HEADERS)
        # Of what has no end yet the last three bytes may be the beginning of it.
        if (len(data) - 3 if end < 0 else end) > self._handshake_bytes:
            return LONG
        if end < 0:
            return self._wait(fd, data, pieces + 1)
        reply = self._upgrades.respond(data, end)
        if self._proxied and fd in self._proxied and not isinstance(reply, Answer):
            by = _forwarded(reply)
            if not self._enter_behind(fd, forwarded(by, self._proxied[fd], self._trusted)):
                return CROWDED
        if isinstance(reply, Elsewhere):
            return self._pass(fd, data, reply.otherwise)
        return reply

    def _pass(self, fd: int, data: bytes, otherwise: Answer) -> Answer:
        """Have another process answer that, if there is one."""
        if self._passing is None:
            return otherwise
        reply = self._passing.hand_over(fd, self.behind.get(fd) or peer(fd), data)
        if reply is PASSED:
            self.passed.add(fd)
        return reply

    def let_go(self, fd: int) -> None:
        """Of a connection that was passed; epoll does not know it any more."""
        assert self._passing is not None
        self._passing.let_go(fd)

    def _wait(self, fd: int, data: bytes, pieces: int) -> Answer | None:
        """It is not whole. Every piece costs a read, so there may not be as many as bytes."""
        if pieces > MAX_PIECES:
            return PIECES
        self._unfinished[fd] = data, pieces
        return None

    def _enter_behind(self, fd: int, client: str | None) -> bool:
        """A proxy has said who its client is (None: itself); whether it may go on."""
        proxy = self._proxied.pop(fd)
        if client:
            self.behind[fd] = client
        return self._per_address.enter(fd, client or proxy)

    def leave(self) -> None:
        """Let nobody in any more; who comes is told."""
        self._agree_to(replace(self._terms, leaving=True))

    def allow_origins(self, origins: Sequence[str]) -> None:
        """Pages from there may connect from now on, and no others."""
        self._agree_to(replace(self._terms, origins=origins))

    def _agree_to(self, terms: Terms) -> None:
        self._terms = terms
        self._upgrades = UpgradeCache(terms)  # what was learnt of the old ones does not hold

    def forget(self, fd: int) -> None:
        """The connection is over."""
        self._per_address.leave(fd)
        if self.passed:
            self.passed.discard(fd)
        if self._unfinished:
            self._unfinished.pop(fd, None)
        if self._proxied:
            self._proxied.pop(fd, None)
        if self.behind:
            self.behind.pop(fd, None)


def _forwarded(reply: Accepted | Elsewhere) -> str | None:
    if isinstance(reply, Elsewhere):
        return reply.forwarded
    return reply.request.headers.get("x-forwarded-for")


def _refuse(fd: int, reply: Answer) -> None:
    """Answer and hang up, in the middle of nothing: it never became a connection."""
    with suppress(OSError):
        os.read(fd, REQUEST_BYTES)  # closed over unread bytes, it would be reset, and not hear us
    with suppress(OSError):
        os.write(fd, reply.response)
    os.close(fd)
