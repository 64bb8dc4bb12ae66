"""Joins that wait for their answer, each connection's in order, and whose turn it is.

Rules. No Redis and no answers: only who waits. Who is not `ready` holds up all behind it, so that a
connection's answers come in the order of its joins, whatever each of them waits for. An answer may
be large and a viewer may ask for many, so a connection is given the next one when it has taken all
that was sent to it before. What it asked for is therefore no reason to close it, and who waits
costs a record, not bytes. What all have been given and have not taken yet is bounded, too; beyond
that everybody waits, in order.

    add -> (it has a backlog, its first is not ready) -> due -> take -> answered
                          unblocked, look_at ------------^        ^--- put_back
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar


class Waiter(Protocol):
    """A join that has no answer yet."""

    left: bool

    @property
    def fd(self) -> int:
        """The connection it came from."""

    @property
    def ready(self) -> bool:
        """Whether it may be answered; when that becomes true, its connection is to be looked at."""


W = TypeVar("W", bound=Waiter)


class JoinQueue(Generic[W]):
    """The joins of one shard's connections.

    backlog     bytes that wait to be sent to a connection
    most_bytes  of answers that were given and not taken yet; the last one may go beyond it

    outstanding  what these are now; an answer counts until all of it is taken
    """

    def __init__(self, backlog: Callable[[int], int], most_bytes: int) -> None:
        self.outstanding = 0
        self._backlog = backlog
        self._most_bytes = most_bytes
        self._lines: dict[int, deque[W]] = {}
        self._due: OrderedDict[int, None] = OrderedDict()
        self._taken: dict[int, W] = {}
        self._given: dict[int, tuple[int, int]] = {}

    def clear(self, fd: int) -> bool:
        """Whether a connection may be answered at once: it waits for nothing."""
        return not (fd in self._lines or fd in self._taken or self._backlog(fd))

    def length(self, fd: int) -> int:
        """How many joins of a connection wait."""
        return len(self._lines.get(fd, ()))

    @property
    def affords(self) -> bool:
        """Whether one more may be answered."""
        return self.outstanding < self._most_bytes

    @property
    def due(self) -> bool:
        """Whether `take` has any."""
        return bool(self._due) and self.affords

    def add(self, waiter: W) -> None:
        """A join has to wait."""
        self._lines.setdefault(waiter.fd, deque()).append(waiter)
        self.look_at(waiter.fd)

    def look_at(self, fd: int) -> None:
        """The first of a connection's joins may be ready now."""
        line = self._lines.get(fd)
        if line and line[0].ready and fd not in self._taken and not self._backlog(fd):
            self._due[fd] = None

    def holds(self, fd: int, wanted: Callable[[W], bool]) -> bool:
        """Whether a connection has such a join here, that may still be answered."""
        taken = self._taken.get(fd)
        if taken is not None and not taken.left and wanted(taken):
            return True
        return any(map(wanted, self._lines.get(fd, ())))

    def unblocked(self, fd: int) -> None:
        """A connection has taken all that was sent to it."""
        if fd in self._given:
            self.outstanding -= self._given.pop(fd)[0]
        self.look_at(fd)

    def take(self, most: int) -> list[W]:
        """The next to be answered, at most one of a connection; each is to be `answered` or put
        back."""
        taken: list[W] = []
        while self.due and len(taken) < most:
            fd, _ = self._due.popitem(last=False)
            line = self._lines[fd]
            if self._backlog(fd) or not line[0].ready:
                continue  # meanwhile; `unblocked` or `look_at` will tell
            waiter = self._taken[fd] = line.popleft()
            if not line:
                del self._lines[fd]
            taken.append(waiter)
        return taken

    def put_back(self, waiters: Sequence[W]) -> None:
        """These cannot be answered now: they are the next ones again."""
        for waiter in reversed(waiters):
            if self._taken.pop(waiter.fd, None) is waiter:
                self._lines.setdefault(waiter.fd, deque()).appendleft(waiter)
                self.look_at(waiter.fd)
                if waiter.fd in self._due:
                    self._due.move_to_end(waiter.fd, last=False)

    def answered(self, waiter: W, tick: int) -> None:
        """The answer was sent, or there is none: the connection's next join may be answered."""
        fd = waiter.fd
        if self._taken.get(fd) is not waiter:
            return  # it is closed, and its descriptor may be another's
        del self._taken[fd]
        size = self._backlog(fd)
        if size:
            self._given[fd] = size, tick
            self.outstanding += size
        self.look_at(fd)

    def leave(self, fd: int, leaves: Callable[[W], bool]) -> list[W]:
        """Joins a connection takes back; those that were waiting. One that is taken is marked."""
        if fd in self._taken and leaves(self._taken[fd]):
            self._taken[fd].left = True
        line = self._lines.get(fd)
        if line is None:
            return []
        left = [waiter for waiter in line if leaves(waiter)]
        kept = deque(waiter for waiter in line if not leaves(waiter))
        if kept:
            self._lines[fd] = kept
            self.look_at(fd)
        else:
            del self._lines[fd]
            self._due.pop(fd, None)
        return left

    def close(self, fd: int) -> Iterable[W]:
        """A connection is over: its joins that waited."""
        self._due.pop(fd, None)
        if fd in self._taken:
            self._taken.pop(fd).left = True
        if fd in self._given:
            self.outstanding -= self._given.pop(fd)[0]
        return self._lines.pop(fd, ())

    def hoarders(self, since: int) -> list[int]:
        """While others have to wait for them: connections that have not taken an answer they were
        given before tick `since`."""
        if self.affords or not self._due:
            return []
        return [fd for fd, (_, tick) in self._given.items() if tick < since]
