"""Programs the harness starts, and their answers, however many files are open beside."""

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import child as children
from bench.child import Child
from shard.listen import raise_descriptor_limit

ECHO = """
import json, sys
print(json.dumps({"hello": True}), flush=True)
for line in sys.stdin:
    print(json.dumps({"said": line.strip()}), flush=True)
"""
NUMBERED_BY_SELECT = 1024


@pytest.fixture
def program(tmp_path: Path) -> list[str | Path]:
    path = tmp_path / "echo.py"
    path.write_text(ECHO)
    return [sys.executable, path]


def test_it_is_asked_and_answers(program: list[str | Path]) -> None:
    with Child(program, 0) as child:
        assert child.hello == {"hello": True}
        assert child.ask("a") == {"said": "a"}


def test_one_that_has_ended_is_named_and_not_a_broken_pipe(program: list[str | Path]) -> None:
    def tell(child: Child) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            child.tell("a")
            time.sleep(0.01)

    with Child(program, 0) as child:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match=r"ended \(exit code -9\)"):
            tell(child)


def test_an_answer_that_does_not_come_is_not_waited_for(program: list[str | Path]) -> None:
    with Child(program, 0) as child, pytest.raises(TimeoutError):
        child.answer(0.01)


def test_it_is_heard_where_very_many_files_are_open(program: list[str | Path]) -> None:
    raise_descriptor_limit()
    with ExitStack() as opened:
        while True:
            fd = os.open(os.devnull, os.O_RDONLY)
            opened.callback(os.close, fd)
            if fd >= NUMBERED_BY_SELECT:
                break
        with Child(program, 0) as child:
            assert child.ask("a") == {"said": "a"}


HALF_BUILT = """#!/bin/sh
for last; do [ "$before" != -o ] || built=$last; before=$last; done
echo half > "$built"
[ ! -e "$PROGRAM" ] || { echo "$PROGRAM is half built"; exit 1; } >&2
exec cc "$@"
"""


def test_nobody_finds_a_program_half_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "slow-cc"
    compiler.write_text(HALF_BUILT)
    compiler.chmod(0o755)
    monkeypatch.setattr(children, "OUT", tmp_path / "out")
    monkeypatch.setenv("PROGRAM", str(tmp_path / "out" / "floor"))
    monkeypatch.setenv("CC", str(compiler))
    program = children.build("floor")
    with Child([program], 0) as floor:
        assert "port" in floor.hello
    assert list(program.parent.iterdir()) == [program]
