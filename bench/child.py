"""Programs the harness starts: compiled on demand, told what to do by lines, answering in JSON.

Rule: every child takes one command a line on stdin and answers each with one JSON line, ends when
its stdin closes, and dies with us. Whoever opens a child closes it (`with`).
Danger: a child that hangs would hang the run, so every answer has a deadline.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from bench.harness import Unavailable, cpu_ns, pin

HERE = Path(__file__).parent
OUT = HERE / "out"


def build(name: str) -> Path:
    """Compile `bench/<name>.c` unless the program is newer than its sources. Raises Unavailable."""
    source, program = HERE / f"{name}.c", OUT / name
    newest = max(path.stat().st_mtime for path in [source, *HERE.glob("*.h")])
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise Unavailable(f"no C compiler to build {source.name} (on Debian: apt install gcc)")
    compile_whole([compiler, "-O2", "-Wall"], source, program)
    return program


def compile_whole(
    compiler: Sequence[str | Path], source: Path, program: Path, env: Mapping[str, str] = os.environ
) -> None:
    """Build `program` aside and put it in its place whole: others may run, or build, it meanwhile.

    Raises Unavailable with what the compiler said.
    """
    program.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as aside:
        built = Path(aside) / program.name
        done = subprocess.run(
            [*compiler, "-o", built, source], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable(f"{source.name} does not compile:\n{done.stderr.strip()[:2000]}")
        built.replace(program)


class Child:
    """One program on one core."""

    def __init__(self, command: Sequence[str | Path], core: int) -> None:
        self.name = str(command[2]) if "-m" in command else Path(command[0]).name
        self._buffer = b""
        self._process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self._process.pid
        pin(self.pid, core)
        self.hello = self._answer(30.0)

    def ask(self, line: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Give one command and wait for its answer."""
        self.tell(line)
        return self._answer(timeout_s)

    def tell(self, line: str) -> None:
        """Give a command whose answer is fetched later with `answer`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(self._ended()) from None

    def answer(self, timeout_s: float = 60.0) -> dict[str, Any]:
        return self._answer(timeout_s)

    def cpu_ns(self) -> int:
        return cpu_ns(self.pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # one that has ended does not read its last line
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ended(self) -> str:
        return f"{self.name} ended (exit code {self._process.wait()})"

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        fd, deadline = self._process.stdout.fileno(), time.monotonic() + timeout_s
        ready = select.poll()  # select() knows no descriptor beyond 1023
        ready.register(fd, select.POLLIN)
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not ready.poll(left * 1000):
                raise TimeoutError(f"{self.name} gave no answer within {timeout_s:.0f} s")
            data = os.read(fd, 65536)
            if not data:
                raise RuntimeError(self._ended())
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer


def python(module: str, *arguments: object) -> list[str]:
    """The command line of a child that is one of our modules."""
    return [sys.executable, "-m", module, *(str(one) for one in arguments)]
