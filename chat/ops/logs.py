"""How log lines look: for people, or one JSON object a line for machines.

Rules. Life is logged (start, stop, death, trouble with Redis), traffic is counted: nothing here is
called per message. Lines go to standard error. In JSON all lines do, those that are no log calls,
too: what ends a process or a thread, warnings, and what somebody prints; a traceback is one line.
Ids stand in both forms, where a line has some.

Danger: what C code writes to the descriptor itself, as when the interpreter dies, is no JSON.
"""

import io
import json
import logging
import sys
import threading
import time
from contextlib import suppress
from copy import copy
from types import TracebackType
from typing import Any, Final, TextIO

from chat.config.sections import Log
from shard.logids import NAMES, REQUEST

FORMAT: Final = "%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s"
TRACEBACK: Final = "Traceback (most recent call last):"
LONGEST_TRACEBACK: Final = 200
"""Lines; what goes on longer is told in parts."""

log = logging.getLogger(__name__)


class Here:
    """Whose lines these are: this process, of which node, and with which name for connections."""

    process = ""
    node = ""
    shard = ""


def name(process: str, node: str = "", shard: str = "") -> None:
    """Say whose lines are written from now on; what is not given stays."""
    Here.process, Here.node, Here.shard = process, node or Here.node, shard or Here.shard


def ids_of(record: logging.LogRecord) -> dict[str, str]:
    """What a line is about."""
    found = {what: str(getattr(record, what)) for what in NAMES if hasattr(record, what)}
    if request := REQUEST.get():
        found["request"] = request
    if "connection" in found and Here.shard:
        found["connection"] = f"{Here.shard}-{found['connection']}"
    return found


class HumanLines(logging.Formatter):
    """One line, with its ids at the end; and a traceback below."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{what}={value}" for what, value in ids_of(record).items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


class JsonLines(logging.Formatter):
    """One object a line: ts (RFC 3339, UTC), level, logger, message, process, pid and node; the ids
    that are known, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": Here.process,
            "pid": record.process,
            "node": Here.node,
            **ids_of(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class Handler(logging.StreamHandler[TextIO]):
    """To standard error. A log call that is wrong by itself is a line like any other."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            return  # nobody reads it, or the disk is full: there is nobody to tell
        wrong = f"a log call is wrong: {record.msg!r} with {record.args!r}"
        record = copy(record)  # others have it, too
        record.msg, record.args = wrong, ()
        with suppress(OSError, ValueError):  # the latter of a stream that is closed
            self.stream.write(self.format(record) + self.terminator)


class Printed(io.TextIOBase):
    """Standard output or error where lines are JSON: what is printed is logged, by the line, and a
    traceback whole. It is `instead_of` a stream."""

    def __init__(self, name: str, level: int, instead_of: TextIO) -> None:
        self.instead_of = instead_of
        self._log = logging.getLogger(name)
        self._level = level
        self._begun = ""
        self._traceback: list[str] = []
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in lines:
                self._take(line)
        return len(text)

    def _take(self, line: str) -> None:
        if line == TRACEBACK or self._traceback:
            self._traceback.append(line)
            goes_on = line == TRACEBACK or line.startswith(" ")
            if not goes_on or len(self._traceback) >= LONGEST_TRACEBACK:
                whole, self._traceback = "\n".join(self._traceback), []
                self._log.log(self._level, "%s", whole)
        elif line.strip():
            self._log.log(self._level, "%s", line)


def set_up(told: Log) -> None:
    """Send all logging to standard error, as it is `told`; may be called again."""
    machines = told.format == "json"
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), Printed):
            setattr(sys, name, stream.instead_of)
    handler = Handler(sys.stderr)
    handler.setFormatter(JsonLines() if machines else HumanLines())
    logging.basicConfig(level=told.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(machines)
    sys.excepthook = _unhandled if machines else sys.__excepthook__
    threading.excepthook = _unhandled_in_thread if machines else threading.__excepthook__
    sys.unraisablehook = _unraisable if machines else sys.__unraisablehook__
    if machines:
        sys.stdout = Printed("stdout", logging.INFO, sys.stdout)
        sys.stderr = Printed("stderr", logging.WARNING, sys.stderr)


def _unhandled(
    kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> None:
    log.critical("this process ends: %s", kind.__name__, exc_info=(kind, error, where))


def _unhandled_in_thread(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value or args.exc_type()
    where = args.thread.name if args.thread else "a thread"
    log.error("%s ends: %s", where, args.exc_type.__name__, exc_info=error)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    log.error(
        "%s %r", args.err_msg or "ignored an exception in", args.object, exc_info=args.exc_value
    )
