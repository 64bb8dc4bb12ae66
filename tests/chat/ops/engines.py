"""What tests of the embedded engine share."""

import os
import select
from pathlib import Path

import redis

from chat.ops.engine import EmbeddedEngine
from tests.patience import PATIENCE_S


def client_of(engine: EmbeddedEngine) -> "redis.Redis":
    return redis.Redis.from_url(engine.url, protocol=2, decode_responses=True)


def wait_gone(pid: int) -> bool:
    """Wait for any process, a child or not, to end."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], PATIENCE_S)[0])
    finally:
        os.close(pidfd)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
