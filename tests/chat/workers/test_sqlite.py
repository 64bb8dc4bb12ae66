"""An archive in SQLite: one transaction, and nothing left of what is taken back."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from chat.wire.schema import Msg
from chat.workers.filelock import CannotArchive
from chat.workers.records import Cursor, Missing, Record
from chat.workers.sqlite import Database
from tests.chat.workers.sinks import cleared, deleted, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.sqlite"


@pytest.fixture
def sink(path: Path) -> Iterator[Database]:
    sink = Database(path)
    yield sink
    sink.close()


def rows(path: Path, query: str) -> list[Any]:
    with sqlite3.connect(path) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


def test_what_was_written_is_found_again(path: Path) -> None:
    sink = Database(path)
    sink.write([said(1), said(2)], [], {"0": Cursor("5-0", 5)})
    name = sink.file
    sink.close()
    again = Database(path)
    assert again.file == name
    assert again.cursors == {"0": Cursor("5-0", 5)}
    again.close()
    assert rows(path, "SELECT seq, id, text, removed FROM messages") == [
        (1, "e-1", "x", 0),
        (2, "e-2", "x", 0),
    ]


def test_a_reader_may_look_meanwhile(path: Path, sink: Database) -> None:
    sink.write([said(1)], [], {})
    assert rows(path, "SELECT seq FROM messages") == [(1,)]


def test_the_same_is_not_kept_twice(path: Path, sink: Database) -> None:
    for _ in range(2):
        sink.write([said(1), deleted(2, 9), said(1, ts=5)], [Missing("0", 3, "a", "b")], {})
    assert rows(path, "SELECT seq, ts FROM messages ORDER BY ts") == [(1, 5), (1, 1001)]
    assert rows(path, "SELECT seq, target FROM removals") == [(2, 9)]
    assert rows(path, "SELECT count, after, before FROM lost") == [(3, "a", "b")]
    assert sink.has(said(1))
    assert sink.has(deleted(2, 9))
    assert sink.has(Missing("0", 3, "a", "b"))
    assert not sink.has(said(3))


def test_a_message_taken_back_is_an_empty_row_and_nowhere_else(path: Path) -> None:
    sink = Database(path)
    sink.write([said(1, "the secret word"), said(2, "harmless")], [], {})
    sink.write([deleted(3, 1)], [], {})
    sink.close()
    assert rows(path, "SELECT seq, uid, name, text, removed FROM messages") == [
        (1, None, None, None, 1),
        (2, "u", "n", "harmless", 0),
    ]
    assert not any(b"secret word" in file.read_bytes() for file in path.parent.iterdir())


def with_data(seq: int, data: Any) -> Record:
    record = said(seq)
    assert isinstance(record.event, Msg)
    return structs.replace(record, event=structs.replace(record.event, data=data))


def test_data_is_kept_and_taken_back(path: Path, sink: Database) -> None:
    sink.write([with_data(1, {"¥": 9.5}), with_data(2, 0), said(3)], [], {})
    assert rows(path, "SELECT data FROM messages") == [('{"¥":9.5}',), ("0",), (None,)]
    sink.write([deleted(4, 1)], [], {})
    assert rows(path, "SELECT data FROM messages WHERE removed") == [(None,)]


def test_a_file_from_before_there_was_data_goes_on(path: Path) -> None:
    sink = Database(path)
    sink.write([said(1)], [], {})
    sink._db.execute("ALTER TABLE messages DROP COLUMN data")
    sink.close()
    again = Database(path)
    again.write([with_data(2, [1])], [], {})
    again.close()
    assert rows(path, "SELECT seq, data, removed FROM messages") == [(1, None, 0), (2, "[1]", 0)]


def test_clearing_takes_what_came_before(path: Path, sink: Database) -> None:
    sink.write([said(1, uid="a"), said(2, uid="b"), cleared(3, "a"), said(4, uid="a")], [], {})
    assert rows(path, "SELECT seq FROM messages WHERE removed") == [(1,)]
    sink.write([cleared(5), said(6)], [], {})
    assert rows(path, "SELECT seq FROM messages WHERE NOT removed") == [(6,)]


def test_a_batch_is_kept_whole_or_not_at_all(path: Path, sink: Database) -> None:
    sink._db.execute(
        "CREATE TRIGGER t BEFORE INSERT ON cursors BEGIN SELECT RAISE(ABORT,'no'); END"
    )
    with pytest.raises(OSError, match="no"):
        sink.write([said(1)], [], {"0": Cursor("1-0", 1)})
    assert rows(path, "SELECT * FROM messages") == []
    assert sink.cursors == {}


def test_what_is_no_archive_is_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(CannotArchive, match="another program's"):
        Database(path)
    assert path.read_bytes() == before
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(CannotArchive, match="is no archive"):
        Database(path)


def test_two_cannot_write_one_file(path: Path, sink: Database) -> None:
    with pytest.raises(CannotArchive, match="another archive"):
        Database(path)
