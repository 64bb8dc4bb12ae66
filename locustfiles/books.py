"""What a load run knows of the texts it types: who typed them and when, and which must not be seen.

Rules. Pure; no sockets, no Locust; time is passed in. A stamped text says what a viewer needs to
judge it: the room it was typed in, its author, its number among that author's in the room, and the
moment. `Taken` knows what was taken back and from which place on; `Books` are all of it, one for a
process, because that is what its viewers share. What another process typed is judged by its stamp.

Danger: the clock in a stamp is one machine's. The machine's boot is in it, and a stamp of another
boot tells no time.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from locustfiles.order import Ledger

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
MARK = "@"
ANYWHERE = "*"
"""The room of a text that is for several."""
BACKEND = "backend"
"""How a source begins of which nothing is ever refused, so that its numbers have no holes."""


class Stamp(NamedTuple):
    """`ns` is the monotonic clock of the machine whose boot that is."""

    boot: str
    ns: int
    source: str
    room: str
    n: int

    def text(self, words: str) -> str:
        """A text that carries it."""
        return " ".join((MARK, self.boot, str(self.ns), self.source, self.room, str(self.n), words))

    @property
    def when(self) -> float | None:
        """Seconds of this machine's monotonic clock; None for another machine's."""
        return self.ns / 1e9 if self.boot == BOOT else None


def read_stamp(text: str) -> Stamp | None:
    """The stamp of a text; None for what others wrote."""
    match text.split(" ", 6):
        case [mark, boot, ns, source, room, n, _] if mark == MARK:
            return Stamp(boot, int(ns), source, room, int(n)) if (ns + n).isdecimal() else None
    return None


class Source:
    """One author: numbers what it says, for each room apart."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._counts: dict[str, Iterator[int]] = {}

    def stamp(self, room: str, now_ns: int, words: str) -> str:
        """The next text for a room."""
        count = self._counts.setdefault(room, itertools.count(1))
        return Stamp(BOOT, now_ns, self.name, room, next(count)).text(words)


@dataclass
class Heard:
    """What one viewer has heard of each source, to see that it is all and in order."""

    _last: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def hear(self, room: str, stamp: Stamp) -> str | None:
        """What is wrong with the next text of a source in a room ("" for a notice)."""
        if room and stamp.room not in (room, ANYWHERE):
            return "a message of another room"
        key = room, stamp.source, stamp.room
        last = self._last.get(key)
        if last is not None and stamp.n <= last:
            return "said again, or out of its author's order"
        self._last[key] = stamp.n
        if last is not None and stamp.n > last + 1 and stamp.source.startswith(BACKEND):
            return f"{stamp.n - last - 1} of a backend's missing"
        return None

    def forget(self, room: str) -> None:
        """What came next in a room was not shown: how far its sources are is not known."""
        self._last = {key: n for key, n in self._last.items() if key[0] != room}


@dataclass
class Taken:
    """What was taken back, and since which place: all who stand there or later are to know."""

    _deleted: dict[tuple[str, str, int], int] = field(default_factory=dict)
    _cleared: dict[tuple[str, str], dict[str | None, int]] = field(default_factory=dict)

    def delete(self, room: str, epoch: str, target: int, at: int) -> None:
        """The event at place `at` took back the message `target`."""
        self._deleted.setdefault((room, epoch, target), at)

    def clear(self, room: str, epoch: str, uid: str | None, at: int) -> None:
        """The event at place `at` took back all before it; with a uid, all of that user."""
        cleared = self._cleared.setdefault((room, epoch), {})
        cleared[uid] = max(at, cleared.get(uid, 0))

    def covers(self, room: str, epoch: str, seq: int, uid: str, by: int) -> bool:
        """Whether who stands at place `by` must not be shown the message `seq` of `uid`."""
        if self._deleted.get((room, epoch, seq), by + 1) <= by:
            return True
        cleared = self._cleared.get((room, epoch), {})
        return any(seq < cleared.get(whose, 0) <= by for whose in (None, uid))


@dataclass
class Books:
    """All that the viewers of one process know together. `refused` are texts that were."""

    ledger: Ledger = field(default_factory=Ledger)
    taken: Taken = field(default_factory=Taken)
    refused: set[str] = field(default_factory=set)

    def clear(self) -> None:
        """Another run begins."""
        self.ledger.clear()
        self.taken = Taken()
        self.refused.clear()
