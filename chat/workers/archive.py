"""`danmaku archive`: everything that is said, in a file, each message once.

Rules. The file knows how far it has come, and that counts, not what Redis believes: it is told at
the start of a lease, and what comes again is passed over. Only what is on the disk is acknowledged.
So nothing is in the file twice, and nothing is missing that the streams still had.

Each file has a group of its own, by a name that is in it, unless one is given: files that share a
group share the partitions, and each has a part.

Danger: after a failover a stream may give IDs again that it gave before. Then the file is asked for
each entry up to where it had come.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from chat.bus.groups import ALL, SET_BACK, Groups, Taken, Unit
from chat.bus.names import new_shard
from chat.bus.store import Store, open_store
from chat.config.sections import Config
from chat.tasks import Tasks
from chat.wire.schema import Msg
from chat.workers.consumer import LEASE_S, Consumer
from chat.workers.filelock import CannotArchive
from chat.workers.jsonl import JsonLines
from chat.workers.records import Cursor, Missing, Record, records, wanted
from chat.workers.sqlite import Database

log = logging.getLogger(__name__)

PROGRESS_S: Final = 10.0


class Sink(Protocol):
    """A file that is locked; `file` is its name for itself, `cursors` are by partition."""

    file: str
    cursors: dict[str, Cursor]

    def has(self, record: Record | Missing) -> bool:
        """Whether it is in the file, as far as the file knows."""

    def write(
        self,
        records: Sequence[Record],
        missing: Sequence[Missing],
        cursors: Mapping[str, Cursor],
    ) -> None:
        """Have all of it on the disk. Raises OSError; then none of it is."""

    def close(self) -> None:
        """Let go of the file."""


def open_sink(path: Path) -> Sink:
    """The archive at a path, by its ending. Raises CannotArchive."""
    match path.suffix:
        case ".jsonl":
            return JsonLines(path)
        case ".sqlite" | ".sqlite3" | ".db":
            return Database(path)
    raise CannotArchive(f"{path} ends neither in .jsonl nor in .sqlite")


class Archive:
    """Keeps what a group's worker takes."""

    def __init__(
        self,
        store: Store,
        sink: Sink,
        patterns: Sequence[str],
        group: str = "",
        lease_s: float = LEASE_S,
    ) -> None:
        self.messages = self.removals = self.lost = self.bad = 0
        self.lost_unknown = False
        self._sink = sink
        self._wanted = wanted(patterns)
        self._set_back: set[str] = set()
        self._groups = Groups(store, group or f"archive-{sink.file}", new_shard())
        self.consumer = Consumer(
            *(store, self._groups, self._groups.rooms_units(), self._keep),
            first=lambda: ALL,
            by=sink.file,
            opened=self._opened,
            lease_s=lease_s,
        )

    async def _opened(self, unit: Unit, before: str) -> None:
        """Go on where the file ends; where another file has gone on from there, behind that."""
        if unit.name in self._sink.cursors and before in ("", self._sink.file):
            await self._seek(unit)

    async def _seek(self, unit: Unit) -> None:
        cursor = self._sink.cursors[unit.name]
        [stream] = unit.streams
        outcome = await self._groups.seek(unit, stream, cursor.entry, cursor.given)
        if outcome == SET_BACK:
            self._set_back.add(unit.name)
            log.warning("%s was set back to before what is archived of it", stream)

    async def _keep(self, taken: Sequence[Taken]) -> None:
        kept: list[Record] = []
        missing: list[Missing] = []
        cursors: dict[str, Cursor] = {}
        for one in taken:
            name = one.unit.name
            found, bad = records(name, one.entries, self._wanted)
            self.bad += bad
            kept += await self._new(one, found)
            if one.lost is not None:
                gone = Missing(name, one.lost.count, one.lost.after, one.lost.before)
                if not self._sink.has(gone):
                    missing.append(gone)
                    self._say_lost(gone)
            if one.entries:
                cursor = Cursor(one.entries[-1][0].decode(), one.given)
                before = self._sink.cursors.get(name)
                if before is None or before.before(cursor.entry):
                    cursors[name] = cursor
        await asyncio.to_thread(self._sink.write, kept, missing, cursors)
        said = sum(isinstance(one.event, Msg) for one in kept)
        self.messages += said
        self.removals += len(kept) - said

    async def _new(self, taken: Taken, found: list[Record]) -> list[Record]:
        """Those of its records that are not in the file."""
        name = taken.unit.name
        cursor = self._sink.cursors.get(name)
        if cursor is None or not taken.entries or cursor.before(taken.entries[0][0].decode()):
            return found
        if name not in self._set_back:
            await self._seek(taken.unit)
        again = name in self._set_back
        return [
            one for one in found if cursor.before(one.entry) or (again and not self._sink.has(one))
        ]

    def _say_lost(self, gone: Missing) -> None:
        many = "an unknown number of" if gone.count < 0 else str(gone.count)
        self.lost += max(0, gone.count)
        self.lost_unknown = self.lost_unknown or gone.count < 0
        log.warning(
            "%s entries of partition %s were trimmed before they could be archived, between %s "
            "and %s",
            *(many, gone.partition, gone.after, gone.before),
        )

    @property
    def summary(self) -> str:
        """What was done, in a line."""
        unknown = " and an unknown number more" if self.lost_unknown else ""
        bad = f", {self.bad} entries that are none of ours" if self.bad else ""
        return (
            f"{self.messages} messages archived, {self.removals} removals, "
            f"{self.lost}{unknown} lost{bad}"
        )


async def run(
    store: Store,
    path: Path,
    patterns: Sequence[str],
    group: str = "",
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    lease_s: float = LEASE_S,
) -> None:
    """Archive until SIGTERM or SIGINT; progress and a summary are said. Raises CannotArchive."""
    try:
        sink = open_sink(path)
    except CannotArchive:
        await store.close()
        raise
    keeper = Archive(store, sink, patterns, group, lease_s)
    tasks = Tasks("archive")
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, keeper.consumer.end)
    say(f"archiving to {path}; Ctrl-C ends it")
    tasks.spawn(_tell(keeper, say))
    try:
        await keeper.consumer.run()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        await tasks.stop()
        sink.close()
        await store.close()
        say(keeper.summary)


async def _tell(archive: Archive, say: Callable[[str], None]) -> None:
    said = archive.summary
    while True:
        await asyncio.sleep(PROGRESS_S)
        if archive.summary != said:
            said = archive.summary
            say(f"{said}; {archive.consumer.lag} waiting, {len(archive.consumer.held)} partitions")


def archive(config: Config, url: str, path: Path, patterns: Sequence[str], group: str) -> None:
    """In a process of its own: archive what the Redis at `url` has. Raises CannotArchive."""

    async def work() -> None:
        await run(open_store(config, url), path, patterns, group)

    asyncio.run(work())
