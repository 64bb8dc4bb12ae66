"""Reloading the configuration of a node that runs.

    read and check, once  ->  every worker is told  ->  who applied it  ->  log, and who asked

Rules. The supervisor reads the file as the start did, with the same environment and options. What
is refused changes nothing. Else the keys that are live are changed in the workers that are there,
and here, so that one which begins from now on has them; keys that are not live stay what they were,
and are named. Nothing waits for a worker that is stopped or dies: it is named, and
has the new values when it goes on, or begins again. One reload at a time; who asks meanwhile is
answered by the next.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from chat.config.live import LIVE, Live, differing, printable
from chat.config.load import ConfigError
from chat.config.sections import Config
from chat.ops.control import Asker, Control
from chat.ops.servicemanager import READY, RELOADING, monotonic, tell
from shard.channel import Line, TooLong

log = logging.getLogger(__name__)

ANSWER_S: Final = 5.0
"""What workers get to say that they have the new values: a turn, unless they are stopped."""


class Told(Struct):
    """What a worker is told: a configuration, in the reload of that number."""

    number: int
    config: Config


class Heard(Struct):
    """What it answers. `fault` is "" where all is applied."""

    number: int
    fault: str = ""


class Change(Struct):
    """A key that the file has changed; what it was and is, as it may be shown."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path} {self.before} -> {self.after}"


class Reloaded(Struct):
    """What came of a reload.

    problems  why the file was refused; then nothing was changed
    applied   live keys, now in force; `by` the workers that have said so
    restart   keys that stay what they were until a restart
    trouble   who has not applied them, and what that means
    """

    file: str
    problems: list[str] = field(default_factory=list)
    applied: list[Change] = field(default_factory=list)
    restart: list[Change] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def answer_with(live: Live) -> Callable[[bytes], bytes]:
    """How a worker answers what it is told: it changes its own configuration, and reads back."""

    def answer(message: bytes) -> bytes:
        told = msgspec.json.decode(message, type=Told)
        try:
            live.take(told.config)
        except RuntimeError as failed:
            return msgspec.json.encode(Heard(told.number, str(failed)))
        wrong = [path for path in differing(live.config, told.config) if path in LIVE]
        return msgspec.json.encode(Heard(told.number, ", ".join(wrong)))

    return answer


class Reloading:
    """The supervisor's operator.

    live   the supervisor's own, which workers that begin inherit
    read   reads the configuration as at the start; raises ConfigError
    file   what it is read from, in words
    up     whether the node is: a service manager is told of no reload before that
    """

    def __init__(
        self,
        live: Live,
        read: Callable[[], Config],
        control: Path,
        file: str = "",
        notify: Callable[..., None] = tell,
    ) -> None:
        self._live = live
        self._read = read
        self._control = Control(control)
        self._file = file or "no file"
        self._notify = notify
        self.up = False
        self._lines: Sequence[Line] = ()
        self._wanted = False
        self._askers: list[Asker] = []
        self._number = 0
        self._waiting: dict[Line, int] = {}
        self._deadline = 0.0
        self._result: Reloaded | None = None
        self._told: list[Asker] = []

    def begin(self, lines: Sequence[Line]) -> None:
        """Answer from now on."""
        self._lines = lines
        try:
            self._control.open()
        except OSError as error:
            log.warning("`danmaku reload` cannot ask this node, only SIGHUP: %s", error)

    def hang_up(self) -> None:
        """SIGHUP."""
        self._wanted = True

    def wait(self, now: float) -> float | None:
        """Until those who have not answered are named."""
        return None if self._result is None else max(0.0, self._deadline - now)

    def look(self, now: float) -> None:
        """Take the next step."""
        for asker, what in self._control.look(now):
            if what == "reload":
                self._askers.append(asker)
                self._wanted = True
            else:
                asker.answer({"error": "this node is asked for `reload` only"})
        self._listen(now)
        if self._wanted and self._result is None:
            self._wanted = False
            self._begin(now)

    def close(self) -> None:
        """The node ends."""
        self._control.close()
        for asker in (*self._askers, *self._told):
            asker.close()

    def _begin(self, now: float) -> None:
        log.info("reloading from %s", self._file)
        if self.up:
            self._notify(RELOADING, monotonic(time.monotonic()))
        self._told, self._askers = self._askers, []
        self._result = result = Reloaded(self._file)
        config = self._checked(result)
        if config is not None:
            self._change(config, result, now)
        if not self._waiting:
            self._finish()

    def _checked(self, result: Reloaded) -> Config | None:
        """The configuration as it is to be, or what is wrong with it in the result."""
        try:
            return self._read()
        except ConfigError as bad:
            result.problems += bad.problems
        except Exception as error:  # ours; the node goes on as it is
            log.exception("the configuration could not be read")
            result.problems.append(f"{type(error).__name__}: {error}")
        return None

    def _change(self, config: Config, result: Reloaded, now: float) -> None:
        before = self._live.config
        for path in differing(before, config):
            change = Change(path, printable(before, path), printable(config, path))
            (result.applied if path in LIVE else result.restart).append(change)
        if not result.applied:
            return
        self._number += 1
        message = msgspec.json.encode(Told(self._number, config))
        self._deadline = now + ANSWER_S
        try:
            for line in self._lines:
                if line.alive:
                    line.tell(message)
                    self._waiting[line] = line.life
        except TooLong as error:
            self._waiting.clear()
            result.trouble.append(f"nobody could be told: {error}; restart the node")
            result.restart += result.applied
            result.applied = []
            return
        try:
            self._live.take(config)
        except RuntimeError as failed:
            result.trouble.append(f"the supervisor: {failed}")

    def _listen(self, now: float) -> None:
        """Hear who has applied what."""
        for line in self._lines:
            for message in line.heard():
                self._hear(line, msgspec.json.decode(message, type=Heard))
        result = self._result
        if result is None:
            return
        for line, life in list(self._waiting.items()):
            if not line.alive or line.life != life:
                del self._waiting[line]
                result.trouble.append(f"{line.name} has died; its next life has the new values")
            elif now >= self._deadline:
                del self._waiting[line]
                result.trouble.append(
                    f"{line.name} has not answered within {ANSWER_S:.0f} s: it is stopped or very "
                    "busy, and has the new values once it goes on"
                )
        if not self._waiting:
            self._finish()

    def _hear(self, line: Line, heard: Heard) -> None:
        if line not in self._waiting or heard.number != self._number:
            log.info("%s has the new values now", line.name)
            return
        del self._waiting[line]
        assert self._result is not None
        if heard.fault:
            self._result.trouble.append(f"{line.name} did not apply all: {heard.fault}")
        else:
            self._result.by.append(line.name)

    def _finish(self) -> None:
        result, self._result = self._result, None
        assert result is not None
        result.by = [line.name for line in self._lines if line.name in result.by]
        say(result)
        for asker in self._told:
            asker.answer(result)
        self._told = []
        if self.up:
            self._notify(READY)


def say(result: Reloaded) -> None:
    """Log what came of a reload."""
    for problem in result.problems:
        log.error("reload refused, nothing is changed: %s", problem)
    for change in result.applied:
        log.info("reloaded: %s", change)
    for change in result.restart:
        log.warning("needs a restart, and is not changed: %s", change)
    for trouble in result.trouble:
        log.warning("reload: %s", trouble)
    if not (result.problems or result.applied or result.restart):
        log.info("reloaded: nothing has changed")
