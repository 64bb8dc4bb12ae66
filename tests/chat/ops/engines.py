"""What tests of the embedded engine share."""

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

import redis

from chat.ops.engine import EmbeddedEngine


def client_of(engine: EmbeddedEngine) -> "redis.Redis":
    return redis.Redis.from_url(engine.url, protocol=2, decode_responses=True)


def wait_gone(pid: int, timeout_s: float = 20) -> bool:
    """Wait for any process, a child or not, to end."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], timeout_s)[0])
    finally:
        os.close(pidfd)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
