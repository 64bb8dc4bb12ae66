"""Somebody else's server as a process: found, started on the cores it may use, and ended.

Rule: `make bench-peers` unpacks Debian's packages under bench/out/, so nothing is installed and no
service starts; a program on PATH does as well.
Danger: a started server would outlive a killed harness, so it is told to end when its parent does.
"""

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from bench.child import OUT
from bench.harness import SERVER_CORE, Unavailable, children_of, pin

UNPACKED = OUT / "debian"
START_S = 10.0
STOP_S = 10.0
_PR_SET_PDEATHSIG = 1


def find(name: str) -> Path:
    """Where the program `name` is: unpacked, or else on PATH."""
    unpacked = UNPACKED / "usr/sbin" / name
    if unpacked.exists():
        return unpacked
    if found := shutil.which(name):
        return Path(found)
    raise Unavailable(f"no {name} on PATH, and `make bench-peers` found no Debian package of it")


def most_descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class Program:
    """One server and its workers; what it prints goes to `log` in `folder`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        cores: Sequence[int] = (SERVER_CORE,),
        **environment: str,
    ) -> None:
        self._log = folder / "log"
        become = partial(_be_a_server, cores, most_descriptors(), ctypes.CDLL(None))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], env=os.environ | environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=become,
            )  # fmt: skip

    def wait_for(self, port: int) -> None:
        """Until it listens there; Unavailable, with what it said, when it will not."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Unavailable(f"did not start: {self._log.read_text()[-300:].strip() or 'no word'}")

    def pids(self, workers: int = 0) -> list[int]:
        """Its process and its children's, once it has so many of these."""
        deadline = time.monotonic() + START_S
        while len(found := children_of(self._process.pid)) < workers:
            if time.monotonic() > deadline:
                raise Unavailable(f"has {len(found)} of {workers} workers")
            time.sleep(0.01)
        return [self._process.pid, *found]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _be_a_server(cores: Sequence[int], descriptors: int, libc: ctypes.CDLL) -> None:
    """In the child before it becomes the program: end with the harness, keep to these cores. What
    may fail in a process of several threads was done before."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    pin(0, *cores)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
