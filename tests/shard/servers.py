"""Servers as processes of their own: started with a word, stopped with SIGTERM."""

import signal
import subprocess
import sys

from tests.patience import PATIENCE_S

Server = subprocess.Popen[str]


def start(*command: str) -> tuple[Server, str]:
    """A server process and the URL it announced."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    announced = process.stdout.readline()
    assert announced.startswith("echoing on ws://"), announced
    return process, announced.removeprefix("echoing on ").strip()


def stop(process: Server) -> None:
    """SIGTERM must end it cleanly, with nothing to say."""
    process.send_signal(signal.SIGTERM)
    stopped(process)


def stopped(process: Server) -> None:
    """Wait for its clean end."""
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
