"""bench/peers/program.py: other people's servers are found, waited for, and ended."""

import os
import signal
import sys
from pathlib import Path

import pytest

from bench.harness import Unavailable
from bench.local import free_port
from bench.peers.program import Program, find

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))"


def test_a_program_nobody_has_is_unavailable_by_name() -> None:
    with pytest.raises(Unavailable, match="no-such-server"):
        find("no-such-server")


def test_a_server_is_there_once_waited_for_and_gone_afterwards(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", f"{LISTEN}; time.sleep(60)", str(port)]
    with Program(command, tmp_path) as server:
        server.wait_for(port)
        [pid] = server.pids()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_its_workers_are_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(60)"]
    with Program(command, tmp_path) as server:
        assert len(server.pids(workers=1)) == 2
        os.kill(server.pids()[1], signal.SIGKILL)


def test_one_that_ends_at_once_is_unavailable_with_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such directive')"]
    with (
        Program(command, tmp_path) as server,
        pytest.raises(Unavailable, match="no such directive"),
    ):
        server.wait_for(free_port())
