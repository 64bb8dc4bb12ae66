"""Centrifuge (Go), the engine of Centrifugo: a channel each room, server-side, over its JSON.

The server is centrifuge_server.go, built from Debian's sources of it without a download: a release
of 2021, with the protocol of that time. A push is the data and some sixty bytes around it.
"""

import http.client
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.child import OUT, compile_whole
from bench.harness import Unavailable
from bench.local import free_port
from bench.peers.program import UNPACKED, Program
from bench.peers.published import Published

SOURCE = Path(__file__).with_name("centrifuge_server.go")
PROGRAM = OUT / SOURCE.stem
SOURCES = Path("usr/share/gocode")
ENGINE = SOURCES / "src/github.com/centrifugal/centrifuge"
GO = UNPACKED / "usr/lib/go-1.19/bin/go"
PUBLISH = 3
ROOM = "/room-0"


class Centrifuge(Published):
    greeting = '{"id":1}'  # method 0, and what is left out is `connect`
    words = ('"client":', '{"id":', "@")
    say = (
        f'{{"id":2,"method":{PUBLISH},'
        '"params":{"channel":"/room-$room","data":{"text":"$stamp$me 前方高能"}}}'
    )

    def start(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="danmaku-centrifuge-")))
        self.port = free_port()
        command: list[str | Path] = [build(), f"127.0.0.1:{self.port}"]
        environment = {"GOMAXPROCS": str(len(self.cores))}
        program = stack.enter_context(Program(command, folder, self.cores, **environment))
        program.wait_for(self.port)
        self.pids = program.pids()
        self._publisher = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        stack.callback(self._publisher.close)

    def payload(self, size: int) -> None:
        self._text = "x"
        self._text *= max(1, size + 1 - round(self.flush(1)["bytes"]))

    def publish(self) -> None:
        self._publisher.request("POST", ROOM, f'{{"text":"{self._text}"}}')
        answer = self._publisher.getresponse()
        if answer.read() and answer.status >= 300:
            raise RuntimeError(f"Centrifuge answered {answer.status} to a message")


def build() -> Path:
    """Build the server unless it is newer than its source. Raises Unavailable."""
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > SOURCE.stat().st_mtime:
        return PROGRAM
    go = GO if GO.exists() else shutil.which("go")
    path = next(
        (root / SOURCES for root in (UNPACKED, Path("/")) if (root / ENGINE).exists()), None
    )
    if go is None or path is None:
        what = "Go" if go is None else "Centrifuge's sources"
        raise Unavailable(
            f"no {what} (Debian: golang-go, golang-github-centrifugal-centrifuge-dev)"
        )
    ours = {"GO111MODULE": "off", "GOPATH": str(path), "GOCACHE": str(OUT / "go"), "GOENV": "off"}
    ours |= {"CGO_ENABLED": "0"} | ({"GOROOT": str(GO.parents[1])} if go == GO else {})
    compile_whole([go, "build"], SOURCE, PROGRAM, os.environ | ours)
    return PROGRAM
