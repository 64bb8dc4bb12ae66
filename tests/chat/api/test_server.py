"""The process: how it ends, and what it tells who is in the middle of something."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from chat.bus.keys import Keys
from chat.config.sections import Config
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import chunk, lines, new_room, read, streaming, until


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /healthz HTTP/1.1", b"Host: localhost", *lines, b"", b""])


PROCESS = """
import sys
from pathlib import Path
from chat.api.server import run
from chat.api.metrics import API_FIELDS
from chat.config.sections import Config
from chat.counters import FIELDS
from pool.scoreboard import Scoreboard
from shard.listen import listen
listener = listen("127.0.0.1", 0, 128, 65536)
print(listener.getsockname()[1], flush=True)
boards = Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1)
run(Config(), sys.argv[1], listener, *boards, 8000, Path(sys.argv[2]), lambda: None)
print("ended", flush=True)
"""


class TestProcess:
    @pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a kept connection"])
    def test_sigterm_ends_it_as_one_who_was_asked_to(
        self, valkey: EmbeddedEngine, tmp_path: Path, busy: bool
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", PROCESS, valkey.url, tmp_path / "passed.sock"],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(head() if busy else head(b"Connection: close"))
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                process.send_signal(signal.SIGTERM)
                assert process.stdout.read() == b"ended\n"
                assert process.wait(10) == 0

    def test_a_stream_is_told_how_far_it_got(self, valkey: EmbeddedEngine, tmp_path: Path) -> None:
        room = new_room()
        with subprocess.Popen(
            [sys.executable, "-c", PROCESS, valkey.url, tmp_path / "passed.sock"],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            with streaming(int(process.stdout.readline()), room) as connection:
                connection.send(chunk(lines({"text": "a"}, {"text": "b"}) + b'{"text":"half'))
                until(lambda: published(valkey, room) == 2, "the lines")
                process.send_signal(signal.SIGTERM)
                answer = read(connection)
            assert process.stdout.read() == b"ended\n"
            assert process.wait(10) == 0
        assert (answer.status, answer.error["code"]) == (503, "unavailable")
        assert (answer.error["accepted"], answer.error["lines"]) == (2, 2)
        assert answer.headers["retry-after"] == "1"
        assert published(valkey, room) == 2


def published(valkey: EmbeddedEngine, room: str) -> int:
    """How many messages a room has, with the default configuration."""
    with redis.Redis.from_url(valkey.url, protocol=2) as client:
        return int(client.xlen(Keys(Config().bus.prefix, Config().bus.partitions).history(room)))
