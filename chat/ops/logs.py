"""How log lines look: text for people, one JSON object a line for machines.

Rules. Life is logged (start, stop, death, trouble with Redis), traffic is counted: nothing here is
called per message. Lines go to standard error.
"""

import json
import logging
import sys
import time
from typing import Any

from chat.config.sections import Log

FORMAT = "%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One object a line: ts, level, pid, logger, message, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up(log: Log) -> None:
    """Send all logging to standard error, as `log` says."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log.format == "json" else logging.Formatter(FORMAT))
    logging.basicConfig(level=log.level.upper(), handlers=[handler], force=True)
