"""One writer a file."""

import os
from pathlib import Path

import pytest

from chat.workers.filelock import CannotArchive, lock


def test_the_second_is_told_and_the_next_may(tmp_path: Path) -> None:
    first = lock(tmp_path / "a")
    with pytest.raises(CannotArchive, match="another archive"):
        lock(tmp_path / "a")
    os.close(first)
    os.close(lock(tmp_path / "a"))


def test_where_no_file_can_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotArchive, match="No such file"):
        lock(tmp_path / "nowhere" / "a")
