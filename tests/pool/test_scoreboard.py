"""Counters in shared memory: rows by process, read by anyone, kept when a writer dies."""

import subprocess
import sys

import pytest

from pool.scoreboard import Scoreboard

FIELDS = ("in", "out", "lost")


class TestRows:
    def test_everything_is_zero_at_first(self) -> None:
        board = Scoreboard(FIELDS, 2)
        assert board.fields == FIELDS
        assert board.read(0) == board.read(1) == {"in": 0, "out": 0, "lost": 0}

    def test_a_row_is_written_without_touching_its_neighbours(self) -> None:
        board = Scoreboard(FIELDS, 3)
        row = board.row(1)
        row[0] += 5
        row[2] -= 1
        assert board.read(1) == {"in": 5, "out": 0, "lost": -1}
        assert board.read(0) == board.read(2) == {"in": 0, "out": 0, "lost": 0}

    def test_a_row_holds_its_fields_and_no_more(self) -> None:
        assert len(Scoreboard(FIELDS, 3).row(2)) == 3

    def test_a_cell_holds_63_bits(self) -> None:
        board = Scoreboard(FIELDS, 1)
        board.row(0)[1] = (1 << 63) - 1
        assert board.read(0)["out"] == (1 << 63) - 1

    @pytest.mark.parametrize("index", [-1, 2, 99])
    def test_a_row_that_is_not_there_is_an_error(self, index: int) -> None:
        board = Scoreboard(FIELDS, 2)
        with pytest.raises(IndexError, match=f"no row {index}"):
            board.row(index)
        with pytest.raises(IndexError):
            board.read(index)

    def test_a_board_of_nothing_can_be_made(self) -> None:
        assert Scoreboard((), 1).read(0) == {}


FORKS = """
import os
from pool.scoreboard import Scoreboard
board = Scoreboard(("in", "out"), 2)
for index in range(2):
    for _ in range(3):
        child = os.fork()
        if not child:
            board.row(index)[1] += 10 + index
            os._exit(0)
        os.waitpid(child, 0)
assert board.read(0) == {"in": 0, "out": 30}, board.read(0)
assert board.read(1) == {"in": 0, "out": 33}, board.read(1)
print("shared")
"""


class TestSharing:
    def test_a_parent_reads_what_its_children_counted_one_after_another(self) -> None:
        # In a process of its own: forking the test runner would copy whatever it has running.
        done = subprocess.run(
            [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.stdout, done.stderr) == ("shared\n", "")
