"""An archive of lines: what a crash leaves is understood."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.workers import jsonl as module
from chat.workers.filelock import CannotArchive
from chat.workers.jsonl import JsonLines
from chat.workers.records import Cursor, Missing
from tests.chat.workers.sinks import cleared, deleted, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl"


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def crash(sink: JsonLines) -> None:
    """The process is gone; nobody has said how far it was."""
    os.close(sink._descriptor)


def test_what_was_written_is_found_again(path: Path) -> None:
    sink = JsonLines(path)
    sink.write([said(1), deleted(2, 1), cleared(3, "u")], [], {"0": Cursor("5-0", 5)})
    name = sink.file
    sink.close()
    assert [line["t"] for line in lines(path)] == ["msg", "delete", "clear"]
    again = JsonLines(path)
    assert again.file == name
    assert again.cursors == {"0": Cursor("5-0", 5)}
    assert [again.has(one) for one in (said(1), said(1, ts=7), said(4))] == [True, False, False]
    again.close()


def test_after_a_crash_the_lines_tell(path: Path) -> None:
    sink = JsonLines(path)
    sink.write([said(1), said(2)], [], {"0": Cursor("9-0", 9)})
    crash(sink)
    again = JsonLines(path)
    assert again.cursors == {"0": Cursor("2-0", -1)}
    again.close()


def test_without_its_cursor_the_whole_file_tells(path: Path) -> None:
    sink = JsonLines(path)
    sink.write([said(1), said(2)], [], {"0": Cursor("9-0", 9)})
    sink.close()
    (path.parent / "a.jsonl.cursor").unlink()
    again = JsonLines(path)
    assert again.cursors == {"0": Cursor("2-0", -1)}
    again.close()


@given(st.integers(min_value=0, max_value=400))
def test_wherever_a_crash_cuts_it_whole_lines_stay(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    sink = JsonLines(path)
    written = [said(seq, "é" * seq) for seq in range(1, 6)]
    sink.write(written[:1], [], {})
    first = path.stat().st_size
    sink.write(written[1:], [], {})
    crash(sink)
    size = max(first, path.stat().st_size - cut)
    with path.open("r+b") as file:
        file.truncate(size)
    again = JsonLines(path)
    kept = lines(path)
    assert [line["seq"] for line in kept] == list(range(1, len(kept) + 1))
    assert again.cursors == {"0": Cursor(f"{len(kept)}-0", -1)}
    again.write(written[len(kept) :], [], {})
    assert [line["seq"] for line in lines(path)] == [1, 2, 3, 4, 5]
    again.close()


def test_a_file_that_was_rotated_goes_on(path: Path) -> None:
    sink = JsonLines(path)
    sink.write([said(1)], [], {"0": Cursor("1-0", 1)})
    sink.close()
    path.rename(path.with_name("old.jsonl"))
    again = JsonLines(path)
    assert again.cursors == {"0": Cursor("1-0", 1)}
    again.write([said(2)], [], {"0": Cursor("2-0", 2)})
    again.close()
    assert [line["seq"] for line in lines(path)] == [2]


def test_what_was_lost_is_known_again(path: Path) -> None:
    gone = Missing("0", 7, "1-0", "9-0")
    unknown = Missing("0", -1, "9-0", "10-0")
    sink = JsonLines(path)
    sink.write([], [gone, unknown], {})
    sink.close()
    again = JsonLines(path)
    assert again.has(gone)
    assert again.has(unknown)
    assert not again.has(Missing("1", 7, "1-0", "9-0"))
    again.close()


def test_only_so_many_lines_are_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN", 2)
    sink = JsonLines(path)
    sink.write([said(1), said(2), said(3)], [], {})
    assert [sink.has(said(seq)) for seq in (1, 2, 3)] == [False, True, True]
    sink.close()


def test_only_the_end_of_a_long_file_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = JsonLines(path)
    sink.write([said(seq) for seq in range(1, 50)], [], {"0": Cursor("49-0", 49)})
    sink.close()
    monkeypatch.setattr(module, "TAIL", 500)
    monkeypatch.setattr(module, "CHUNK", 64)
    again = JsonLines(path)
    assert again.cursors == {"0": Cursor("49-0", 49)}
    assert again.has(said(49))
    assert not again.has(said(1))
    again.close()
    assert len(lines(path)) == 49


@pytest.mark.parametrize("other", [b'{"some":"thing"}', b'"\xff"', b"[" * 9_000])
def test_what_is_no_archive_is_left_as_it_is(path: Path, other: bytes) -> None:
    path.write_bytes(other + b"\n")
    with pytest.raises(CannotArchive, match="none of an archive's"):
        JsonLines(path)
    path.write_text("")
    (path.parent / "a.jsonl.cursor").write_bytes(other)
    with pytest.raises(CannotArchive, match="remove it"):
        JsonLines(path)


def test_two_cannot_write_one_file(path: Path) -> None:
    sink = JsonLines(path)
    with pytest.raises(CannotArchive, match="another archive"):
        JsonLines(path)
    sink.close()


def test_what_does_not_fit_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = JsonLines(path)
    sink.write([said(1)], [], {"0": Cursor("1-0", 1)})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        sink.write([said(2)], [], {"0": Cursor("2-0", 2)})
    monkeypatch.undo()
    assert sink.cursors == {"0": Cursor("1-0", 1)}
    assert not sink.has(said(2))
    sink.write([said(2)], [], {"0": Cursor("2-0", 2)})
    assert [line["seq"] for line in lines(path)] == [1, 2]
    sink.close()
