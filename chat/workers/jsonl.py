"""An archive in a file of lines of JSON.

    {"t":"msg","room":…,"seq":…,"id":…,"uid":…,"name":…,"text":…,…,"ts":…,"epoch":…,"at":"3/…-0"}
    {"t":"delete","room":…,"seq":…,"target":…,"ts":…,"epoch":…,"at":…}      so is "clear"
    {"t":"lost","count":…,"after":…,"before":…,"partition":…}

Rules. Only ever appended to. `at` says which entry of which partition a line is of, so that the
file itself tells how far it has come. Beside it FILE.cursor says the same up to some size of the
file, so that only what is behind that has to be read at a start; without it the whole file is. A
batch is on the disk when `write` returns. A last line that was cut off in the middle by a crash is
removed: it was not acknowledged, and comes again.

Danger: who takes the file away and leaves FILE.cursor goes on where it ended, in a new file; that
is how it is rotated. Who takes both begins anew.
"""

import os
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.wire.schema import UNREADABLE
from chat.workers.filelock import CannotArchive, lock
from chat.workers.records import Cursor, Key, Missing, Record, line_of, line_of_missing

KNOWN: Final = 20_000
"""Newest lines that are known by their places."""
TAIL: Final = 1 << 23
"""Bytes at the end of a file in which these are looked for."""
CHUNK: Final = 1 << 20
CHECKPOINT: Final = 1 << 20
"""Bytes after which FILE.cursor is written again."""


class Checkpoint(Struct):
    """FILE.cursor: which file this is, and how far it had come when it was so long."""

    file: str
    size: int
    cursors: dict[str, Cursor]


class JsonLines:
    """The file, locked. Raises CannotArchive when it is none of ours, or another's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._side = path.with_name(f"{path.name}.cursor")
        self._descriptor = lock(path)
        try:
            found = self._checkpoint()
            self.file = found.file
            self.cursors: dict[str, Cursor] = found.cursors
            self._order: deque[Key | Missing] = deque()
            self._known: set[Key | Missing] = set()
            self._size = self._read(found.size)
            os.ftruncate(self._descriptor, self._size)
            self._marked = -1
            self._mark()
        except OSError as error:
            os.close(self._descriptor)
            raise CannotArchive(f"{path} cannot be read: {error.strerror}") from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def has(self, record: Record | Missing) -> bool:
        """Whether it is among the newest lines."""
        return (record if isinstance(record, Missing) else record.key) in self._known

    def write(
        self,
        records: Sequence[Record],
        missing: Sequence[Missing],
        cursors: Mapping[str, Cursor],
    ) -> None:
        """Append, and have it on the disk. Raises OSError; then nothing was written."""
        lines = [line_of_missing(one) for one in missing] + [line_of(one) for one in records]
        if lines:
            try:
                self._append(b"".join(lines))
            except OSError:
                os.ftruncate(self._descriptor, self._size)
                raise
        for gone in missing:
            self._note(gone)
        for record in records:
            self._note(record.key)
        self.cursors |= cursors
        if self._size - self._marked >= CHECKPOINT:
            self._mark()

    def _append(self, data: bytes) -> None:
        view, at = memoryview(data), self._size
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written
        os.fsync(self._descriptor)
        self._size = at

    def close(self) -> None:
        """Say how far it has come, and let go of the file."""
        try:
            self._mark()
        finally:
            os.close(self._descriptor)

    def _note(self, key: Key | Missing) -> None:
        self._order.append(key)
        self._known.add(key)
        if len(self._order) > KNOWN:
            self._known.discard(self._order.popleft())

    # --- what was there --------------------------------------------------------------------------

    def _checkpoint(self) -> Checkpoint:
        try:
            return msgspec.json.decode(self._side.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return Checkpoint(secrets.token_hex(6), 0, {})
        except UNREADABLE as error:
            raise CannotArchive(
                f"{self._side} is no cursor of an archive ({error}): remove it, and the archive "
                "itself will be read"
            ) from None

    def _read(self, known_to: int) -> int:
        """Read the lines behind what is known, and the newest; how long the whole lines are."""
        size = os.fstat(self._descriptor).st_size
        if size < known_to:  # rotated: it is another file that goes on
            known_to = 0
        at = min(known_to, max(0, size - TAIL))
        rest, whole, first = b"", at, at > 0
        while chunk := os.pread(self._descriptor, CHUNK, at):
            at += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                whole += len(line) + 1
                if not first:
                    self._take(line, new=whole > known_to)
                first = False  # the first may be the end of one
        return whole

    def _take(self, line: bytes, new: bool) -> None:
        try:
            found: dict[str, Any] = msgspec.json.decode(line)
            if found["t"] == "lost":
                count = -1 if found["count"] is None else found["count"]
                self._note(Missing(found["partition"], count, found["after"], found["before"]))
                return
            partition, _, entry = found["at"].rpartition("/")
            self._note((found["room"], found["epoch"], found["seq"], found["ts"]))
            cursor = self.cursors.get(partition)
            if new and (cursor is None or cursor.before(entry)):
                self.cursors[partition] = Cursor(entry, -1)
        except (*UNREADABLE, KeyError, TypeError, AttributeError):
            raise CannotArchive(f"{self._path} has a line that is none of an archive's") from None

    def _mark(self) -> None:
        """Write FILE.cursor, whole or not at all."""
        new = self._side.with_name(f"{self._side.name}.new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(Checkpoint(self.file, self._size, self.cursors)))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._side)
        directory = os.open(self._side.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._marked = self._size
