"""The supervisor with real forks: a family of processes that tell of their lives on one pipe.

The pipe ends when the last of them has ended, so reading it to its end proves that none is left.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shard.supervisor import describe

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
    def __call__(self, serving):
        if signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}):
            say("signals are blocked from birth")
        say("start", self.name, os.getpid())
        if self.name != "mute":
            serving()
        self.live()
        say("end", self.name)

    def __init__(self, name):
        self.name = name

    def live(self):
        signal.sigwait({signal.SIGTERM})

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
names = options.get("workers", "a,b").split(",")
def ended(name):
    if "graves" in options:
        say("gone", name)

workers = [
    Worker(name, KINDS.get(name, Willing)(name), functools.partial(ended, name)) for name in names
]
if "refused" in options:
    forks, fork = iter(range(int(options["refused"]))), os.fork
    def refusing():
        if next(forks, None) is not None:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()
    os.fork = refusing
Supervisor(workers, [Companion()], grace_s=float(options.get("grace", 1000))).run(
    lambda: say("up", gc.get_freeze_count() > 1000), lambda: "tells" in options and say("ending")
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
def family(**options: object) -> Iterator[Family]:
    """A family that has started; whoever is left at the end of the block is killed."""
    words = [f"{name}={value}" for name, value in options.items()]
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Family(process)
        finally:
            process.kill()
            if process.stdout is not None and not process.stdout.closed:
                os.killpg(process.pid, signal.SIGKILL)


UP = ["start a", "start b", "up True"]
OVER = "over 0 0"


class TestStarting:
    def test_all_are_started_and_then_it_is_said(self) -> None:
        with family() as they:
            assert they.lines(3) == UP
            assert len({they.process.pid, *they.pids.values()}) == 3
            they.signal(signal.SIGTERM)
            they.rest()


class TestRestarting:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
    def test_who_was_killed_starts_again_and_nobody_else(self, number: signal.Signals) -> None:
        with family() as they:
            they.lines(3)
            before = dict(they.pids)
            they.kill("a", number)
            assert they.line() == "start a"
            assert they.pids["a"] != before["a"]
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert f"a was killed by {number.name}; again in" in they.log

    def test_who_ended_by_itself_too(self) -> None:
        with family(workers="brief") as they:
            heard = [they.line() for _ in range(7)]
            assert heard.count("start brief") >= 3
            assert heard.count("end brief") >= 2
            they.signal(signal.SIGTERM)
            they.rest()
            assert "brief ended with status 0; again in" in they.log

    def test_who_failed_too_and_it_is_told_why(self) -> None:
        with family(workers="failing") as they:
            assert sum(they.line() == "start failing" for _ in range(4)) == 3
            they.signal(signal.SIGTERM)
            they.rest()
            assert "failing ended with status 1" in they.log
            assert "RuntimeError: a worker's trouble" in they.log

    def test_again_and_again_takes_longer_and_longer(self) -> None:
        assert self.delays(4, first=0.05) == ["0.1 s", "0.1 s", "0.2 s", "0.4 s"]

    def test_who_lived_long_enough_is_forgiven(self) -> None:
        assert self.delays(4, first=0.05, steady=0) == ["0.1 s"] * 4

    def delays(self, count: int, **options: object) -> list[str]:
        """What is said of how long it takes until one who ends at once is started again."""
        with family(workers="brief", **options) as they:
            starts = 0
            while starts <= count:
                starts += they.line() == "start brief"
            they.signal(signal.SIGTERM)
            they.rest()
        said = [line for line in they.log.splitlines() if "again in" in line]
        return [line.rpartition("in ")[2] for line in said][:count]

    def test_its_death_is_told_before_its_next_life_begins(self) -> None:
        with family(graves=1) as they:
            they.lines(3)
            they.kill("a", signal.SIGKILL)
            assert [they.line(), they.line()] == ["gone a", "start a"]
            they.signal(signal.SIGTERM)
            said = they.rest()
            assert sorted(said[:-2]) == ["end a", "end b", "gone a", "gone b"]

    def test_who_cannot_be_forked_now_is_later(self) -> None:
        with family(refused=3) as they:
            assert they.lines(3) == UP
            they.signal(signal.SIGTERM)
            they.rest()
            told = "cannot be started: Resource temporarily unavailable; again in"
            assert they.log.count(told) == 3
            assert "Traceback" not in they.log


class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_workers_end_first_then_companions(self, number: signal.Signals) -> None:
        with family() as they:
            they.lines(3)
            they.signal(number)
            *ends, companion, over = they.rest()
            assert sorted(ends) == ["end a", "end b"]
            assert (companion, over) == ("companion stop", OVER)
            assert they.process.returncode == 0
            assert "killing" not in they.log

    def test_it_is_said_before_anybody_is_told(self) -> None:
        with family(tells=1) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            said, *others = they.rest()
            assert said == "ending"
            assert sorted(others) == ["companion stop", "end a", "end b", OVER]

    def test_ctrl_c_reaches_all_and_workers_wait_for_their_word(self) -> None:
        with family() as they:
            they.lines(3)
            os.killpg(they.process.pid, signal.SIGINT)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert "Traceback" not in they.log

    def test_a_second_signal_kills_who_does_not_end(self) -> None:
        with family(workers="a,stubborn") as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.lines(2) == ["end a", "ignores stubborn"]
            they.signal(signal.SIGTERM)
            assert they.rest() == ["companion stop", OVER]
            assert re.search("killing what has not ended: .*stubborn", they.log)

    def test_so_does_the_end_of_the_grace(self) -> None:
        with family(workers="a,stubborn", grace=0.1) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.rest()[-2:] == ["companion stop", OVER]
            assert re.search("killing what has not ended: .*stubborn", they.log)

    def test_nobody_is_started_again_meanwhile(self) -> None:
        with family(workers="a,stubborn") as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.lines(2) == ["end a", "ignores stubborn"]
            they.kill("stubborn", signal.SIGKILL)
            assert they.rest() == ["companion stop", OVER]

    def test_workers_do_not_outlive_a_supervisor_that_was_killed(self) -> None:
        with family() as they:
            they.lines(3)
            they.signal(signal.SIGKILL)
            assert sorted(they.rest()) == ["end a", "end b"]


class TestStoppedWorkers:
    def test_one_that_was_stopped_ends_like_the_others(self) -> None:
        with family() as they:
            they.lines(3)
            they.kill("a", signal.SIGSTOP)
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert "killing" not in they.log


class TestServing:
    def test_nothing_is_said_to_be_up_while_one_does_not_answer(self) -> None:
        with family(workers="a,mute") as they:
            assert they.lines(2) == ["start a", "start mute"]
            they.kill("mute", signal.SIGKILL)
            assert they.line() == "start mute"
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end mute", OVER]


class TestCompanions:
    def test_one_that_ended_is_started_again_until_it_runs(self) -> None:
        with family(companion=3) as they:
            assert they.lines(6) == sorted([*UP, *(f"companion again {i}" for i in (1, 2, 3))])
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert they.log.count("does not start: a companion's trouble") == 2
            assert "the companion ended with 7; again in" in they.log
            assert "Traceback" not in they.log

    def test_one_that_does_not_answer_keeps_nobody_waiting(self) -> None:
        with family(companion=1, silent=1) as they:
            assert they.lines(4) == sorted([*UP, "companion again 1"])
            they.kill("a", signal.SIGKILL)
            assert they.line() == "start a"
            they.signal(signal.SIGTERM)
            assert sorted(they.rest()) == ["companion stop", "end a", "end b", OVER]
            assert they.log.count("the companion, process 7, runs and does not answer") == 1

    def test_one_that_does_not_end_is_killed_when_its_time_is_over(self) -> None:
        with family(deaf=0.1) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.rest()[2:] == ["companion asked", "companion kill", "companion stop", OVER]
            assert "killing the companion" in they.log

    def test_or_at_a_second_signal(self) -> None:
        with family(deaf=1000) as they:
            they.lines(3)
            they.signal(signal.SIGTERM)
            assert they.lines(3) == ["companion asked", "end a", "end b"]
            they.signal(signal.SIGTERM)
            assert they.rest() == ["companion kill", "companion stop", OVER]


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (3 << 8, "ended with status 3"), (9, "was killed by SIGKILL"),
     (11 | 0x80, "was killed by SIGSEGV"), (34, "was killed by SIGRTMIN"),
     (40, "was killed by signal 40")],
)  # fmt: skip
def test_how_somebody_ended_is_said_in_words(status: int, words: str) -> None:
    assert describe(status) == words
