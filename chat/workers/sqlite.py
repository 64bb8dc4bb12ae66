"""An archive in an SQLite database.

Rules. A batch and the cursors behind it are one transaction. A message that is taken back keeps
its row, with nothing in it, and nothing of it stays in the file's free pages; what took it back has
a row of its own. Readers may read at any time (write-ahead log).
"""

import os
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from chat.wire.schema import Clear, Delete, Msg
from chat.workers.filelock import CannotArchive, lock
from chat.workers.records import Cursor, Missing, Record

APPLICATION: Final = 0x44616E6D
"""SQLite's application_id of an archive: "Danm"."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
  partition TEXT PRIMARY KEY, entry TEXT NOT NULL, given INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
  room TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL,
  id TEXT NOT NULL, uid TEXT, name TEXT, text TEXT, color INTEGER, mode TEXT, size INTEGER,
  kind TEXT, avatar TEXT, level INTEGER, badges TEXT, removed INTEGER NOT NULL DEFAULT 0, data TEXT,
  PRIMARY KEY (room, epoch, seq, ts)
);
CREATE INDEX IF NOT EXISTS messages_ts ON messages (ts);
CREATE TABLE IF NOT EXISTS removals (
  room TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL,
  target INTEGER, uid TEXT, PRIMARY KEY (room, epoch, seq, ts)
);
CREATE TABLE IF NOT EXISTS lost (
  partition TEXT NOT NULL, after TEXT NOT NULL, before TEXT NOT NULL, count INTEGER,
  PRIMARY KEY (partition, after, before)
);
"""
BLANK: Final = (
    "UPDATE messages SET uid = NULL, name = NULL, text = NULL, avatar = NULL, badges = NULL, "
    "data = NULL, level = NULL, removed = 1 WHERE room = ? AND epoch = ? AND "
)


class Database:
    """The database, locked. Raises CannotArchive when it is none of ours, or another's."""

    def __init__(self, path: Path) -> None:
        self._descriptor = lock(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            os.close(self._descriptor)
            raise CannotArchive(f"{path} is no archive: {error}") from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def _open(self) -> None:
        [application], [tables] = (
            self._db.execute("PRAGMA application_id").fetchone(),
            self._db.execute("SELECT count(*) FROM sqlite_master").fetchone(),
        )
        if application != APPLICATION and tables:
            raise sqlite3.DatabaseError("it is another program's database")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute(f"PRAGMA application_id = {APPLICATION}")
        self._db.executescript(SCHEMA)
        columns = [name for _, name, *_ in self._db.execute("PRAGMA table_info(messages)")]
        if "data" not in columns:  # a file that was begun before there was any
            self._db.execute("ALTER TABLE messages ADD COLUMN data TEXT")
        named = ("file", secrets.token_hex(6))
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", named)
        [self.file] = self._db.execute("SELECT value FROM meta WHERE name = 'file'").fetchone()
        self.cursors: dict[str, Cursor] = {
            partition: Cursor(entry, given)
            for partition, entry, given in self._db.execute("SELECT * FROM cursors")
        }

    def has(self, record: Record | Missing) -> bool:
        """Whether it is there."""
        if isinstance(record, Missing):
            keys = (record.partition, record.after, record.before)
            query = "SELECT 1 FROM lost WHERE partition = ? AND after = ? AND before = ?"
            return self._db.execute(query, keys).fetchone() is not None
        table = "messages" if isinstance(record.event, Msg) else "removals"
        query = f"SELECT 1 FROM {table} WHERE room = ? AND epoch = ? AND seq = ? AND ts = ?"
        return self._db.execute(query, record.key).fetchone() is not None

    def write(
        self,
        records: Sequence[Record],
        missing: Sequence[Missing],
        cursors: Mapping[str, Cursor],
    ) -> None:
        """Keep a batch, with how far it came. Raises OSError; then nothing was written."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for one in missing:
                    count = None if one.count < 0 else one.count
                    values = (one.partition, one.after, one.before, count)
                    self._db.execute("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?)", values)
                for record in records:
                    self._keep(record)
                rows = [(name, cursor.entry, cursor.given) for name, cursor in cursors.items()]
                self._db.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise OSError(str(error)) from error
        self.cursors |= cursors

    def _keep(self, record: Record) -> None:
        event, epoch = record.event, record.epoch
        match event:
            case Msg():
                optional = (event.kind, event.avatar, event.level)
                values = (
                    *record.key,
                    *(event.id, event.uid, event.name, event.text),
                    *(event.color, event.mode, event.size),
                    *(None if one is UNSET else one for one in optional),
                    _json(event.badges),
                    *(0, _json(event.data)),
                )
                marks = ", ".join("?" * len(values))
                self._db.execute(f"INSERT OR IGNORE INTO messages VALUES ({marks})", values)
            case Delete():
                self._db.execute(BLANK + "seq = ?", (event.room, epoch, event.target))
                self._removal(record, event.target, None)
            case Clear():
                where, whose = "seq < ?", None if event.uid is UNSET else event.uid
                values = (event.room, epoch, event.seq)
                if whose is None:
                    self._db.execute(BLANK + where, values)
                else:
                    self._db.execute(f"{BLANK}{where} AND uid = ?", (*values, whose))
                self._removal(record, None, whose)

    def _removal(self, record: Record, target: int | None, uid: str | None) -> None:
        values = (*record.key, target, uid)
        self._db.execute("INSERT OR IGNORE INTO removals VALUES (?, ?, ?, ?, ?, ?)", values)

    def close(self) -> None:
        """Let go of it."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # whoever opens it next does that
        finally:
            self._db.close()
            os.close(self._descriptor)


def _json(value: Any) -> str | None:
    """What is no column of its own, as text; None where there is none."""
    return None if value is UNSET else msgspec.json.encode(value).decode()
