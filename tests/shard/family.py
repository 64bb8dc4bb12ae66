"""A supervisor with real forks: a family of processes that tell of their lives on one pipe.

The pipe ends when the last of them has ended, so reading it to its end proves that none is left.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FAMILY = """
import functools, gc, logging, os, signal, sys, time
from shard import companion, restarts, supervisor
from shard.companion import Sign
from shard.supervisor import Supervisor, Worker

supervisor.POLL_S = 0.02
logging.basicConfig(format="%(message)s", level="INFO")
options = dict(word.split("=") for word in sys.argv[1:])
restarts.STEADY_S = float(options.get("steady", 30))
restarts.RESTART_FIRST_S = float(options.get("first", 0.001))

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

class Willing:
    def __call__(self, life):
        if signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}):
            say("signals are blocked from birth")
        say("start", self.name, os.getpid())
        if self.name != "mute":
            life.serving()
        self.live()
        say("end", self.name)

    def __init__(self, name):
        self.name = name

    def live(self):
        signal.sigwait({signal.SIGTERM})

class Answering(Willing):
    def __call__(self, life):
        self.channel = life.channel
        super().__call__(life)

    def live(self):
        while signal.sigtimedwait({signal.SIGTERM}, 0.01) is None:
            for message in self.channel.take():
                self.channel.send(message.upper())

class Operator:
    def begin(self, lines):
        self.lines = lines

    def hang_up(self):
        say("hung up")
        for line in self.lines:
            line.tell(line.name.encode())

    def look(self, now):
        for line in self.lines:
            for answer in line.heard():
                say("the answer of", line.name, "is", answer.decode())

    def wait(self, now):
        return None

    def close(self):
        say("left")

class Stubborn(Willing):
    def live(self):
        signal.sigwait({signal.SIGTERM})
        say("ignores", self.name)
        while True:
            time.sleep(1000)

class Brief(Willing):
    def live(self):
        if self.name == "failing":
            raise RuntimeError("a worker's trouble")

class Companion:
    # It begins at the try that `companion` says, never answers if `silent`, nor ends if `deaf`.
    name = "the companion"
    pid = 7

    def __init__(self):
        self.tries = 0
        self.over = "ended with 7" if "companion" in options else None

    def begin(self):
        self.tries += 1
        say("companion again", self.tries)
        if self.tries < int(options["companion"]):
            raise RuntimeError("a companion's trouble")
        self.over = None

    def ended(self):
        return self.over

    def sign(self):
        return Sign.SILENT if "silent" in options else Sign.READY

    def end(self):
        if "deaf" in options:
            say("companion asked")
        else:
            self.over = "ended as it was asked to"

    def kill(self):
        say("companion kill")
        self.over = "was killed"

    def close(self):
        say("companion stop")

supervisor.COMPANION_S = float(options.get("deaf", 1000))
companion.SILENT_S = 0
KINDS = {"stubborn": Stubborn, "brief": Brief, "failing": Brief}
Usual = Answering if "operator" in options else Willing
names = options.get("workers", "a,b").split(",")
def ended(name):
    if "graves" in options:
        say("gone", name)

workers = [
    Worker(name, KINDS.get(name, Usual)(name), functools.partial(ended, name)) for name in names
]
if "refused" in options:
    forks, fork = iter(range(int(options["refused"]))), os.fork
    def refusing():
        if next(forks, None) is not None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()
    os.fork = refusing
if "nohup" in options:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
if "terminal" in options:
    import fcntl, termios
    fcntl.ioctl(int(options["terminal"]), termios.TIOCSCTTY, 0)
    os.close(int(options["terminal"]))
operator = Operator() if "operator" in options else None
grace_s = float(options.get("grace", 1000))
Supervisor(workers, [Companion()], grace_s=lambda: grace_s, operator=operator).run(
    lambda: say("up", gc.get_freeze_count() > 1000),
    lambda why: "tells" in options and say("ending", why),
)
say("over", len(signal.pthread_sigmask(signal.SIG_BLOCK, ())), gc.get_freeze_count())
"""


class Family:
    """A supervisor and its children, heard line by line. `log` is there after `rest`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.pids: dict[str, int] = {}
        self.log = ""

    def line(self) -> str:
        """The next thing anybody says; the numbers of processes are kept apart."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        assert said, "they have all ended"
        if said.startswith("start"):
            _, name, pid = said.split()
            self.pids[name] = int(pid)
            return f"start {name}"
        return said

    def lines(self, count: int) -> list[str]:
        return sorted(self.line() for _ in range(count))

    def kill(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pids[name], number)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def rest(self) -> list[str]:
        """Everything that is said until the last of them has ended."""
        said, self.log = self.process.communicate()
        return said.splitlines()


@contextmanager
def family(**options: Any) -> Iterator[Family]:
    """A family that has started; whoever is left at the end of the block is killed."""
    words = [f"{name}={value}" for name, value in options.items()]
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=[options["terminal"]] if "terminal" in options else [],
    ) as process:
        try:
            yield Family(process)
        finally:
            process.kill()
            if process.stdout is not None and not process.stdout.closed:
                os.killpg(process.pid, signal.SIGKILL)


UP = ["start a", "start b", "up True"]
OVER = "over 0 0"
