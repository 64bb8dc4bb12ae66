"""A whole node in processes of its own, started and spoken to the way a user does.

Rule: nothing of the server is imported but the way to find a free port, and what it calls what it
counts. Used by the end-to-end
tests, the load scenarios and the benchmarks, so that all three mean the same thing by "a node".
"""

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chat.api.families import SHARDS
from chat.api.family import Family
from chat.counters import FIELDS
from shard.listen import listen

SAMPLE = re.compile(r"(?P<name>danmaku_\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')
UP = "Danmaku is up"
START_S = 120.0
STOP_S = 120.0
ANSWER_S = 60.0
"""Bounds, for a machine that is very busy."""
PLACES = 16
OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def counters(metrics: str) -> dict[str, int]:
    """What all shards have counted, by the columns of the scoreboard, from what `/metrics` says.
    Of histograms nothing."""
    samples: dict[tuple[str, str], float] = defaultdict(float)
    for line in metrics.splitlines():
        if found := SAMPLE.match(line):
            labels = dict(LABEL.findall(found["labels"]))
            if labels.pop("shard", None) is not None:
                samples[found["name"], "".join(labels.values())] += float(found["value"])
    return {
        FIELDS[column]: round(samples[family.full_name, value] / family.unit)
        for family in SHARDS
        if isinstance(family, Family)
        for value, column in family.columns.items()
    }


def free_port() -> int:
    """A TCP port nobody listens on now, of those no outgoing connection is given meanwhile.

    Processes that look for one at the same time look for it at different places, and none is given
    twice before all have been: who was given one may not listen there yet.
    """
    ports = _ports(os.getpid())
    for port in islice(ports, 100):
        try:
            probe = listen("127.0.0.1", port, 1, 65536)
        except OSError:
            continue
        probe.close()
        return port
    raise OSError("no free port found")


@cache
def _ports(process: int) -> Iterator[int]:
    """A process's ports, in no order, over and over."""
    first_outgoing = int(OUTGOING_PORTS.read_text().split()[0])
    ports = range(10_000 + process % PLACES, max(20_000, first_outgoing), PLACES)
    return cycle(random.sample(ports, len(ports)))


def lives(pid: int) -> bool:
    """Whether a process has not ended, be it reaped or not: then it has let go of its sockets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Node:
    """`danmaku serve` with `settings` given as environment variables.

    The names are those of the configuration: Node(tmp_path, bus_url=..., server_shards=2).
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.port, self.api_port = free_port(), free_port()
        self.log = folder / f"node-{self.port}.log"
        self.python = sys.executable
        self.command: Sequence[str] = ("-m", "chat.cli", "serve")
        self._settings: dict[str, object] = {
            "server_host": "127.0.0.1",
            "server_port": self.port,
            "server_shards": 2,
            "server_drain_s": 1,
            "api_port": self.api_port,
            "node_run_dir": folder / f"run-{self.port}",
            **settings,
        }
        self._process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def probes(self) -> str:
        """Where the shards answer HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def start(self) -> Self:
        """Start and wait until it says that every part of it answers. What is left of a life that
        was killed has let go of its ports by then."""
        self._until_gone()
        self.launch()
        try:
            self.until_said(UP)
        except BaseException:
            self.kill()
            raise
        return self

    def set(self, **settings: object) -> None:
        """Settings from the next start on."""
        self._settings |= settings

    def launch(self) -> None:
        """Start and do not wait."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DANMAKU_")}
        extra = {f"DANMAKU_{key.upper()}": str(value) for key, value in self._settings.items()}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [self.python, *self.command],
                env=clean | extra,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def running(self) -> bool:
        """Whether its supervisor lives."""
        return self._process.poll() is None

    def said(self) -> str:
        """All it wrote to its terminal."""
        return self.log.read_text()

    def until_said(self, words: str) -> None:
        """Wait until it wrote these words. Raises AssertionError when it ends or is late."""
        deadline = time.monotonic() + START_S
        while words not in self.said():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def pids(self, name: str) -> list[int]:
        """Process ids of workers called `name` ("shard", "api"), the running ones."""
        found = re.findall(rf"{name}[ \d]* runs as process (\d+)", self.said())
        return [pid for pid in map(int, found) if Path(f"/proc/{pid}").exists()]

    def _until_gone(self) -> None:
        """Wait until no worker of the life before lives."""
        deadline = time.monotonic() + STOP_S
        while self.log.exists() and any(map(lives, self.pids(r"(?:shard|api|webhooks)"))):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def kill(self) -> None:
        """End the supervisor as the kernel does when memory is short; its workers follow it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and how it ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One HTTP call; (status, parsed JSON or text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=ANSWER_S)
        try:
            data = None if body is None else json.dumps(body)
            kind = {"Content-Type": "application/json"} if data else {}
            connection.request(method, path, data, kind | (headers or {}))
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = "json" in (answer.getheader("Content-Type") or "")
            return answer.status, json.loads(text) if is_json else text
        finally:
            connection.close()

    def counted(self, column: str) -> int:
        """What all shards have in a column of the scoreboard, as `/metrics` shows it."""
        _, text = self.request("GET", "/metrics")
        return counters(text)[column]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            print(self.said()[-4000:])
