"""The parent of a node's processes: forks them, starts again what dies, ends them in order.

Rules. It serves nothing and holds no connection, so there is little in it that could fail. All is
done in one loop around `sigtimedwait`: the signals are blocked and fetched, never handled, so no
code runs at an unexpected moment; nothing but that waits. Workers are forked, after everything was
imported and frozen, and share those pages; they die with the supervisor, whatever kills it. SIGHUP
is the operator's word, unless the terminal it was started from has gone: then it is the end.

Danger: nothing may start a thread before the fork.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn, Protocol

from pool.scoreboard import Scoreboard
from shard.channel import WORD, Life, Line
from shard.companion import Companion, Minder
from shard.restarts import failures_of, restart_delay

log = logging.getLogger(__name__)

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
WATCHED: Final = ENDING | {signal.SIGCHLD, signal.SIGHUP, WORD}

POLL_S: Final = 1.0
START_POLL_S: Final = 0.02
"""How often to look whether all serve, until they do."""
COMPANION_S: Final = 10.0
"""What companions get to end, after the workers; a server may have data to write."""
PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Worker:
    """A process to keep running: `run(life)` is called in it and it ends when that returns.
    Meanwhile it calls `life.serving()` once it answers. `ended()` is called here when it is dead.
    """

    name: str
    run: Callable[[Life], None]
    ended: Callable[[], None] = lambda: None
    pid: int = 0
    born: float = 0.0
    failures: int = 0
    start_at: float = 0.0
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        self.line = Line(self.name)


class Operator(Protocol):
    """Who does what an operator asks for while the workers run. Nothing here may wait."""

    def begin(self, lines: Sequence[Line]) -> None:
        """The workers' lines; WORD is waited for from now on."""

    def hang_up(self) -> None:
        """SIGHUP has come."""

    def look(self, now: float) -> None:
        """See what was asked for and answered, and go on with it."""

    def wait(self, now: float) -> float | None:
        """Seconds until the next look has something to do, if that is known."""

    def close(self) -> None:
        """The node ends."""


class Unattended:
    """Nobody asks for anything."""

    def begin(self, lines: Sequence[Line]) -> None: ...
    def hang_up(self) -> None: ...
    def look(self, now: float) -> None: ...
    def wait(self, now: float) -> float | None: ...
    def close(self) -> None: ...


class Supervisor:
    """Runs workers, and looks after companions that have been begun, until it is told to end.

    grace_s  seconds workers get after SIGTERM before they are killed, asked when it comes to that
    clock    seconds, monotonic
    """

    def __init__(
        self,
        workers: Iterable[Worker],
        companions: Iterable[Companion] = (),
        grace_s: Callable[[], float] = lambda: 15.0,
        clock: Callable[[], float] = time.monotonic,
        operator: Operator | None = None,
    ) -> None:
        self._workers = list(workers)
        self._operator = operator or Unattended()
        # nohup(1) has it ignored, for whoever wants to outlive the terminal.
        self._terminal = has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        self._minders = [Minder(one, clock()) for one in companions]
        self._grace_s = grace_s
        self._clock = clock
        self._serving = Scoreboard(("serving",), len(self._workers))

    def run(
        self,
        on_serving: Callable[[], None] = lambda: None,
        on_ending: Callable[[str], None] = lambda why: None,
    ) -> None:
        """Start all, keep all running, return after SIGTERM, SIGINT or the end of the terminal, and
        their end.

        `on_serving` is called once, when every worker answers; `on_ending` before any is told to
        end, with the reason.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            gc.collect()
            gc.freeze()
            self._operator.begin([worker.line for worker in self._workers])
            for worker in self._workers:
                self._start(worker)
            announced = False
            while not (why := self._wait(self._next_wake() if announced else START_POLL_S)):
                self._reap()
                self._start_due()
                for minder in self._minders:
                    minder.look(self._clock())
                self._operator.look(self._clock())
                if not announced and self._all_serve():
                    announced = True
                    on_serving()
            self._operator.close()
            on_ending(why)
            self._end()
            self._end_companions()
        finally:
            gc.unfreeze()
            for worker in self._workers:
                worker.line.close()
            for minder in reversed(self._minders):
                minder.companion.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _wait(self, timeout: float) -> str:
        """Wait for a signal; why to end, "" for going on."""
        info = signal.sigtimedwait(WATCHED, timeout)
        if info is None:
            return ""
        if info.si_signo == signal.SIGHUP:
            if self._terminal and not has_terminal():
                return "its terminal was closed"
            self._operator.hang_up()
        return signal.Signals(info.si_signo).name if info.si_signo in ENDING else ""

    def _all_serve(self) -> bool:
        return all(self._serving.row(i)[0] for i in range(len(self._workers)))

    def _next_wake(self) -> float:
        now = self._clock()
        starts = [worker.start_at - now for worker in self._workers if not worker.pid]
        looks = [wait for minder in self._minders if (wait := minder.wait(now)) is not None]
        if (wait := self._operator.wait(now)) is not None:
            looks.append(wait)
        return max(0.0, min([POLL_S, *starts, *looks]))

    def _start(self, worker: Worker) -> None:
        parent = os.getpid()
        serving = self._serving.row(self._workers.index(worker))
        serving[0] = 0
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            channel = worker.line.open()
            pid = os.fork()
        except OSError as error:  # no memory, or as many processes as there may be
            worker.line.close()
            self._put_off(worker, worker.failures + 1, f"cannot be started: {error.strerror}")
            return
        if not pid:
            self._become(worker, parent, Life(partial(serving.__setitem__, 0, 1), channel))
        channel.close()
        worker.pid, worker.born = pid, self._clock()
        log.info("%s runs as process %d", worker.name, pid)

    def _become(self, worker: Worker, parent: int, life: Life) -> NoReturn:
        """In the child: run the worker and nothing of ours after it."""
        status = 1
        try:
            _libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            # Ctrl-C reaches the whole group; the workers wait for the supervisor's word.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
            for one in self._workers:
                one.line.close()
            worker.run(life)
            status = 0
        except BaseException:
            log.exception("%s failed", worker.name)
        finally:
            logging.shutdown()
            os._exit(status)

    def _reap(self) -> None:
        """Notice who has died, and when it is to start again."""
        now = self._clock()
        for worker in self._workers:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            worker.pid = 0
            worker.line.close()
            worker.ended()
            failures = failures_of(now - worker.born, worker.failures)
            self._put_off(worker, failures, describe(status))

    def _put_off(self, worker: Worker, failures: int, why: str) -> None:
        """Start it after a while."""
        delay = restart_delay(failures)
        worker.failures, worker.start_at = failures, self._clock() + delay
        log.error("%s %s; again in %.1f s", worker.name, why, delay)

    def _start_due(self) -> None:
        now = self._clock()
        for worker in self._workers:
            if not worker.pid and worker.start_at <= now:
                self._start(worker)

    def _end(self) -> None:
        """SIGTERM to all, SIGKILL to who is left after the grace or at a second signal."""
        self._signal_all(signal.SIGTERM)
        self._signal_all(signal.SIGCONT)  # a stopped one would not hear of it
        deadline = self._clock() + self._grace_s()
        while any(worker.pid for worker in self._workers):
            left = deadline - self._clock()
            if left <= 0 or self._wait(min(left, POLL_S)):
                left_over = ", ".join(worker.name for worker in self._workers if worker.pid)
                log.warning("killing what has not ended: %s", left_over)
                self._signal_all(signal.SIGKILL)
                deadline = self._clock() + POLL_S
            for worker in self._workers:
                pid, status = os.waitpid(worker.pid, os.WNOHANG) if worker.pid else (0, 0)
                if pid:
                    log.info("%s %s", worker.name, describe(status))
                    worker.pid = 0
                    worker.ended()

    def _end_companions(self) -> None:
        """As `_end`: asked, and killed when they take too long or at another signal."""
        running = [minder.companion for minder in self._minders]
        for one in running:
            one.end()
        deadline = self._clock() + COMPANION_S
        while running := [one for one in running if one.ended() is None]:
            left = deadline - self._clock()
            if left <= 0 or self._wait(min(left, POLL_S)):
                log.warning("killing %s", ", ".join(one.name for one in running))
                for one in running:
                    one.kill()
                deadline = self._clock() + POLL_S

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


def has_terminal() -> bool:
    """Whether this process has a terminal that can close (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def describe(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        names = {known.value: known.name for known in signal.Signals}  # not all have one
        return f"was killed by {names.get(-code, f'signal {-code}')}"
    return f"ended with status {code}"
