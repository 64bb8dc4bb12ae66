"""The parent of a node's processes: forks them, starts again what dies, ends them in order.

Rules. It serves nothing and holds no connection, so there is little in it that could fail. All is
done in one loop around `sigtimedwait`: the signals are blocked and fetched, never handled, so no
code runs at an unexpected moment. Workers are forked, after everything was imported and frozen,
and share those pages; they die with the supervisor, whatever kills it.

Danger: nothing may start a thread before the fork.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn, Protocol

from pool.scoreboard import Scoreboard

log = logging.getLogger(__name__)

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
WATCHED: Final = ENDING | {signal.SIGCHLD}

RESTART_FIRST_S: Final = 0.1
RESTART_MOST_S: Final = 10.0
STEADY_S: Final = 30.0
"""Who has lived this long is restarted as if it had never failed."""

POLL_S: Final = 1.0
START_POLL_S: Final = 0.02
"""How often to look whether all serve, until they do."""
PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Companion(Protocol):
    """A process that is not forked but run beside the workers, and outlives them."""

    def poll(self) -> int | None:
        """None while it runs, else how it ended."""

    def restart(self) -> None:
        """Start it again."""

    def stop(self) -> None:
        """End it."""


def restart_delay(failures: int) -> float:
    """Seconds to wait before the next start, after `failures` short lives in a row."""
    doublings = min(max(0, failures - 1), 30)  # a float has room for a thousand
    return min(RESTART_FIRST_S * 2.0**doublings, RESTART_MOST_S)


@dataclass(slots=True)
class Worker:
    """A process to keep running: `run(serving)` is called in it and it ends when that returns;
    meanwhile it calls `serving()` once it answers."""

    name: str
    run: Callable[[Callable[[], None]], None]
    pid: int = 0
    born: float = 0.0
    failures: int = 0
    start_at: float = 0.0


class Supervisor:
    """Runs workers until it is told to end.

    grace_s  seconds workers get after SIGTERM before they are killed
    clock    seconds, monotonic
    """

    def __init__(
        self,
        workers: Iterable[Worker],
        companions: Iterable[Companion] = (),
        grace_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = list(workers)
        self._companions = list(companions)
        self._grace_s = grace_s
        self._clock = clock
        self._serving = Scoreboard(("serving",), len(self._workers))

    def run(self, on_serving: Callable[[], None] = lambda: None) -> None:
        """Start all, keep all running, return after SIGTERM, SIGINT or SIGHUP and their end.

        `on_serving` is called once, when every worker answers.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            gc.collect()
            gc.freeze()
            for worker in self._workers:
                self._start(worker)
            announced = False
            while not self._wait_signal(self._next_wake() if announced else START_POLL_S):
                self._reap()
                self._start_due()
                if not announced and self._all_serve():
                    announced = True
                    on_serving()
            self._end()
        finally:
            gc.unfreeze()
            for companion in reversed(self._companions):
                companion.stop()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _wait_signal(self, timeout: float) -> bool:
        """Wait for a signal; whether it is one to end at."""
        info = signal.sigtimedwait(WATCHED, timeout)
        return info is not None and info.si_signo in ENDING

    def _all_serve(self) -> bool:
        return all(self._serving.row(i)[0] for i in range(len(self._workers)))

    def _next_wake(self) -> float:
        now = self._clock()
        starts = [worker.start_at - now for worker in self._workers if not worker.pid]
        return max(0.0, min([POLL_S, *starts]))

    def _start(self, worker: Worker) -> None:
        parent = os.getpid()
        serving = self._serving.row(self._workers.index(worker))
        serving[0] = 0
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            self._become(worker, parent, serving)
        worker.pid, worker.born = pid, self._clock()
        log.info("%s runs as process %d", worker.name, pid)

    def _become(self, worker: Worker, parent: int, serving: "memoryview[int]") -> NoReturn:
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
            worker.run(partial(serving.__setitem__, 0, 1))
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
            worker.failures = 1 if now - worker.born >= STEADY_S else worker.failures + 1
            delay = restart_delay(worker.failures)
            worker.pid, worker.start_at = 0, now + delay
            log.error("%s %s; again in %.1f s", worker.name, describe(status), delay)
        for companion in self._companions:
            ended = companion.poll()
            if ended is not None:
                log.error("%s ended with %d; again now", type(companion).__name__, ended)
                try:
                    companion.restart()
                except Exception:
                    log.exception("%s does not start", type(companion).__name__)

    def _start_due(self) -> None:
        now = self._clock()
        for worker in self._workers:
            if not worker.pid and worker.start_at <= now:
                self._start(worker)

    def _end(self) -> None:
        """SIGTERM to all, SIGKILL to who is left after the grace or at a second signal."""
        self._signal_all(signal.SIGTERM)
        deadline = self._clock() + self._grace_s
        while any(worker.pid for worker in self._workers):
            left = deadline - self._clock()
            if left <= 0 or self._wait_signal(min(left, POLL_S)):
                left_over = ", ".join(worker.name for worker in self._workers if worker.pid)
                log.warning("killing what has not ended: %s", left_over)
                self._signal_all(signal.SIGKILL)
                deadline = self._clock() + POLL_S
            for worker in self._workers:
                if worker.pid and os.waitpid(worker.pid, os.WNOHANG)[0]:
                    worker.pid = 0

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


def describe(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        names = {known.value: known.name for known in signal.Signals}  # not all have one
        return f"was killed by {names.get(-code, f'signal {-code}')}"
    return f"ended with status {code}"
